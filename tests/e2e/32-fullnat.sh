#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Fullnat: backends whose routes do not lead back through the balancer see its
# address, answer it, and the client gets what they said: files and datagrams
# of IPv4 and IPv6, weights, a rollback, an agent that dies; and a source whose
# ports are all in use.
LAB_TX=on
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

MEGABYTES=100
PORTS=64
SOURCE=10.9.0.9
lab_up 2
# the lab's own connections take every port; this host is as hosts are
in_ns lb sysctl -qw net.ipv4.ip_local_port_range="32768 60999"
for s in s1 s2; do
	in_ns $s ip -4 route del default
	in_ns $s ip -6 route del default
	lab_route $s $SOURCE via 10.2.0.1 dev eth0 onlink
	lab_nginx $s "v${s#s}" 8080
	lab_namesrv $s "n${s#s}" 7000 7001 7002
done
service() {
	cat <<-END
		  - name: $1
		    listen: ["$2"]
		    forward: fullnat
		    affinity: connection
		    healthCheck: { type: none }
		    rollback: { established: ${5:-drain}, drainTimeout: 2s }
		    versions:
		      - { name: v1, role: stable, backends: ["$3"] }
		      - { name: v2, role: canary, backends: ["$4"] }
	END
}
{
	service web "$VIP4:80/tcp" 10.2.0.11:8080 10.2.0.12:8080
	service web6 "[$VIP6]:80/tcp" "[fd02::11]:8080" "[fd02::12]:8080"
	service udp "$VIP4:7000/udp" 10.2.0.11 10.2.0.12
	service udp6 "[$VIP6]:7000/udp" "[fd02::11]" "[fd02::12]"
	service long "$VIP4:7001/tcp" 10.2.0.11 10.2.0.12 sever
	service few "$VIP4:7002/tcp" 10.2.0.11 10.2.0.12
	echo "    fullnat: { sources: [$SOURCE], ports: 61000-$((61000 + PORTS - 1)) }"
} | perch_config "$MODE"
start_perchd
head -c "${MEGABYTES}M" /dev/urandom > "$LAB_DIR/sent"

# reason NAME: how often, over all hooks.
reason() {
	field "$(perch -j reason show)" "[.[] | select(.name == \"$1\") | .count] | add // 0"
}

alarm_is() {
	perch -j status | jq -e ".alarms[] | select(.kind == \"$1\")"
}

active_is() {
	[ "$(version "$1" v1 .active)" = "$2" ]
}

