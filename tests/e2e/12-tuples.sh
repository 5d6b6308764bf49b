#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# One client address and port, more than one connection: through two listeners
# to one backend, or again through the same one after it was closed.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

CLIENTS=500
SOURCE=(-s 10.1.1.0 -m "$CLIENTS" -P 5000)
SOURCE6=(-s fd01::1 -m "$CLIENTS" -P 5000)
lab_up 1
lab_namesrv s1 v1 7000
perch_config "$MODE" <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp", "$VIP4:443/tcp"]
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	  - name: other
	    listen: ["$VIP4:81/tcp", "$VIP4:81/udp", "$VIP4:82/udp"]
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	  - name: web6
	    listen: ["[$VIP6]:80/tcp", "[$VIP6]:443/tcp"]
	    versions:
	      - { name: v1, role: stable, backends: ["[fd02::11]:7000"] }
END
start_perchd

# once OPTION... ADDRESS PORT: a connection of each client, all well
once() {
	expect short -n "$CLIENTS" -j 64 -w 1000 "$@"
}

test_two_listeners_in_turn_share_a_backend() {
	local port
	for port in 80 443 81; do
		once "${SOURCE[@]}" "$VIP4" "$port"
	done
	for port in 80 443; do
		once "${SOURCE6[@]}" "$VIP6" "$port"
	done
}

test_two_listeners_at_once_share_a_backend() {
	start_long first -n "$CLIENTS" "${SOURCE[@]}" "$VIP4" 80
	expect wait_for 10 long_ready
	once "${SOURCE[@]}" "$VIP4" 443
	once "${SOURCE[@]}" "$VIP4" 81
	expect [ "$(field "$(long_state)" .open)" = "$CLIENTS" ]
	expect [ "$(field "$(long_state)" .broken)" = 0 ]
	sleep 2
	expect [ "$(field "$(long_state)" .broken)" = 0 ]
	lab_kill TERM "$LONG"
}

test_two_listeners_at_once_share_a_backend_over_ipv6() {
	start_long first6 -n "$CLIENTS" "${SOURCE6[@]}" "$VIP6" 80
	expect wait_for 10 long_ready
	once "${SOURCE6[@]}" "$VIP6" 443
	expect [ "$(field "$(long_state)" .open)" = "$CLIENTS" ]
	lab_kill TERM "$LONG"
}

test_two_udp_listeners_share_a_backend() {
	once -u "${SOURCE[@]}" "$VIP4" 81
	once -u "${SOURCE[@]}" "$VIP4" 82
	once -u "${SOURCE[@]}" "$VIP4" 81
}

# TIME_WAIT of the client lets a tuple come again after a second.
test_closed_tuple_comes_again() {
	once -s 10.1.4.0 -m "$CLIENTS" -P 6000 "$VIP4" 80
	sleep 1.2
	once -s 10.1.4.0 -m "$CLIENTS" -P 6000 "$VIP4" 80
	sleep 1.2
	once -s 10.1.4.0 -m "$CLIENTS" -P 6000 "$VIP4" 80
}

run test_two_listeners_in_turn_share_a_backend test_two_listeners_at_once_share_a_backend \
	test_two_listeners_at_once_share_a_backend_over_ipv6 test_two_udp_listeners_share_a_backend \
	test_closed_tuple_comes_again
finish
