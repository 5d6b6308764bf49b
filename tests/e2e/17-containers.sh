#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Backends in containers, behind veth pairs and behind a bridge, on a host with
# strict reverse path filters and a firewall that drops what conntrack does not
# know.  First perch is on the clients' side alone: requests take the stack and
# replies are turned where they leave.  Then patterns put it on every container
# as well, also on those that come later.
LAB_TX=on
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

MEGABYTES=20

# container NAME PORT NUMBER: behind the bridge, 10.3.0.NUMBER, by lb's device PORT.
container() {
	lab_namespace "$1"
	port "$1" "$2" "$3"
}

# port NAME PORT NUMBER: the container's way to the bridge.
port() {
	ip link add "$2" netns "p$$-lb" type veth peer name eth0 netns "p$$-$1"
	in_ns lb ip link set "$2" master br0 up
	in_ns "$1" ip link set eth0 up
	in_ns "$1" ip addr add "10.3.0.$3/24" dev eth0
	in_ns "$1" ip -6 addr add "fd03::$3/64" dev eth0 nodad
	in_ns "$1" ethtool -K eth0 gro on > /dev/null
	lab_route "$1" default via 10.3.0.1 dev eth0 onlink
	lab_route "$1" default via fd03::1 dev eth0 onlink
	# as what starts in it does: the host learns its MAC, which may be another
	in_ns "$1" curl -s -m 0.2 http://10.3.0.1:9/ "http://[fd03::1]:9/" > /dev/null
}

lab_up 2
in_ns lb ip link add br0 type bridge
in_ns lb ip link set br0 up
in_ns lb ip addr add 10.3.0.1/24 dev br0
in_ns lb ip -6 addr add fd03::1/64 dev br0 nodad
container k1 p1 11
container k2 p2 12
in_ns lb sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1
for DEVICE in c s1 s2 br0; do
	in_ns lb sysctl -qw "net.ipv4.conf.$DEVICE.rp_filter=1"
done
in_ns lb nft -f - <<-END
	table inet filter {
		counter invalid {}
		counter begun {}
		chain forward {
			type filter hook forward priority 0; policy drop;
			ct state invalid counter name invalid drop
			ct state established,related accept
			tcp dport 8080 ct state new counter name begun accept
			tcp dport 7000 accept
			meta l4proto { icmp, ipv6-icmp } accept
		}
	}
END
in_ns c nft -f - <<-END
	table inet filter {
		counter unturned {}
		chain prerouting {
			type filter hook prerouting priority 0; policy accept;
			tcp sport 8080 counter name unturned
		}
	}
END
lab_nginx s1 v1 8080
lab_nginx s2 v2 8080
lab_nginx k1 w1 8080
lab_nginx k2 w2 8080
lab_namesrv k1 w1 7000
head -c "${MEGABYTES}M" /dev/urandom > "$LAB_DIR/sent"

