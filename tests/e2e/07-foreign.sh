#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What is not ours is not touched: odd packets arrive with perch as they do
# without it, byte for byte, in both directions; and another XDP program stays,
# stays beside ours, or gives way, as the configuration says.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 1
lab_namesrv s1 v1 8080
LB_MAC=$(in_ns lb ip -j link show c | jq -r '.[0].address')
LB_BACK_MAC=$(in_ns lb ip -j link show s1 | jq -r '.[0].address')
services() {
	cat <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp"]
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:8080"] }
	  - name: web6
	    listen: ["[$VIP6]:80/tcp"]
	    versions:
	      - { name: v1, role: stable, backends: ["[fd02::11]:8080"] }
	END
}
services | perch_config "$MODE"

# From the client: to another address, to the listener's address, to its port.
towards_backends() {
	local c=(in_ns c "$TOOLS/frames" send eth0 "$LB_MAC")
	"${c[@]}" 10.1.0.5 10.2.0.11 80 tcp udp fragment options icmp sctp gre short
	"${c[@]}" 10.1.0.5 "$VIP4" 81 tcp udp fragment options icmp sctp gre short
	"${c[@]}" 10.1.0.5 "$VIP4" 80 udp fragment icmp sctp gre short
	"${c[@]}" fd01::5 fd02::11 80 tcp udp fragment options icmp
	"${c[@]}" fd01::5 "$VIP6" 81 tcp udp fragment options icmp
	"${c[@]}" fd01::5 "$VIP6" 80 udp fragment options icmp
}
TOWARDS_BACKENDS=36

# From a backend, whose replies perch knows: no flow names these.
towards_clients() {
	local s=(in_ns s1 "$TOOLS/frames" send eth0 "$LB_BACK_MAC")
	"${s[@]}" 10.2.0.11 10.1.0.5 80 tcp udp fragment options icmp sctp gre short
	"${s[@]}" fd02::11 fd01::5 80 tcp udp fragment options icmp
}
TOWARDS_CLIENTS=13

# capture NS FILE COUNT SENDER: what arrives, sorted.
capture() {
	local watcher
	lab_spawn "$1" "$LAB_DIR/$2.raw" "$TOOLS/frames" watch eth0
	watcher=$SPAWNED
	wait_for 5 grep -q watching "$LAB_DIR/$2.raw"
	"$4"
	wait_for 5 arrived "$LAB_DIR/$2.raw" "$3"
	lab_kill TERM "$watcher"
	sed 1d "$LAB_DIR/$2.raw" | sort > "$LAB_DIR/$2"
	expect [ "$(wc -l < "$LAB_DIR/$2")" = "$3" ]
}

arrived() {
	[ "$(wc -l < "$1")" -gt "$2" ]
}

test_lab_forwards_all_kinds_without_perch() {
	capture s1 before-s "$TOWARDS_BACKENDS" towards_backends
	capture c before-c "$TOWARDS_CLIENTS" towards_clients
}

test_perch_is_in_the_path() {
	start_perchd
	expect short -n 50 -s 10.1.1.0 -m 50 "$VIP4" 80
	expect short -n 50 -s fd01::1 -m 50 "$VIP6" 80
}

test_packets_towards_backends_are_identical() {
	capture s1 after-s "$TOWARDS_BACKENDS" towards_backends
	expect diff "$LAB_DIR/before-s" "$LAB_DIR/after-s"
}

test_packets_towards_clients_are_identical() {
	capture c after-c "$TOWARDS_CLIENTS" towards_clients
	expect diff "$LAB_DIR/before-c" "$LAB_DIR/after-c"
}

# reason NAME: its count over all hooks.
reason() {
	field "$(perch -j reason show)" ".[] | select(.name == \"$1\") | .count"
}

test_each_pass_has_a_counted_reason() {
	local name
	for name in not_ours fragment protocol no_listener not_our_reply malformed; do
		expect [ "$(reason "$name")" -gt 0 ]
	done
	expect [ "$(field "$(perch -j reason show)" '[.[] | select(.verdict == "drop") | .count] | add')" = 0 ]
}

