#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What the agent sees to besides rollouts: services that leave, reloads that
# must wait, counts that belong to another version, the pins' owner.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000

# service NAME PORT CANARY-PORT
service() {
	cat <<-END
		  - name: $1
		    listen: ["$VIP4:$2/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:$3"] }
		    rollback: { established: ${4:-drain} }
		    rollout:
		      steps: [30, 100]
		      interval: 20m
		      reflex: { connectFailures: 0 }
		      gates: [{ signal: connect_failure, max: 2 }]
	END
}

# big NAME PORT WEIGHT VERSION...: tables of 65,536 entries per version, of which
# the kernel's map holds 32; WEIGHT is in the first one's.
big() {
	local version i weight=$3 role=stable
	printf '  - name: %s\n    listen: ["%s:%s/tcp"]\n    versions:\n' "$1" "$VIP4" "$2"
	shift 3
	for version in "$@"; do
		printf '      - name: %s\n        role: %s\n        backends:\n' "$version" "$role"
		printf '          - { address: "10.2.0.11:7000", weight: 1 }\n'
		for ((i = 1; i < 66; i++)); do
			printf '          - { address: "10.2.0.11:%s", weight: %s }\n' $((10000 + i)) "$weight"
		done
		role=canary weight=100
	done
}

loaded() {
	[ "$(field "$(perch -j config show)" .ok)" = "$1" ]
}

# reloaded CMD...: services as CMD prints them are in force.
reloaded() {
	local before
	before=$(field "$(perch -j config show)" .loaded)
	"$@" | perch_config "$MODE"
	expect wait_for "${WAIT:-5}" loaded_since "$before"
}

loaded_since() {
	local now
	now=$(perch -j config show)
	[ "$(field "$now" .ok)" = true ] && [ "$(field "$now" .loaded)" != "$1" ]
}

both() {
	service web 80 7009
	service extra 81 7000 sever
}

both | perch_config "$MODE"
start_perchd

long_all_gone() {
	[ "$(field "$(long_state)" .open)" = 0 ]
}

test_service_that_left_ends_its_idle_connections_at_once() {
	local state
	expect perch weight set service extra canary 50
	start_long extra -n 200 -i 200 -s 10.1.1.0 -m 200 "$VIP4" 81
	expect wait_for 10 long_ready
	expect [ "$(field "$(long_state)" .open)" = 200 ]
	reloaded service web 80 7009
	expect wait_for 5 long_all_gone
	state=$(long_state)
	echo "$state"
	expect [ "$(field "$state" '[.names[].reset] | add')" = 200 ]
	lab_kill TERM "$LONG"
}

sample_interval() {
	[ "$(field "$(perch -j datapath show)" .sampleInterval)" = "$1" ]
}

test_sample_interval_takes_effect_on_reload() {
	expect sample_interval 0.1
	service web 80 7009 | perch_config "$MODE"
	sed -i 's/^agent:/agent:\n  sampleInterval: 20ms/' "$LAB_DIR/perch.yaml"
	expect wait_for 5 sample_interval 0.02
	reloaded service web 80 7009
	expect sample_interval 0.1
}

test_reload_is_seen_in_a_directory_that_is_never_quiet() {
	local noise
	# shellcheck disable=SC2016 # the other shell's
	lab_spawn lb "$LAB_DIR/noise" bash -c 'while sleep 0.05; do echo >> "$0"; done' "$LAB_DIR/noisy"
	noise=$SPAWNED
	wait_for 5 grew "$LAB_DIR/noisy" 3
	reloaded both
	reloaded service web 80 7009
	lab_kill TERM "$noise"
}

# Failures of an earlier time, unknown to a new agent until the kernel tells.
test_old_votes_do_not_judge_a_new_rollout() {
	local seen
	expect perch weight set service web canary 30
	seen=$(short -n 600 -s 10.1.1.0 -m 600 "$VIP4" 80)
	expect [ "$(field "$seen" .failed)" -gt 100 ]
	expect perch weight set service web canary 0
	lab_namesrv s2 v2b 7009
	sleep 1.5	# so that the kernel has told, and does not again
	stop_perchd KILL
	start_perchd
	expect perch rollout start web
	expect [ "$(field "$(short -n 1000 -s 10.1.1.0 -m 1000 "$VIP4" 80)" .failed)" = 0 ]
	sleep 1.5
	seen=$(perch -j rollout show web)
	echo "$seen"
	expect [ "$(field "$seen" .phase)" = Progressing ]
	expect [ "$(field "$seen" '.gates[0].canary.bad')" = 0 ]
	expect within "$(field "$seen" '.gates[0].canary.of')" 200 400
	expect within "$(field "$seen" '.gates[0].stable.of')" 600 800
	expect perch rollout abort web
}

test_detach_names_the_agent_that_has_the_pins() {
	local err=$LAB_DIR/detach.err
	expect refused in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach 2> "$err"
	cat "$err"
	expect grep -q "pid $PERCHD\b" "$err"
	expect grep -q 'stop it first' "$err"
	# a second agent with a state of its own is told the same
	sed 's|stateDir: .*|stateDir: '"$LAB_DIR/other"'|' "$LAB_DIR/perch.yaml" > "$LAB_DIR/other.yaml"
	expect refused in_ns lb timeout 10 "$BUILD/perchd" -c "$LAB_DIR/other.yaml" 2> "$err"
	cat "$err"
	expect grep -q "pid $PERCHD\b" "$err"
	expect [ "$(field "$(short -n 500 -s 10.1.1.0 -m 500 "$VIP4" 80)" .failed)" = 0 ]
}

bigs() {
	local i
	big big0 9000 "$1" v1 v2
	big big1 9001 "$1" v1 v2
	for ((i = 2; i < 15; i++)); do
		big "big$i" $((9000 + i)) 100 v1 v2
	done
}

refusals() {
	perch -j event show limit 100 | jq '[.[] | select(.kind == "config" and .to == "refused")] | length'
}

# 30 tables are in use, and the 32nd begins too late, after those of the services
# before: two can only change one after the other, the second when the first
# one's old table has rested.
test_reload_that_waits_for_room_is_made_by_itself() {
	local before
	WAIT=20 reloaded bigs 100
	before=$(refusals)
	WAIT=20 reloaded bigs 101
	expect [ "$(field "$(perch -j service show big1)" '[.[0].versions[0].backends[].weight] | max')" = 101 ]
	expect [ "$(refusals)" = $((before + 1)) ]
	expect grep -q 'trying again' "$LAB_DIR/perchd.err"
	expect [ "$(field "$(perch -j status)" '.alarms | length')" = 0 ]
}

run test_service_that_left_ends_its_idle_connections_at_once test_sample_interval_takes_effect_on_reload \
	test_reload_is_seen_in_a_directory_that_is_never_quiet \
	test_old_votes_do_not_judge_a_new_rollout test_detach_names_the_agent_that_has_the_pins \
	test_reload_that_waits_for_room_is_made_by_itself
finish