# service NAME PORT STABLE IPV4 IPV6 [CANARY IPV4 IPV6]
service() {
	printf '  - name: %s\n    listen: ["%s:%s/tcp", "[%s]:%s/tcp"]\n    affinity: connection\n    versions:\n' \
		"$1" "$VIP4" "$2" "$VIP6" "$2"
	printf '      - { name: %s, role: stable, backends: ["%s:8080", "[%s]:8080"] }\n' "$3" "$4" "$5"
	[ $# -lt 6 ] || printf '      - { name: %s, role: canary, backends: ["%s:8080", "[%s]:8080"] }\n' "$6" "$7" "$8"
}

# configure INTERFACE...: beside the clients' side.
configure() {
	local entry lines=
	for entry in "$@"; do
		lines+="  - $entry\n"
	done
	{
		service veths 80 v1 10.2.0.11 fd02::11 v2 10.2.0.12 fd02::12
		service bridged 81 w1 10.3.0.11 fd03::11 w2 10.3.0.12 fd03::12
		service later 82 x1 10.3.0.13 fd03::13
		service after 83 y1 10.2.0.19 fd02::19
		service long 84 w1 10.3.0.11 fd03::11 | sed 's/8080/7000/g'
	} | LAB_BACKENDS=0 perch_config "$MODE"
	[ -z "$lines" ] || sed -i "s|^services:|${lines}services:|" "$LAB_DIR/perch.yaml"
}

clean() {
	no_checksum_errors c lb s1 s2 k1 k2
	expect [ "$(in_ns lb nstat -saz | awk '/IPReversePathFilter/ { print $2 }')" = 0 ]
	expect [ "$(nft_counter lb invalid)" = 0 ]
	expect [ "$(nft_counter c unturned)" = 0 ]
}

all_files() {
	upload_and_download "$VIP4" v1
	upload_and_download "[$VIP6]" v1
	upload_and_download "$VIP4:81" w1
	upload_and_download "[$VIP6]:81" w1
	clean
}

# halves SERVICE CANARY PORT
halves() {
	local seen
	expect perch weight set service "$1" canary 50
	for seen in "$(short -n 600 -H -s 10.1.1.0 -m 500 "$VIP4" "$3")" \
		"$(short -n 600 -H -s fd01::1:0 -m 500 "$VIP6" "$3")"; do
		echo "$seen"
		expect [ "$(field "$seen" .failed)" = 0 ]
		expect within "$(count "$seen" "$2")" 220 380
	done
	expect perch weight set service "$1" canary 0
}

test_files_through_the_stack_are_identical() {
	all_files
}

test_weights_hold_through_the_stack() {
	local before
	before=$(nft_counter lb begun)
	halves veths v2 80
	halves bridged w2 81
	# it was the stack that carried them, and saw both directions
	expect [ "$(nft_counter lb begun)" -ge $((before + 2400)) ]
	clean
}

# Connections that are to live through all that follows: some begin through the
# stack, some past it.
LIVE=()

test_connections_begin_that_live_long() {
	start_long "alive-${#LIVE[@]}" -n 200 -i 100 -s "10.1.2$(((${#LIVE[@]} + 1) / 2)).0" -m 200 "$VIP4" 84
	expect wait_for 10 long_ready
	LIVE+=("$LONG" "$LONG_LOG")
}

test_long_connections_are_alive() {
	local state i
	for ((i = 0; i < ${#LIVE[@]}; i += 2)); do
		LONG=${LIVE[i]} LONG_LOG=${LIVE[i + 1]}
		state=$(long_state)
		kill -USR2 "$LONG"	# also those that were silent
		expect wait_for 5 none_waits
		state=$(long_state)
		echo "$state"
		expect [ "$(field "$state" .open)" = 200 ]
		expect [ "$(field "$state" .broken)" = 0 ]
		expect [ "$(field "$state" .changed)" = 0 ]
	done
}

none_waits() {
	[ "$(field "$(long_state)" .waiting)" = 0 ]
}

attached() {
	field "$(perch -j datapath show)" ".interfaces[] | select(.name == \"$1\") | .mode // empty"
}

is_attached() {
	[ -n "$(attached "$1")" ]
}

alarms() {
	field "$(perch -j status)" '.alarms | length'
}

# Requests on their way from the stack to the containers' devices.
test_patterns_attach_more_without_a_failure() {
	local short seen
	lab_spawn c "$LAB_DIR/short" "$TOOLS/shortconn" -H -t 60 -r 400 -s 10.1.1.0 -m 500 "$VIP4" 81
	short=$SPAWNED
	sleep 0.3
	configure "{ name: 's*', attach: $MODE }" "{ name: 'zz*' }" '{ name: br0, attach: tc }' "{ name: '[px]*', attach: $MODE }"
	expect wait_for 5 is_attached p2
	sleep 0.5
	lab_kill TERM "$short"
	seen=$(cat "$LAB_DIR/short")
	echo "$seen"
	expect [ "$(field "$seen" .failed)" = 0 ]
	seen=$(perch -j datapath show | jq -c '[.interfaces[] | [.name, .pattern, .mode != null]]')
	echo "$seen"
	expect [ "$seen" = '[["c",null,true],["s1","s*",true],["s2","s*",true],["zz*","zz*",false],["br0",null,true],["p1","[px]*",true],["p2","[px]*",true]]' ]
	# a pattern may well wait; only what was named is missed
	expect [ "$(alarms)" = 0 ]
	expect grep -q "'zz\*' matches no interface yet" "$LAB_DIR/perchd.err"
	clean
}

test_files_past_the_stack_are_identical() {
	all_files
}

test_weights_hold_past_the_stack() {
	local before
	before=$(nft_counter lb begun)
	halves veths v2 80
	halves bridged w2 81
	expect [ "$(nft_counter lb begun)" = "$before" ]
	clean
}

serves() {
	[ "$(in_ns c curl -sf -m 1 "http://$1/")" = "$2" ]
}

pins_of() {
	find "$LAB_DIR/bpf/perch/links" -name "$1-*" | wc -l
}

no_pins_of() {
	[ "$(pins_of "$1")" = 0 ] && ! is_attached "$1"
}

test_container_that_comes_later_is_attached_and_served() {
	local begun
	container k3 p3 13
	lab_nginx k3 x1 8080
	lab_namespace s9
	lab_link s9 s9 10.2.0.19 fd02::19 10.2.0.1 fd02::1
	lab_nginx s9 y1 8080
	expect wait_for 3 is_attached p3
	expect wait_for 3 is_attached s9
	begun=$(nft_counter lb begun)
	expect wait_for 3 serves "$VIP4:82" x1
	expect wait_for 3 serves "[$VIP6]:83" y1
	expect [ "$(field "$(short -n 200 -H -s 10.1.1.0 -m 200 "$VIP4" 82)" .failed)" = 0 ]
	expect [ "$(field "$(short -n 200 -H -s fd01::1:0 -m 200 "$VIP6" 83)" .failed)" = 0 ]
	expect [ "$(nft_counter lb begun)" = "$begun" ]
	clean
}

test_container_that_goes_leaves_nothing_and_may_come_back() {
	expect [ "$(pins_of p3)" -ge 1 ]
	in_ns lb ip link del p3
	in_ns lb ip link del s9
	expect wait_for 3 no_pins_of p3
	expect wait_for 3 no_pins_of s9
	expect [ "$(alarms)" = 0 ]
	port k3 p3 13
	lab_link s9 s9 10.2.0.19 fd02::19 10.2.0.1 fd02::1
	expect wait_for 3 is_attached p3
	expect wait_for 3 serves "$VIP4:82" x1
	expect wait_for 3 serves "$VIP4:83" y1
	clean
}

test_renamed_interface_is_attached_by_its_new_name() {
	in_ns lb ip link set p3 down
	in_ns lb ip link set p3 name other
	expect wait_for 3 no_pins_of p3
	expect [ "$(in_ns lb "${BPFTOOL:-bpftool}" net show dev other 2>/dev/null | grep -c perch)" = 0 ]
	in_ns lb ip link set other name x3
	in_ns lb ip link set x3 up
	expect wait_for 3 is_attached x3
	expect wait_for 3 serves "$VIP4:82" x1
	clean
}

test_next_agent_knows_them_all() {
	local begun
	begun=$(nft_counter lb begun)
	stop_perchd KILL
	# gone while nobody looked
	in_ns lb ip link del x3
	start_perchd
	expect no_pins_of x3
	halves bridged w2 81
	halves veths v2 80
	expect [ "$(nft_counter lb begun)" = "$begun" ]
	expect [ "$(alarms)" = 0 ]
	clean
}

test_patterns_taken_back_leave_the_stack_to_it() {
	local begun
	begun=$(nft_counter lb begun)
	configure
	expect wait_for 5 no_pins_of s1
	expect no_pins_of p1
	halves bridged w2 81
	halves veths v2 80
	expect [ "$(nft_counter lb begun)" -ge $((begun + 2400)) ]
	clean
}

# A port of the bridge without the bridge: requests leave by the bridge, so
# the stack is to see their replies too, though they come in by the port.
test_ports_without_their_bridge_leave_the_stack_to_it() {
	local begun
	configure "{ name: 'p*', attach: $MODE }"
	expect wait_for 5 is_attached p2
	begun=$(nft_counter lb begun)
	halves bridged w2 81
	expect [ "$(nft_counter lb begun)" -ge $((begun + 1200)) ]
	clean
}

test_bridge_without_its_ports_is_enough() {
	local begun
	configure '{ name: br0 }'
	expect wait_for 5 no_pins_of p2
	expect wait_for 5 is_attached br0
	begun=$(nft_counter lb begun)
	halves bridged w2 81
	expect [ "$(nft_counter lb begun)" = "$begun" ]
	clean
}

test_pattern_for_all_leaves_loopback_alone() {
	local names
	configure "{ name: '*' }"
	expect wait_for 5 is_attached s1
	names=$(perch -j datapath show | jq -r '[.interfaces[] | .name] | join(" ")')
	expect [ "$names" = "c br0 p1 p2 s1 s2 s9" ]
	expect [ "$(alarms)" = 0 ]
	halves veths v2 80
	clean
}

alarm() {
	perch -j status | jq -e --arg kind "$1" --arg text "$2" '.alarms[] | select(.kind == $kind and (.text + .remedy | contains($text)))'
}

# The route back to these clients is not the way they come.
test_strict_filter_that_drops_is_an_alarm() {
	configure
	expect wait_for 5 no_pins_of s1
	lab_route lb 10.1.9.0/24 via 10.2.0.11 dev s1 onlink
	expect refused in_ns c curl -s -m 0.5 --interface 10.1.9.1 "http://$VIP4/"
	kill -HUP "$PERCHD"
	expect wait_for 5 alarm rp_filter net.ipv4.conf.c.rp_filter=2
	perch status
	in_ns lb ip route del 10.1.9.0/24
}

configure
start_perchd
run test_files_through_the_stack_are_identical test_weights_hold_through_the_stack \
	test_connections_begin_that_live_long test_patterns_attach_more_without_a_failure \
	test_connections_begin_that_live_long test_long_connections_are_alive test_files_past_the_stack_are_identical \
	test_weights_hold_past_the_stack test_container_that_comes_later_is_attached_and_served \
	test_container_that_goes_leaves_nothing_and_may_come_back test_renamed_interface_is_attached_by_its_new_name \
	test_next_agent_knows_them_all test_patterns_taken_back_leave_the_stack_to_it \
	test_long_connections_are_alive test_ports_without_their_bridge_leave_the_stack_to_it \
	test_bridge_without_its_ports_is_enough test_long_connections_are_alive \
	test_pattern_for_all_leaves_loopback_alone test_strict_filter_that_drops_is_an_alarm
finish