test_direct_connections_to_a_backend_work() {
	expect short -n 500 -s 10.1.1.0 -m 100 10.2.0.11 8080
	expect short -n 500 -s fd01::1 -m 100 fd02::11 8080
}

# One client to the listener and to its backend at once.  From one port both
# would be the same connection to the backend, so the first has one that the
# others are never given.
test_direct_connection_beside_a_steered_one_works() {
	local through
	start_long through -n 200 -s 10.1.3.0 -m 200 -P 1023 "$VIP4" 80
	through=$LONG
	expect wait_for 10 long_ready
	expect short -n 4000 -s 10.1.3.0 -m 200 10.2.0.11 8080
	expect [ "$(field "$(long_state)" .broken)" = 0 ]
	lab_kill TERM "$through"
}

# Another program on the clients' device; $THEIRS is its id.
another_program() {
	in_ns lb ip link set dev c xdpdrv obj "$BUILD/tests/e2e/passby.bpf.o" sec xdp
	THEIRS=$(xdp_id)
}

xdp_id() {
	in_ns lb ip -j -d link show c | jq '.[0].xdp.prog.id // 0'
}

# foreign WORD: the agent starts anew with the program there and this policy.
foreign() {
	lab_kill TERM "$PERCHD"
	in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach
	another_program
	services | perch_config xdp
	sed -i "s/{ name: c, attach: xdp }/{ name: c, attach: xdp, foreign: $1 }/" "$LAB_DIR/perch.yaml"
	start_perchd
}

interface() {
	field "$(perch -j datapath show)" ".interfaces[] | select(.name == \"c\") | $1"
}

steered() {
	expect short -n 200 -s 10.1.1.0 -m 50 "$VIP4" 80
	expect short -n 200 -s fd01::1 -m 50 "$VIP6" 80
}

test_another_program_is_refused_and_named() {
	local alarm
	foreign refuse
	alarm=$(perch -j status | jq '.alarms[] | select(.kind == "interface")')
	echo "$alarm"
	expect grep -q "XDP program 'passby' (id $THEIRS) is there" <<< "$alarm"
	expect grep -q 'remedy.*foreign: tc' <<< "$alarm"
	expect [ "$(interface .mode)" = null ]
	expect [ "$(xdp_id)" = "$THEIRS" ]
	# once it is away perch comes by itself
	in_ns lb ip link set dev c xdpdrv off
	expect wait_for 15 interface_is xdp
	expect [ "$(field "$(perch -j status)" '.alarms | length')" = 0 ]
	steered
}

interface_is() {
	[ "$(interface .mode)" = "$1" ]
}

test_another_program_stays_and_perch_goes_beside_it() {
	foreign tc
	expect interface_is tc
	interface .note
	expect grep -q "'passby' (id $THEIRS) stays" <<< "$(interface .note)"
	expect [ "$(field "$(perch -j status)" '.alarms | length')" = 0 ]
	expect [ "$(xdp_id)" = "$THEIRS" ]
	steered
	lab_kill TERM "$PERCHD"
	in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach
	expect [ "$(xdp_id)" = "$THEIRS" ]
	in_ns lb ip link set dev c xdpdrv off
	start_perchd
}

test_another_program_gives_way() {
	foreign replace
	expect interface_is xdp
	interface .note
	expect grep -q "took the place of XDP program 'passby' (id $THEIRS)" <<< "$(interface .note)"
	expect grep -qE "^c +xdp +xdp .*took the place of" <<< "$(perch datapath show)"
	expect [ "$(xdp_id)" = "$(interface .xdp)" ]
	expect [ "$(field "$(perch -j status)" '.alarms | length')" = 0 ]
	steered
}

run test_lab_forwards_all_kinds_without_perch test_perch_is_in_the_path test_packets_towards_backends_are_identical \
	test_packets_towards_clients_are_identical test_each_pass_has_a_counted_reason \
	test_direct_connections_to_a_backend_work test_direct_connection_beside_a_steered_one_works
# attach: xdp is what these are about
[ "$MODE" = tc ] || run test_another_program_is_refused_and_named test_another_program_stays_and_perch_goes_beside_it \
	test_another_program_gives_way
finish
