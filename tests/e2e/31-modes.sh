#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# dsr, ipip and gue with real servers: the listeners' addresses are on the
# backends' loopback, tunnels end at a second perchd there.  Not a byte is
# changed, IPv4 and IPv6, TCP and UDP, up and down, offloads on and with tx off
# on every device; weights move, rollbacks work, what nobody sees is null.
LAB_TX=on
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=ways.sh
. "$(dirname "$0")/ways.sh"

MEGABYTES=${MEGABYTES:-100}
unpacked() {
	field "$(at "$1" -j reason show)" '[.[] | select(.name == "unpacked") | .count] | add // 0'
}

service() {
	cat <<-END
		  - name: $1
		    forward: $2
		    affinity: connection
		    listen: ["$3:80/tcp", "$3:7000/udp"]
		    rollback: { established: ${6:-drain} }
		    versions:
		      - { name: v1, role: stable, backends: ["$4"] }
		      - { name: v2, role: canary, backends: ["$5"] }
	END
}

lab_up 2
lab_nginx s1 v1 80
lab_nginx s2 v2 80
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
prepare_backend s1
prepare_backend s2
{
	for i in 0 1 2; do
		service "${WAYS[i]}4" "${WAYS[i]}" "${ADDRESSES4[i]}" 10.2.0.11 10.2.0.12
		service "${WAYS[i]}6" "${WAYS[i]}" "[${ADDRESSES6[i]}]" "[fd02::11]" "[fd02::12]" sever
	done
	# IPv4 inside IPv6
	service mixed ipip 192.0.2.21 "[fd02::11]" "[fd02::12]" | sed 's/:80/:81/; s/:7000/:7001/'
} | perch_config "$MODE"
start_perchd
head -c "${MEGABYTES}M" /dev/urandom > "$LAB_DIR/sent"

# each FUNCTION: with every way's name and both its addresses.
each() {
	local i
	for i in 0 1 2; do
		"$1" "${WAYS[i]}" "${ADDRESSES4[i]}" "${ADDRESSES6[i]}"
	done
}

carries_files() {
	upload_and_download "$2"
	upload_and_download "[$3]"
	# requests alone come by here
	expect wait_for 5 through "${1}4" $((MEGABYTES * 1000000))
	expect wait_for 5 through "${1}6" $((MEGABYTES * 1000000))
	expect [ "$(version "${1}4" v1 .bytes)" -lt $((MEGABYTES * 1900000 * (RUNS + 1))) ]
}

test_files_are_identical() {
	each carries_files
	RUNS=$((RUNS + 1))
	no_checksum_errors c lb s1
}

carries_datagrams() {
	expect in_ns c "$TOOLS/udpsizes" "$2" 7000
	expect in_ns c "$TOOLS/udpsizes" "$3" 7000
}

test_datagrams_of_every_size_are_identical() {
	each carries_datagrams
	no_checksum_errors c lb s1
}

test_ipv4_goes_inside_ipv6_too() {
	in_ns s1 nft add table ip way
	in_ns s1 nft add chain ip way in '{ type nat hook prerouting priority -100; }'
	in_ns s1 nft add rule ip way in tcp dport 81 redirect to :80
	upload_and_download 192.0.2.21:81
	expect wait_for 5 through mixed $((MEGABYTES * 1000000))
	in_ns s1 nft delete table ip way
}

test_backends_took_the_packets_out_of_their_tunnels() {
	expect [ "$(unpacked s1)" -gt 10000 ]
}

test_nothing_was_dropped_by_perch() {
	local drops
	drops=$(field "$(perch -j reason show)" '[.[] | select(.verdict == "drop") | .count] | add // 0')
	expect [ "$drops" = 0 ]
}

# share ADDRESS: how many of 40 connections v2 answered.
share() {
	in_ns c bash -c "for ((i = 0; i < 40; i++)); do curl -sg -m 5 'http://$1/'; done" | grep -c v2
}