test_backends_have_no_way_to_the_clients() {
	expect refused in_ns s1 ip route get 10.1.0.7
	expect refused in_ns s1 ip -6 route get fd01::7
	expect [ "$(in_ns c curl -s -m 5 "http://$VIP4/")" = v1 ]
}

# The host's state is looked at every ten seconds.
test_the_host_is_as_fullnat_needs_it_and_what_it_lacks_is_told() {
	sleep 12
	expect refused alarm_is fullnat
	in_ns lb sysctl -qw net.ipv4.ip_local_port_range="1024 65535"
	expect wait_for 30 alarm_is fullnat
	perch doctor | grep -A1 ip_local_port_range
	in_ns lb sysctl -qw net.ipv4.ip_local_reserved_ports=1024-65535
	expect wait_for 30 no_alarm
	in_ns lb sysctl -qw net.ipv4.ip_local_reserved_ports= net.ipv4.ip_local_port_range="32768 60999"
}

no_alarm() {
	! alarm_is fullnat
}

test_files_over_ipv4_are_identical() {
	files_are_identical "$VIP4" web
}

test_files_over_ipv6_are_identical() {
	files_are_identical "[$VIP6]" web6
}

test_datagrams_of_every_size_over_ipv4_are_identical() {
	expect in_ns c "$TOOLS/udpsizes" "$VIP4" 7000
	no_checksum_errors c lb s1
}

test_datagrams_of_every_size_over_ipv6_are_identical() {
	expect in_ns c "$TOOLS/udpsizes" "$VIP6" 7000
	no_checksum_errors c lb s1
}

# A thousand clients with the same port: two backends see them as one host.
test_many_clients_share_one_source() {
	local seen
	seen=$(short -H -n 1000 -j 16 -s 10.1.1.0 -m 1000 -P 4444 -w 20000 "$VIP4" 80)
	echo "$seen"
	expect [ "$(count "$seen" v1)" = 1000 ]
	expect [ "$(field "$seen" .failed)" = 0 ]
}

test_weights_are_kept_and_a_rollback_is_at_once() {
	local seen
	expect perch weight set web v2 50
	seen=$(short -H -n 1000 -j 16 -s 10.1.1.0 -m 1000 -w 20000 "$VIP4" 80)
	echo "$seen"
	expect within "$(count "$seen" v2)" 400 600
	expect [ "$(field "$seen" .failed)" = 0 ]
	expect perch rollback web
	seen=$(short -H -n 200 -j 16 -s 10.1.1.0 -m 200 -w 20000 "$VIP4" 80)
	expect [ "$(count "$seen" v1)" = 200 ]
}

test_connections_outlive_the_agent_and_sever_ends_the_canarys() {
	local state flow
	expect perch weight set long v2 50
	start_long long -n 60 -s 10.1.2.0 -m 60 "$VIP4" 7001
	expect wait_for 30 long_ready
	flow=$(perch -j flow show service long | jq '[.[] | select(.source | startswith("10.2.0.1:"))] | length')
	expect [ "$flow" = 60 ]
	lab_kill KILL "$PERCHD"
	sleep 2
	start_perchd
	state=$(long_state)
	echo "$state"
	expect [ "$(field "$state" .broken)" = 0 ]
	expect perch rollback long sever
	expect wait_for 20 canary_gone
	state=$(long_state)
	echo "$state"
	expect [ "$(open_to "$state" n2)" = 0 ]
	expect within "$(open_to "$state" n1)" 1 59
	expect [ "$(field "$state" .changed)" = 0 ]
	expect wait_for 10 active_is long "$(open_to "$state" n1)"
	lab_kill TERM "$LONG"
	expect wait_for 20 active_is long 0
}

# open_to STATE NAME: connections to it that are open.
open_to() {
	field "$1" ".names[\"$2\"].open"
}

canary_gone() {
	[ "$(open_to "$(long_state)" n2)" = 0 ]
}

test_a_source_whose_ports_are_all_in_use() {
	local seen
	start_long few -n "$PORTS" -s 10.1.3.0 -m "$PORTS" "$VIP4" 7002
	expect wait_for 30 long_ready
	expect wait_for 10 active_is few "$PORTS"
	seen=$(short -n 20 -j 20 -s 10.1.4.0 -m 20 -w 1500 "$VIP4" 7002)
	echo "$seen"
	expect [ "$(field "$seen" .failed)" = 20 ]
	expect [ "$(reason no_source)" -ge 20 ]
	expect wait_for 5 alarm_is fullnat_ports
	# who is there does not notice
	seen=$(long_state)
	echo "$seen"
	expect [ "$(field "$seen" .broken)" = 0 ]
	expect active_is few "$PORTS"
	# and what is given back is to be had again
	lab_kill TERM "$LONG"
	expect wait_for 20 active_is few 0
	sleep 2
	seen=$(short -n $((PORTS * 2)) -j 16 -s 10.1.4.0 -m 100 -w 30000 "$VIP4" 7002)
	echo "$seen"
	expect [ "$(field "$seen" .failed)" = 0 ]
}

TESTS_OF_BYTES=(test_files_over_ipv4_are_identical test_files_over_ipv6_are_identical
	test_datagrams_of_every_size_over_ipv4_are_identical test_datagrams_of_every_size_over_ipv6_are_identical)
run test_backends_have_no_way_to_the_clients test_the_host_is_as_fullnat_needs_it_and_what_it_lacks_is_told
echo "# offloads on"
run "${TESTS_OF_BYTES[@]}"
lab_offload tx off
echo "# tx off on every device"
run "${TESTS_OF_BYTES[@]}"
run test_many_clients_share_one_source test_weights_are_kept_and_a_rollback_is_at_once \
	test_connections_outlive_the_agent_and_sever_ends_the_canarys test_a_source_whose_ports_are_all_in_use
finish
