#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# A flood costs no established connection: a table of 65,536 with 40,000
# established, 30,000 of them idle for a minute, then 2 million spoofed SYNs
# each sent twice, 2 million spoofed ACKs, and short connections at the highest
# rate that the lab sustains without the flood.
# alone
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

LIVE=40000
IDLE=30000
IDLE_SECONDS=${IDLE_SECONDS:-60}
SYNS=4000000	# each of 2 million twice
ACKS=2000000
FLOOD_LEAST=$(((SYNS + ACKS) * 95 / 100))	# have to arrive
FLOW_TABLE=65536
lab_up 2
lab_namesrv s1 v1 -p 4 7000
lab_namesrv s2 v2 -p 4 7000
# What the flood pushes out of the devices' queues its sender sends again, later
# and later; a connection is lost when it does not come through, not when it waits.
PATIENCE=120
for ns in c s1 s2; do
	[ ! -e /proc/sys/net/ipv4/tcp_rto_max_ms ] || in_ns $ns sysctl -qw net.ipv4.tcp_rto_max_ms=1000
done
LB_MAC=$(in_ns lb ip -j link show c | jq -r '.[0].address')
FLOOD=("$TOOLS/synflood" -s 10.99.0.0 -i eth0 -M "$LB_MAC")
perch_config "$MODE" <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp"]
	    affinity: connection
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
END
start_perchd
perch weight set service web canary 50 >/dev/null

test_connections_are_established() {
	start_long live -n "$LIVE" -i "$IDLE" -p 4 -r 4000 -e 4000 -s 10.1.16.0 -m 8000 "$VIP4" 80
	expect wait_for 60 long_ready
	IDLE_FROM=$SECONDS
	CONNECTED=$(field "$(long_state)" .connected)
	expect [ "$CONNECTED" = "$LIVE" ]
	expect [ "$(field "$(perch -j flow count)" .capacity)" = "$FLOW_TABLE" ]
	expect within "$(field "$(perch -j flow count)" .classes.established)" $((LIVE - 50)) "$LIVE"
}

test_lab_sustains_2000_connections_a_second() {
	local seen
	seen=$(short -t 5 -j 64 -s 10.1.1.0 -m 2000 "$VIP4" 80)
	RATE=$(field "$seen" '.rate | floor')
	expect [ "$(field "$seen" .failed)" = 0 ]
	expect [ "$RATE" -ge 2000 ]
	say "$RATE connections a second without the flood"
}

test_flood_ends_no_established_connection() {
	local load state answered
	sleep $((IDLE_FROM + IDLE_SECONDS > SECONDS ? IDLE_FROM + IDLE_SECONDS - SECONDS : 0))
	lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t 600 -j 256 -r "$RATE" -s 10.1.1.0 -m 2000 "$VIP4" 80
	load=$SPAWNED
	flood
	lab_kill TERM "$load"
	answered=$(cat "$LAB_DIR/load")
	say "short connections meanwhile: $(field "$answered" .ok) of $(field "$answered" .connections)"
	state=$(long_state)
	echo "$state"
	expect [ "$(field "$state" .open)" = "$CONNECTED" ]
	expect [ "$(field "$state" .broken)" = 0 ]
	expect [ "$(field "$state" .changed)" = 0 ]
	expect [ "$(field "$answered" .ok)" -gt 0 ]
}

test_every_connection_still_answers() {
	local state
	kill -USR2 "$LONG"
	expect wait_for "$PATIENCE" none_wait
	state=$(long_state)
	echo "$state"
	[ "$(field "$state" .waiting)" = 0 ] || who_waits
	expect [ "$(field "$state" .open)" = "$CONNECTED" ]
	expect [ "$(field "$state" .changed)" = 0 ]
}

# SYNs and ACKs, and again when a busy host's queues took too many of them.
flood() {
	local round before
	before=$(received)
	for round in 1 2 3; do
		say "round $round, SYNs $(in_ns c "${FLOOD[@]}" -n "$SYNS" -2 "$VIP4" 80)"
		say "round $round, ACKs $(in_ns c "${FLOOD[@]}" -n "$ACKS" -a "$VIP4" 80)"
		ARRIVED=$(($(received) - before))
		[ "$ARRIVED" -lt "$FLOOD_LEAST" ] || break
	done
}

# Of those that wait: what their sockets are at, and what perch knows of them.
who_waits() {
	local end port
	in_ns c ss -Htno state established | grep timer: | head -n 8 | while read -r _ _ end port; do
		echo "$end $port"
		perch -j flow show client "${end%:*}" limit 8
	done
	perch reason show
}

none_wait() {
	[ "$(field "$(long_state)" .waiting)" = 0 ]
}

# The flood was there: as good as all of it reached the balancer.
test_flood_arrived() {
	say "at least $ARRIVED packets of the flood reached the balancer"
	expect [ "$ARRIVED" -ge "$FLOOD_LEAST" ]
}

# What came from the clients and no socket of theirs sent.
received() {
	local all own
	# shellcheck disable=SC2016 # awk's
	own=$(in_ns c awk '/^Tcp: [0-9]/ { print $12 }' /proc/net/snmp)
	all=$(in_ns lb ip -j -s link show c | jq '.[0].stats64.rx.packets')
	echo $((all - own))
}

test_new_connections_work_after_the_flood() {
	sleep 10	# what the flood left expires
	expect short -n 2000 -j 32 -s 10.1.1.0 -m 2000 "$VIP4" 80
	say "$(field "$(perch -j reason show)" \
		'[.[] | select(.name == "unlearned" or .name == "table_full" or .name == "ambiguous") | "\(.name) \(.count)"] | join(", ")')"
}

run test_connections_are_established test_lab_sustains_2000_connections_a_second \
	test_flood_ends_no_established_connection test_flood_arrived test_every_connection_still_answers \
	test_new_connections_work_after_the_flood
finish
