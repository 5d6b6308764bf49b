#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# A smaller link between the balancer and its backend, which a router there
# tells of: for nat and fullnat the client, or who the backend takes for it; for
# a tunnel the balancer, which remembers it and tells every client.  dsr has no
# router between.  And what the balancer hears when nobody takes packets out.
LAB_TX=on
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=paths.sh
. "$(dirname "$0")/paths.sh"
# shellcheck source=ways.sh
. "$(dirname "$0")/ways.sh"

# Element i of each: way, the client's address of the service, the backend's own,
# and the bytes that go in front.
ALL=(nat nat fullnat fullnat ipip ipip ipip ipip gue gue gue gue)
LISTEN=(192.0.2.24 2001:db8::24 192.0.2.25 2001:db8::25
	192.0.2.22 2001:db8::22 192.0.2.26 2001:db8::26 192.0.2.23 2001:db8::23 192.0.2.27 2001:db8::27)
BACKEND=(10.5.0.2 fd05::2 10.5.0.2 fd05::2
	10.5.0.2 fd05::2 fd05::2 10.5.0.2 10.5.0.2 fd05::2 fd05::2 10.5.0.2)
ROOM=(0 0 0 0 20 40 40 20 28 48 48 28)

# far, near (clients) -- c (router) -- lb -- s1 (router) -- end (backend)
lab_up 1
behind c far 4
behind c near 6
behind s1 end 5
for net in 4 6; do
	lab_route lb "10.$net.0.0/24" via 10.0.0.2 dev c onlink
	lab_route lb "fd0$net::/64" via fd00::2 dev c onlink
done
lab_route lb 10.5.0.0/24 via 10.2.0.11 dev s1 onlink
lab_route lb fd05::/64 via fd02::11 dev s1 onlink
in_ns lb ip link set s1 mtu 1600
in_ns s1 ip link set eth0 mtu 1600
in_ns lb sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
lab_nginx end v1 80
take_listeners end
for i in 26 27; do
	in_ns end ip addr add "192.0.2.$i/32" dev lo
	in_ns end ip addr add "2001:db8::$i/128" dev lo
done
unpack end
UNPACKER=$SPAWNED

# counted NAME: how often perch gave this reason, whichever program.
counted() {
	field "$(perch -j reason show)" "[.[] | select(.name == \"$1\") | .count] | add // 0"
}

bracketed() {
	[[ $1 != *:* ]] && echo "$1" || echo "[$1]"
}

for i in "${!ALL[@]}"; do
	cat <<-END
		  - name: ${ALL[i]}-$i
		    forward: ${ALL[i]}
		    affinity: connection
		    listen: ["$(bracketed "${LISTEN[i]}"):80/tcp"]
		    versions:
		      - { name: v1, role: stable, backends: ["$(bracketed "${BACKEND[i]}")"] }
	END
done | perch_config "$MODE"
start_perchd
[ "$MODE" = tc ] || lab_offload tx off
head -c 3M /dev/urandom > "$LAB_DIR/sent"

# The link takes 1280 bytes of IPv6 inside a tunnel over it, and not many more.
MTU4=1312 MTU6=1332

# fits I: what a client of service I can send.
fits() {
	[[ ${BACKEND[$1]} != *:* ]] && echo $((MTU4 - ROOM[$1])) || echo $((MTU6 - ROOM[$1]))
}

test_a_smaller_link_behind_the_balancer_is_found_by_the_client() {
	local i
	small_link s1 end 5 "$MTU4" "$MTU6"
	for i in "${!ALL[@]}"; do
		forget far s1
		upload "$(bracketed "${LISTEN[i]}")"
		expect learned far "${LISTEN[i]}" "$(fits "$i")"
	done
	expect [ "$(counted path_mtu)" -gt 0 ]
	expect [ "$(counted too_big_told)" -gt 0 ]
}

# The balancer says it to the next client, before it meets the router.
test_the_next_client_is_told_by_the_balancer() {
	local i heard
	heard=$(counted path_mtu)
	for i in "${!ALL[@]}"; do
		[ "${ROOM[i]}" -gt 0 ] || continue
		forget near
		expect in_ns near curl -gsSf -m 60 -T "$LAB_DIR/sent" "http://$(bracketed "${LISTEN[i]}")/up/file"
		expect learned near "${LISTEN[i]}" "$(fits "$i")"
	done
	expect [ "$(counted path_mtu)" = "$heard" ]
}

# Of GUE over IPv6 the kernel says nothing: its checksum is 0.
test_nobody_who_takes_packets_out_is_counted() {
	local i before
	lab_kill TERM "$UNPACKER"
	expect in_ns end "$BUILD/perchd" -c "$LAB_DIR/end/perch.yaml" --detach
	for i in 4 5 8; do
		before=$(counted tunnel_error)
		refused in_ns far curl -gsSf -m 2 "http://$(bracketed "${LISTEN[i]}")/"
		expect [ "$(counted tunnel_error)" -gt "$before" ]
	done
}

test_nothing_was_dropped_by_perch() {
	expect [ "$(field "$(perch -j reason show)" '[.[] | select(.verdict == "drop") | .count] | add // 0')" = 0 ]
	no_checksum_errors far near c lb s1 end
}

run test_a_smaller_link_behind_the_balancer_is_found_by_the_client test_the_next_client_is_told_by_the_balancer \
	test_nobody_who_takes_packets_out_is_counted test_nothing_was_dropped_by_perch
finish
