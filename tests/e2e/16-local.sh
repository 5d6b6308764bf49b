#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Backends on the balancer itself: the listener is the host's own address and
# its versions are other ports of it, beside a firewall that drops whatever
# conntrack does not know.  Replies are turned where they leave.
LAB_TX=on
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

MEGABYTES=100
HOST4=10.0.0.1
HOST6=fd00::1

lab_up 1
in_ns lb sysctl -qw net.ipv4.conf.all.rp_filter=1
lab_nginx lb v1 8081
lab_nginx lb v2 8082
lab_nginx s1 v3 8083
lab_namesrv lb v1 7001
lab_namesrv lb v2 7002

# Clients may speak to the backends' ports; of the listeners it knows nothing.
in_ns lb nft -f - <<-END
	table inet filter {
		counter invalid {}
		chain input {
			type filter hook input priority 0; policy drop;
			ct state invalid counter name invalid drop
			ct state established,related accept
			iif lo accept
			meta l4proto { icmp, ipv6-icmp } accept
			tcp dport { 7001, 7002, 8081, 8082 } accept
			udp dport { 7001, 7002 } accept
		}
	}
END
# What the client must never see: a backend's own port.
in_ns c nft -f - <<-END
	table inet filter {
		counter unturned {}
		chain prerouting {
			type filter hook prerouting priority 0; policy accept;
			meta l4proto { tcp, udp } th sport { 7001, 7002, 8081, 8082, 8083 } counter name unturned
		}
	}
END

# service NAME LISTEN... -- STABLE... -- CANARY...
service() {
	local name=$1 lists=('' '' '') i=0
	shift
	while [ $# -gt 0 ]; do
		if [ "$1" = -- ]; then
			i=$((i + 1))
		else
			lists[i]+="${lists[i]:+, }\"$1\""
		fi
		shift
	done
	cat <<-END
		  - name: $name
		    listen: [${lists[0]}]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: [${lists[1]}] }
		      - { name: ${CANARY:-v2}, role: canary, backends: [${lists[2]}] }
	END
}

services() {
	service web "$HOST4:80/tcp" "[$HOST6]:80/tcp" -- "$HOST4:8081" "[$HOST6]:8081" -- "$HOST4:8082" "[$HOST6]:8082"
	service names "$HOST4:53/udp" "[$HOST6]:53/udp" -- "$HOST4:7001" "[$HOST6]:7001" -- "$HOST4:7002" "[$HOST6]:7002"
	service long "$HOST4:82/tcp" -- "$HOST4:7001" -- "$HOST4:7002"
	CANARY=v3 service mixed "$HOST4:81/tcp" -- "$HOST4:8081" -- 10.2.0.11:8083
}
services | perch_config "$MODE"
head -c "${MEGABYTES}M" /dev/urandom > "$LAB_DIR/sent"

clean() {
	no_checksum_errors c lb
	expect [ "$(nft_counter lb invalid)" = 0 ]
	expect [ "$(nft_counter c unturned)" = 0 ]
}

# halves CANARY shortconn's OPTION... ADDRESS PORT: 1,000 connections.
halves() {
	local canary=$1 seen
	shift
	seen=$(short -n 1000 "$@")
	echo "$seen"
	expect [ "$(field "$seen" .failed)" = 0 ]
	expect within "$(count "$seen" "$canary")" 420 580
}

test_firewall_lets_nobody_in_without_perch() {
	expect refused in_ns c curl -s -m 0.5 "http://$HOST4/"
	expect in_ns c curl -sf -m 2 -o /dev/null "http://$HOST4:8081/"
	expect in_ns c curl -sf -m 2 -o /dev/null "http://[$HOST6]:8082/"
	in_ns c nft reset counters > /dev/null
	start_perchd
	expect [ "$(field "$(perch -j status)" '.alarms | length')" = 0 ]
}

test_files_over_ipv4_are_identical() {
	upload_and_download "$HOST4"
	expect wait_for 3 through web $((2 * MEGABYTES * 1000000))
	clean
}

test_files_over_ipv6_are_identical() {
	upload_and_download "[$HOST6]"
	expect wait_for 3 through web $((4 * MEGABYTES * 1000000))
	clean
}

test_both_versions_serve_by_weight_and_one_after_a_rollback() {
	local seen
	expect perch weight set service web canary 50
	halves v2 -H -s 10.1.1.0 -m 500 "$HOST4" 80
	halves v2 -H -s fd01::1:0 -m 500 "$HOST6" 80
	expect perch rollback web
	for seen in "$(short -n 500 -H -s 10.1.1.0 -m 500 "$HOST4" 80)" "$(short -n 500 -H -s fd01::1:0 -m 500 "$HOST6" 80)"; do
		echo "$seen"
		expect [ "$(field "$seen" .failed)" = 0 ]
		expect [ "$(count "$seen" v1)" = 500 ]
	done
	clean
}

test_datagrams_are_served_by_weight_and_identical() {
	expect in_ns c "$TOOLS/udpsizes" "$HOST4" 53
	expect in_ns c "$TOOLS/udpsizes" "$HOST6" 53
	expect perch weight set service names canary 50
	halves v2 -u -s 10.1.1.0 -m 500 "$HOST4" 53
	halves v2 -u -s fd01::1:0 -m 500 "$HOST6" 53
	clean
}

test_versions_here_and_elsewhere_share_a_service() {
	expect perch weight set service mixed canary 50
	halves v3 -H -s 10.1.1.0 -m 500 "$HOST4" 81
	clean
}