moves_and_rolls_back() {
	local name
	for name in "${1}4 $2" "${1}6 [$3]"; do
		expect perch weight set "${name% *}" v2 100
		expect [ "$(share "${name#* }")" = 40 ]
		expect perch rollback "${name% *}"
		expect [ "$(share "${name#* }")" = 0 ]
		expect perch weight set "${name% *}" v2 0 force
	done
}

test_weights_move_and_rollbacks_bring_them_back() {
	each moves_and_rolls_back
}

sees_one_side() {
	local seen
	seen=$(perch -j service show "${1}4")
	expect [ "$(field "$seen" '.[0].forward')" = "$1" ]
	expect [ "$(field "$seen" '[.[0].versions[] | .connectFailures, .resets, .connectTime, .responseTime | select(. != null)] | length')" = 0 ]
	expect [ "$(field "$seen" '.[0].versions[] | select(.name == "v1") | .connections')" -gt 0 ]
	refused perch rollout start "${1}4"
	expect grep -q "every gate is blind.*perch weight set ${1}4" <(perch rollout start "${1}4" 2>&1)
}

test_what_nobody_sees_is_null_and_judged_by_nobody() {
	each sees_one_side
	expect [ "$(in_ns lb curl -s --unix-socket "$LAB_DIR/perch.sock" http://perch/metrics |
		grep -c '^perch_\(resets\|connect_failures\)_total.*service="dsr4"')" = 0 ]
}

# none_active NAME: its connections have ended, those of UDP by their silence.
none_active() {
	[ "$(version "$1" v1 .active)" = 0 ]
}

test_connections_end_in_the_count_too() {
	local way
	for way in "${WAYS[@]}"; do
		expect wait_for 45 none_active "${way}4"
	done
}

# A version that is severed: idle clients hear of it at once.
severs() {
	local state
	# what the rollback before this one rejected: by a person's word alone
	refused perch weight set "${1}6" v2 100
	expect perch rollout retry "${1}6"
	expect perch weight set "${1}6" v2 100
	lab_spawn c "$LAB_DIR/idle" bash -c "exec 3<> /dev/tcp/$3/80; printf 'GET / HTTP/1.1\r\nHost: a\r\n\r\n' >&3; cat <&3"
	wait_for 5 grep -q v2 "$LAB_DIR/idle"
	expect perch rollback "${1}6" sever
	expect wait_for 10 is_gone "$SPAWNED"
	state=$(perch weight set "${1}6" v2 0 force 2>&1) || expect echo "$state"
}

test_idle_clients_of_a_severed_version_are_told() {
	each severs
}

test_doctor_has_nothing_against_the_ways() {
	local found
	found=$(perch -j doctor | jq -c '[.[] | select(.check == "modes" and .level != "ok")]')
	expect [ "$found" = '[]' ] || echo "$found"
	in_ns lb ip link set s1 mtu 1500
	expect grep -q "do not fit" <(perch -j doctor | jq -r '.[] | select(.check == "modes") | .text')
	in_ns lb ip link set s1 mtu 1600
}

test_another_way_is_refused_while_it_is_loaded() {
	sed 's/forward: dsr/forward: ipip/' "$LAB_DIR/perch.yaml" > "$LAB_DIR/other.yaml"
	refused perch config apply "$LAB_DIR/other.yaml"
	expect grep -q "forward: is dsr while 'dsr4' is loaded" <(perch config apply "$LAB_DIR/other.yaml" 2>&1)
	expect [ "$(field "$(perch -j service show dsr4)" '.[0].forward')" = dsr ]
}

RUNS=0
TESTS_OF_BYTES=(test_files_are_identical test_datagrams_of_every_size_are_identical test_ipv4_goes_inside_ipv6_too)
echo "# offloads on"
run "${TESTS_OF_BYTES[@]}"
lab_offload tx off
echo "# tx off on every device"
run "${TESTS_OF_BYTES[@]}"
run test_backends_took_the_packets_out_of_their_tunnels test_nothing_was_dropped_by_perch \
	test_what_nobody_sees_is_null_and_judged_by_nobody test_connections_end_in_the_count_too \
	test_weights_move_and_rollbacks_bring_them_back test_idle_clients_of_a_severed_version_are_told \
	test_doctor_has_nothing_against_the_ways test_another_way_is_refused_while_it_is_loaded
finish
