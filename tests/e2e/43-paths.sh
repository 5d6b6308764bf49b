#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Every way to forward over paths that change: a smaller link on the clients'
# side is found by the backend, one of the balancer's own by the client, with
# the room that a tunnel takes; neighbours are forgotten while traffic flows,
# behind a firewall that drops what connection tracking does not know.
LAB_TX=on
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=paths.sh
. "$(dirname "$0")/paths.sh"
# shellcheck source=ways.sh
. "$(dirname "$0")/ways.sh"
# shellcheck source=living.sh
. "$(dirname "$0")/living.sh"

LIVE=40
# Element i of each: way, addresses, bytes that go in front of IPv4 and IPv6.
ALL=("${WAYS[@]}" nat fullnat)
ALL4=("${ADDRESSES4[@]}" 192.0.2.24 192.0.2.25)
ALL6=("${ADDRESSES6[@]}" 2001:db8::24 2001:db8::25)
ROOM4=(0 20 28 0 0)
ROOM6=(0 40 48 0 0)

# far (client) -- c (router) -- lb -- s1 (backend)
lab_up 1
behind c far 4
lab_route lb 10.4.0.0/24 via 10.0.0.2 dev c onlink
lab_route lb fd04::/64 via fd00::2 dev c onlink
# fullnat's ports are those that the host's own connections do not get
in_ns lb sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
lab_nginx s1 v1 80
lab_namesrv s1 v1 7000
prepare_backend s1
service() {
	cat <<-END
		  - name: $1
		    forward: $2
		    affinity: connection
		    listen: ["$3:80/tcp", "$3:7000/tcp", "$3:7000/udp"]
		    versions:
		      - { name: v1, role: stable, backends: ["$4"] }
	END
}
for i in "${!ALL[@]}"; do
	service "${ALL[i]}4" "${ALL[i]}" "${ALL4[i]}" 10.2.0.11
	service "${ALL[i]}6" "${ALL[i]}" "[${ALL6[i]}]" "[fd02::11]"
done | perch_config "$MODE"
start_perchd
[ "$MODE" = tc ] || lab_offload tx off
head -c 3M /dev/urandom > "$LAB_DIR/sent"

# backend_finds ADDRESS CLIENT: who the backend takes for its client.
backend_finds() {
	forget far c s1
	upload "$1"
	download "$1"
	expect learned s1 "$2" 1300
}

test_a_smaller_link_of_the_clients_is_found_by_the_backend() {
	local i client4 client6
	small_link c far 4 1300
	for i in "${!ALL[@]}"; do
		client4=10.4.0.2 client6=fd04::2
		[ "${ALL[i]}" != fullnat ] || client4=10.2.0.1 client6=fd02::1
		backend_finds "${ALL4[i]}" "$client4"
		backend_finds "[${ALL6[i]}]" "$client6"
	done
	small_link c far 4 1500
}

test_a_smaller_link_of_the_balancer_is_found_by_the_client() {
	local i
	forget far c s1
	own_link s1 1400
	for i in "${!ALL[@]}"; do
		upload "${ALL4[i]}"
		expect learned far "${ALL4[i]}" $((1400 - ROOM4[i]))
		upload "[${ALL6[i]}]"
		expect learned far "${ALL6[i]}" $((1400 - ROOM6[i]))
	done
	own_link s1 1600
}

# The backend's replies through the balancer's stack begin in the middle where
# their requests did not pass it; those of nat and fullnat do not go there.
firewall() {
	in_ns lb sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0
	in_ns lb nft -f - <<-END
		table inet filter {
			counter invalid { }
			chain forward { type filter hook forward priority 0; iifname "c" ct state invalid counter name invalid drop; }
			chain input { type filter hook input priority 0; ct state invalid counter name invalid drop; }
		}
	END
}

# all_ask: streams over IPv4 and datagrams over IPv6, each way from clients of
# its own.
all_ask() {
	local i
	ASKING=()
	for i in "${!ALL[@]}"; do
		ask "streams-$i" -n "$LIVE" -e 500 -s "10.1.$((i + 1)).0" -m "$LIVE" -P 5000 "${ALL4[i]}" 7000
		ASKING+=("$LONG $LONG_LOG")
		ask "datagrams-$i" -u -n "$LIVE" -e 500 -s "fd01::$((i + 1))00" -m "$LIVE" -P 5000 "${ALL6[i]}" 7000
		ASKING+=("$LONG $LONG_LOG")
	done
}

test_forgotten_neighbours_lose_nothing() {
	local one
	firewall
	all_ask
	flush_neighbours c s1
	for one in "${ASKING[@]}"; do
		LONG=${one%% *} LONG_LOG=${one#* }
		answered_since
		untouched
		lab_kill TERM "$LONG"
	done
	expect [ "$(nft_counter lb invalid)" = 0 ]
}

test_nothing_was_dropped_by_perch() {
	expect [ "$(field "$(perch -j reason show)" '[.[] | select(.verdict == "drop") | .count] | add // 0')" = 0 ]
	no_checksum_errors far c lb s1
}

run test_a_smaller_link_of_the_clients_is_found_by_the_backend test_a_smaller_link_of_the_balancer_is_found_by_the_client \
	test_forgotten_neighbours_lose_nothing test_nothing_was_dropped_by_perch
finish
