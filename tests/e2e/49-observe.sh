#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Rollouts that only observe: what would be done is told, and nothing is changed
# but by a person.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=rollouts.sh
. "$(dirname "$0")/rollouts.sh"

lab_up 2

{
	lab_service good 80 7000 "mode: observe, interval: 3s, minConnections: 20"
	lab_service refuses 81 7001 "mode: observe, interval: 3s, minConnections: 20"
} | perch_config tc
lab_namesrv s1 v1 7000 7001
lab_namesrv s2 v2 7000
start_perchd
for port in 80 81; do
	lab_spawn c "$LAB_DIR/load-$port" "$TOOLS/shortconn" -t 120 -r 60 -j 200 -s 10.1.1.0 -m 2000 "$VIP4" $port
done

# alarms N: so many services would be rolled back.
alarms() {
	[ "$(field "$(perch -j status)" '[.alarms[] | select(.kind == "would_roll_back")] | length')" = "$1" ]
}

test_weights_are_a_persons() {
	expect perch weight set good canary 50
	expect perch weight set refuses canary 50
	sleep 3
	expect perch rollout start good
	expect perch rollout start refuses
	expect is good .mode observe
	expect is good .weight 50
	expect is good .armed false
}

test_a_bad_canary_is_told_of_and_stays() {
	expect wait_for 20 is refuses '.reason | test("^would roll back: gate connect_failure: .* of canary")' true
	say "refuses: $(show refuses .reason)"
	expect is refuses .phase Progressing
	expect is refuses .weight 50
	expect alarms 1
	sleep 3		# the reflex would have fired long ago
	expect is refuses .weight 50
	expect is refuses .phase Progressing
	expect perch rollout why refuses
}

test_a_good_canary_would_go_on_and_does_not() {
	expect wait_for 20 is good .reason "would go on to 100.00 %"
	expect is good .weight 50
	expect is good '[.compared[] | .canary.of] | max > 20' true
}

test_an_agent_that_is_gone_changes_nothing() {
	lab_kill KILL "$PERCHD"
	sleep 1
	start_perchd
	expect is refuses .weight 50
	expect is refuses '.reason | test("^would roll back: ")' true
}

test_a_person_moves_the_weights_without_a_pause() {
	expect perch weight set good canary 20
	expect is good .phase Progressing
	expect is good .weight 20
	expect is good .reason "observed at 20.00 %"
	expect wait_for 20 is good .reason "would go on to 25.00 %"
}

test_a_person_ends_it() {
	expect perch rollback refuses
	expect wait_for 5 is refuses .phase RolledBack
	expect wait_for 5 alarms 0
	expect perch rollout promote good
	expect wait_for 5 is good .phase Succeeded
}

run test_weights_are_a_persons test_a_bad_canary_is_told_of_and_stays test_a_good_canary_would_go_on_and_does_not \
	test_an_agent_that_is_gone_changes_nothing test_a_person_moves_the_weights_without_a_pause test_a_person_ends_it
finish
