#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Live connections keep their backend whatever the weights do; a drain ends the
# canary's on time even without the agent, a sever at once, and neither touches
# another.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

LIVE=5000
DRAIN=10
lab_up 2
lab_namesrv s1 v1 -p 2 7000
lab_namesrv s2 v2 -p 2 7000
service() {
	cat <<-END
		  - name: $1
		    listen: ["$VIP4:$2/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
		    rollback: { established: drain, drainTimeout: ${DRAIN}s }
	END
}
{
	service live 80
	service cut 81
} | perch_config "$MODE"
start_perchd

# begin_live SERVICE PORT SHARE
begin_live() {
	expect perch weight set service "$1" canary "$3"
	start_long "$1" -n "$LIVE" -r 2500 -s 10.1.1.0 -m 2000 "$VIP4" "$2"
	expect wait_for 30 long_ready
	expect [ "$(field "$(long_state)" .connected)" = "$LIVE" ]
}

all_well() {
	local state
	state=$(long_state)
	echo "$state"
	expect [ "$(field "$state" .changed)" = 0 ]
	expect [ "$(field "$state" .broken)" = 0 ]
	expect [ "$(field "$state" .open)" = "$LIVE" ]
}

# everybody is asked and answers
all_answer() {
	kill -USR2 "$LONG"
	expect wait_for 10 none_wait
}

none_wait() {
	[ "$(field "$(long_state)" .waiting)" = 0 ]
}

test_live_connections_outlive_5_100() {
	begin_live live 80 5
	expect within "$(field "$(long_state)" .names.v2.open)" 180 330
	expect perch weight set service live canary 100
	sleep 3
	all_well
	expect [ "$(count "$(short -n 1000 -s 10.1.1.0 -m 2000 "$VIP4" 80)" v1)" = 0 ]
}

test_live_connections_outlive_rollback_until_drain() {
	expect perch rollback live drain
	DRAIN_FROM=$SECONDS
	sleep 3
	all_well
	expect no_canary "$VIP4" 80 v2
	all_well
}

# the agent is gone when the time comes
test_drain_ends_the_canary_alone_without_agent() {
	local state canaries
	canaries=$(field "$(long_state)" .names.v2.open)
	stop_perchd KILL
	expect is_gone "$PERCHD"
	# on a slow machine that moment may be over before it is looked at
	while [ "$SECONDS" -lt $((DRAIN_FROM + DRAIN - 2)) ]; do sleep 0.2; done
	[ "$SECONDS" -ge $((DRAIN_FROM + DRAIN - 1)) ] || all_well
	while [ "$SECONDS" -lt $((DRAIN_FROM + DRAIN + 3)) ]; do sleep 0.2; done
	state=$(long_state)
	echo "$state"
	expect [ "$(field "$state" .names.v2.open)" = 0 ]
	expect [ "$(field "$state" '.names.v2 | .ended + .reset')" = "$canaries" ]
	expect [ "$(field "$state" .names.v1.open)" = $((LIVE - canaries)) ]
	expect [ "$(field "$state" .changed)" = 0 ]
	lab_kill TERM "$LONG"
	start_perchd
}

# mean STATE FILTER: us, of a sum and a count
mean() {
	field "$1" ".names.v2 | $2 | .[0] / ([.[1], 1] | max) / 1000 | floor"
}

# Who asks is refused in the round trip in which an answer would have come; who
# is silent, as soon as the scan comes by.
test_sever_ends_the_canary_within_a_round_trip() {
	local state canaries done_at
	begin_live cut 81 50
	sleep 1
	state=$(long_state)
	canaries=$(field "$state" .names.v2.open)
	say "a question is answered after $(mean "$state" '[.answer_wait, .answers]') us on the average"
	expect perch rollback cut sever
	done_at=$(monotonic)
	sleep 2
	state=$(long_state)
	echo "$state; severed at $done_at"
	expect [ "$(field "$state" .names.v2.open)" = 0 ]
	expect [ "$(field "$state" '.names.v2 | .ended + .reset')" = "$canaries" ]
	# 100 ms is how late two busy CPUs read what has long arrived
	expect [ "$(field "$state" .names.v2.last_answer)" -le $((done_at + 100000000)) ]
	expect [ "$(field "$state" .names.v2.refused)" -gt 0 ]
	expect [ "$(field "$state" .names.v1.open)" = $((LIVE - canaries)) ]
	expect [ "$(field "$state" .changed)" = 0 ]
	say "$(field "$state" .names.v2.refused) asked meanwhile: refused after" \
		"$(mean "$state" '[.refused_wait, .refused]') us on the average"
	say "$canaries severed, the last saw it $((($(field "$state" .names.v2.last_break) - done_at) / 1000000)) ms" \
		"after the command, last answer $(((done_at - $(field "$state" .names.v2.last_answer)) / 1000000)) ms before"
	expect no_canary "$VIP4" 81 v2
}

run test_live_connections_outlive_5_100 test_live_connections_outlive_rollback_until_drain \
	test_drain_ends_the_canary_alone_without_agent test_sever_ends_the_canary_within_a_round_trip
finish