none_open() {
	[ "$(field "$(long_state)" .open)" = 0 ] && [ -z "$(in_ns lb ss -Htn state established sport = :7002)" ]
}

# Idle ones hear of it as well, and so does their server on this host.
test_severed_connections_end_at_both_ends() {
	local state
	expect perch weight set service long canary 100
	start_long severed -n 200 -i 100 -s 10.1.2.0 -m 200 "$HOST4" 82
	expect wait_for 10 long_ready
	state=$(long_state)
	expect [ "$(field "$state" .names.v2.open)" = 200 ]
	expect perch rollback long sever
	expect wait_for 5 none_open
	state=$(long_state)
	echo "$state"
	expect [ "$(field "$state" .names.v2.reset)" = 200 ]
	lab_kill TERM "$LONG"
	clean
}

test_next_agent_finds_connections_alive() {
	local short seen
	start_long alive -n 100 -s 10.1.2.0 -m 100 "$HOST4" 82
	expect wait_for 10 long_ready
	lab_spawn c "$LAB_DIR/short" "$TOOLS/shortconn" -H -t 60 -r 300 -s 10.1.1.0 -m 500 "$HOST4" 80
	short=$SPAWNED
	sleep 0.5
	stop_perchd KILL
	start_perchd
	sleep 0.5
	lab_kill TERM "$short"
	seen=$(cat "$LAB_DIR/short")
	echo "$seen"
	expect [ "$(field "$seen" .failed)" = 0 ]
	expect [ "$(field "$seen" .ok)" -gt 200 ]
	seen=$(long_state)
	echo "$seen"
	expect [ "$(field "$seen" .broken)" = 0 ]
	lab_kill TERM "$LONG"
	clean
}

forwarding() {
	in_ns lb sysctl -qw net.ipv4.ip_forward="$1" net.ipv6.conf.all.forwarding="$1"
}

alarms() {
	field "$(perch -j status)" "[.alarms[] | select(.kind == \"$1\")] | length"
}

no_alarm() {
	[ "$(alarms "$1")" = 0 ]
}

test_forwarding_is_only_needed_for_other_hosts() {
	local before
	forwarding 0
	stop_perchd
	start_perchd
	expect [ "$(alarms forwarding)" = 1 ]	# 10.2.0.11, IPv4
	before=$(field "$(perch -j config show)" .loaded)
	services | sed '/name: mixed/,$d' | perch_config "$MODE"
	expect wait_for 5 loaded_since "$before"
	expect no_alarm forwarding
	expect [ "$(field "$(short -n 200 -H -s 10.1.1.0 -m 200 "$HOST4" 80)" .failed)" = 0 ]
	expect [ "$(field "$(short -n 200 -H -s fd01::1:0 -m 200 "$HOST6" 80)" .failed)" = 0 ]
	expect [ "$(field "$(short -n 200 -u -s 10.1.1.0 -m 200 "$HOST4" 53)" .failed)" = 0 ]
	forwarding 1
	services | perch_config "$MODE"
	clean
}

loaded_since() {
	local now
	now=$(perch -j config show)
	[ "$(field "$now" .ok)" = true ] && [ "$(field "$now" .loaded)" != "$1" ]
}

test_every_port_of_this_host_needs_exceptions() {
	local said yaml=$LAB_DIR/every.yaml line
	sed "s|$HOST4:80/tcp|$HOST4:0/tcp|; /name: names/,\$d" "$LAB_DIR/perch.yaml" |
		sed '/8081\|8082/s/"10.0.0.1:808[12]"/"10.2.0.11:8083"/' > "$yaml"
	said=$(in_ns lb "$BUILD/perchd" -c "$yaml" --check 2>&1)
	echo "$said"
	line=$(grep -n 'name: web' "$yaml" | cut -d: -f1)
	expect grep -qF "$yaml:$line: services[0].listen[0]: $HOST4:0/tcp takes every port" <<< "$said"
	expect grep -qF 'exclude: [22]' <<< "$said"
	sed -i "s|    affinity: connection|    exclude: [22]\n&|" "$yaml"
	expect in_ns lb "$BUILD/perchd" -c "$yaml" --check
	# an address that is not this host's needs none
	sed -i "/exclude:/d; s|$HOST4:0/tcp|$VIP4:0/tcp|" "$yaml"
	expect in_ns lb "$BUILD/perchd" -c "$yaml" --check
}

test_nothing_was_dropped_by_perch() {
	expect [ "$(field "$(perch -j reason show)" '[.[] | select(.verdict == "drop") | .count] | add // 0')" = 0 ]
}

TESTS_OF_BYTES=(test_files_over_ipv4_are_identical test_files_over_ipv6_are_identical)
echo "# offloads on"
run test_firewall_lets_nobody_in_without_perch "${TESTS_OF_BYTES[@]}" \
	test_both_versions_serve_by_weight_and_one_after_a_rollback test_datagrams_are_served_by_weight_and_identical \
	test_versions_here_and_elsewhere_share_a_service test_severed_connections_end_at_both_ends \
	test_next_agent_finds_connections_alive
lab_offload tx off
echo "# tx off on every device"
run "${TESTS_OF_BYTES[@]}" test_datagrams_are_served_by_weight_and_identical \
	test_forwarding_is_only_needed_for_other_hosts test_every_port_of_this_host_needs_exceptions \
	test_nothing_was_dropped_by_perch
finish
