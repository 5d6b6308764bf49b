#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Few connections that last, as pools of keep-alive hold: they vote once each,
# and are ranked by how slow their turns were every minute.  A canary that is
# twice as slow goes back for that; one as slow as stable does not.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=rollouts.sh
. "$(dirname "$0")/rollouts.sh"

lab_up 2
{
	lab_service slow 80 7000 "steps: [50, 100], interval: 10m, watch: 0s"
	lab_service alike 81 7001 "steps: [50, 100], interval: 10m, watch: 0s"
} | perch_config tc
lab_spawn s1 "$LAB_DIR/stable-slow" "$TOOLS/namesrv" -d 20 v1 7000
lab_spawn s2 "$LAB_DIR/canary-slow" "$TOOLS/namesrv" -d 45 v2 7000
lab_spawn s1 "$LAB_DIR/stable-alike" "$TOOLS/namesrv" -d 20 v1 7001
lab_spawn s2 "$LAB_DIR/canary-alike" "$TOOLS/namesrv" -d 20 v2 7001
start_perchd
for name in slow alike; do
	perch rollout start $name > /dev/null || die "no rollout of $name"
done
for port in 80 81; do
	lab_spawn c "$LAB_DIR/pool-$port" "$TOOLS/longconn" -n 60 -e 200 -s 10.1.20.0 -m 60 "$VIP4" $port
done

# of NAME FILTER: a part of what its response times say.
of() {
	show "$1" ".compared[] | select(.name == \"response_time\") | $2"
}

minutes() {
	[ "$(of "$1" .pools.minutes)" -ge "$2" ]
}

test_nothing_is_known_before_a_minute_is_over() {
	expect [ "$(of alike .verdict)" = blind ]
	expect [ "$(of alike .pools.logE)" = null ]
}

test_a_slow_canary_goes_back_by_its_long_connections() {
	goes_back slow "^gate response_time: [0-9]+ long connections of canary's rank slower than [0-9]+ of stable's, E " 200
	expect [ "$(of slow '.pools.canary > 10 and .pools.stable > 10')" = true ]
}

test_one_as_slow_as_stable_stays() {
	expect wait_for 150 minutes alike 2
	expect is alike .phase Progressing
	expect [ "$(of alike .verdict)" = inconclusive ]
	expect [ "$(of alike '.pools.canary > 10 and .pools.stable > 10 and .e < 20')" = true ]
	say "alike: $(of alike '.pools | tojson')"
}

test_what_they_say_is_in_the_evidence_that_is_made_again() {
	local again
	perch -j rollout why alike > "$LAB_DIR/why.json"
	again=$(perch -j judge votes "$LAB_DIR/why.json")
	expect [ "$(field "$again" '(.logE - .said) | fabs < 1e-6')" = true ]
	expect [ "$(jq '[.votes.bets[] | select(.pool)] | length' "$LAB_DIR/why.json")" = 2 ]
	perch rollout why alike > "$LAB_DIR/why"
	expect grep -Eq "long connections: [0-9]+ of the canary, [0-9]+ of v1, [0-9]+ minutes, E " "$LAB_DIR/why"
}

run test_nothing_is_known_before_a_minute_is_over test_a_slow_canary_goes_back_by_its_long_connections \
	test_one_as_slow_as_stable_stays test_what_they_say_is_in_the_evidence_that_is_made_again
finish
