#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# A canary of two backends: when one of them alone is bad, it is drained and the
# rollout holds; when both are, it goes back.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=rollouts.sh
. "$(dirname "$0")/rollouts.sh"

lab_up 3

# service NAME PORT SERVERPORT: its canary is on s2 and s3.
service() {
	lab_service "$1" "$2" "$3" "steps: [50, 100], interval: 20s, watch: 0s, minConnections: 20, reflex: { connectFailures: 0 }" |
		sed "s/\"10.2.0.12:$3\"/&, \"10.2.0.13:$3\"/"
}
{
	service one 80 7000
	service both 81 7001
	service later 83 7003
	lab_service single 82 7002 "steps: [50, 100], interval: 20s, watch: 0s, minConnections: 20"
} | perch_config tc
for port in 7000 7001 7002 7003; do
	lab_spawn s1 "$LAB_DIR/stable-$port" "$TOOLS/namesrv" -d 5 v1 $port
done
lab_spawn s2 "$LAB_DIR/good-7000" "$TOOLS/namesrv" -d 5 v2 7000
lab_spawn s3 "$LAB_DIR/bad-7000" "$TOOLS/namesrv" -d 5 -x v2 7000
lab_spawn s2 "$LAB_DIR/good-7003" "$TOOLS/namesrv" -d 5 v2 7003
LATER=$SPAWNED
lab_spawn s3 "$LAB_DIR/bad-7003" "$TOOLS/namesrv" -d 5 -x v2 7003
lab_spawn s2 "$LAB_DIR/bad-7001" "$TOOLS/namesrv" -d 5 -x v2 7001
lab_spawn s3 "$LAB_DIR/too-7001" "$TOOLS/namesrv" -d 5 -x v2 7001
lab_spawn s2 "$LAB_DIR/bad-7002" "$TOOLS/namesrv" -d 5 -x v2 7002
start_perchd
for port in 80 81 82 83; do
	lab_spawn c "$LAB_DIR/load-$port" "$TOOLS/shortconn" -t 120 -r 60 -j 400 -w 3000 -s 10.1.1.0 -m 2000 "$VIP4" $port
done
sleep 3
for name in one both single later; do
	perch rollout start $name > /dev/null || die "no rollout of $name"
done

# drained SERVICE ADDRESS
drained() {
	[ "$(field "$(perch -j backend show service "$1")" "[.[] | select(.drainedSince)] | map(.address) | join(\" \")")" = "$2" ]
}

# alarmed SERVICES
alarmed() {
	[ "$(field "$(perch -j status)" '[.alarms[] | select(.kind == "one_backend")] | map(.service) | sort | join(" ")')" = "$1" ]
}

test_one_bad_backend_is_drained_and_the_rollout_holds() {
	expect wait_for 30 is one .phase Holding
	expect is one .blockedBy "one backend, 10.2.0.13:7000, is worse"
	expect is one '.worst | .backend == "10.2.0.13:7000" and .bad / .of > 0.8 and .logEWithout < 2.3 and (.only | not)' true
	expect drained one 10.2.0.13:7000
	expect wait_for 20 alarmed "later one"
	expect is one .weight 50
	say "one: $(field "$(perch -j status)" '.alarms[] | select(.kind == "one_backend" and .service == "one") | .text')"
	perch rollout why one > "$LAB_DIR/why"
	expect grep -q "10.2.0.13:7000 has [0-9]* of the canary's [0-9]* bad votes of " "$LAB_DIR/why"
}

test_its_other_backend_goes_on() {
	local seen
	sleep 2
	seen=$(short -n 200 -j 20 -s 10.1.1.0 -m 2000 "$VIP4" 80)
	expect [ "$(field "$seen" .failed)" = 0 ]
	expect is one .phase Holding
}

test_two_bad_backends_are_the_canary() {
	goes_back both "^gate (reset|no_response): " 30
	expect drained both ""
}

test_one_host_alone_cant_be_told_from_its_version() {
	goes_back single "^gate (reset|no_response): " 30
	expect is single .worst.only true
	perch rollout why single > "$LAB_DIR/why"
	expect grep -q "the canary has one backend, 10.2.0.12:7002: host and version can't be told apart" "$LAB_DIR/why"
}

# The other one was good at first, so that more has to be seen of it.
test_when_the_other_proves_bad_too_the_canary_goes_back() {
	expect wait_for 30 is later .phase Holding
	sleep 5
	expect is later .phase Holding
	kill -USR1 "$LATER"
	goes_back later "^gate (reset|no_response): " 60
}

test_it_holds_after_a_crash_of_the_agent_until_a_person_goes_on() {
	lab_kill KILL "$PERCHD"
	start_perchd
	sleep 1
	expect is one .phase Holding
	expect is one .blockedBy "one backend, 10.2.0.13:7000, is worse"
	expect perch rollout advance one
	expect wait_for 10 is one .weight 100
	expect [ "$(field "$(short -n 100 -j 20 -s 10.1.1.0 -m 2000 "$VIP4" 80)" .failed)" = 0 ]
}

run test_one_bad_backend_is_drained_and_the_rollout_holds test_its_other_backend_goes_on test_two_bad_backends_are_the_canary \
	test_one_host_alone_cant_be_told_from_its_version test_when_the_other_proves_bad_too_the_canary_goes_back \
	test_it_holds_after_a_crash_of_the_agent_until_a_person_goes_on
finish
