#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# modes: tc
# The dead-man: a rollout whose agent is gone goes back to stable by itself, one
# that a person paused, or whose agent was told to stop, stays as it is.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

DEADMAN=3
lab_up 2
PINS=$LAB_DIR/bpf/perch
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000

# service NAME PORT ROLLOUT
service() {
	cat <<-END
		  - name: $1
		    listen: ["$VIP4:$2/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
		    rollout: { $3 }
	END
}
{
	service web 80 'steps: [30, 100], interval: 20m'
	service paused 81 'steps: [30, 100], interval: 20m'
	service held 82 'steps: [30, 100], interval: 100ms, minConnections: 100000000, maxStepTime: 1s'
	service watched 83 'steps: [100], watch: 1h, holdback: 70'
} | perch_config "$MODE"
sed -i "s/^agent:/agent:\n  deadman: ${DEADMAN}s/" "$LAB_DIR/perch.yaml"
start_perchd

# kernel SERVICE FILTER: of what the kernel keeps.
kernel() {
	field "$("$TOOLS/kept" kernel "$PINS" "$1")" "$2"
}

kernel_is() {
	[ "$(kernel "$1" "$2")" = "$3" ]
}

# start_load PORT
start_load() {
	lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t 120 -r 1000 -s 10.1.1.0 -m 2000 "$VIP4" "$1"
	LOAD=$SPAWNED
}

stop_load() {
	lab_kill TERM "$LOAD"
	SEEN=$(cat "$LAB_DIR/load")
	echo "$SEEN"
	expect [ "$(field "$SEEN" .failed)" = 0 ]
}

# keeps_canary PORT: about 30 % of new connections are the canary's.
keeps_canary() {
	expect within "$(count "$(short -n 1000 -s 10.1.1.0 -m 2000 "$VIP4" "$1")" v2)" 220 380
}

test_armed_is_what_goes_on_by_itself() {
	local service
	for service in web paused held watched; do
		expect perch rollout start "$service"
	done
	expect perch rollout pause paused
	expect wait_for 5 phase_is held Holding
	expect wait_for 5 phase_is web Progressing
	expect wait_for 5 kernel_is web .armed true
	expect phase_is watched Watching
	expect wait_for 5 kernel_is watched .armed true
	expect kernel_is paused .armed false
	expect kernel_is paused .paused true
	expect kernel_is held .armed false
	expect kernel_is web .paused false
	expect [ "$(field "$(perch -j rollout show web)" .armed)" = true ]
	expect perch rollout pause web
	expect kernel_is web .armed false
	expect perch rollout resume web
	expect kernel_is web .armed true
	expect kernel_is web .paused false
}

test_healthy_agent_under_load_never_fires_it() {
	start_load 80
	sleep $((2 * DEADMAN))
	stop_load
	expect kernel_is web .rolledBack false
	expect kernel_is watched .rolledBack false
	expect phase_is web Progressing
	expect [ "$(count "$SEEN" v2)" -gt 1000 ]
}

test_graceful_stop_leaves_all_as_it_is_and_the_next_agent_is_armed() {
	stop_perchd TERM
	expect kernel_is web .armed false
	expect kernel_is watched .armed false
	sleep $((3 * DEADMAN))
	expect kernel_is web .rolledBack false
	expect kernel_is watched .rolledBack false
	keeps_canary 80
	start_perchd
	expect wait_for 2 kernel_is web .armed true
	expect phase_is web Progressing
	keeps_canary 80
}

test_killed_agent_loses_its_canary_within_the_time() {
	local killed last
	start_load 80
	sleep 1
	stop_perchd KILL
	killed=$(monotonic)
	sleep $((DEADMAN + 2))
	stop_load
	last=$(field "$SEEN" '.names["v2"].last')
	say "killed, and the last canary connection began $(((last - killed) / 1000000)) ms later, dead-man time ${DEADMAN} s"
	expect within $(((last - killed) / 1000000)) $(((DEADMAN - 1) * 1000 - 200)) $(((DEADMAN + 1) * 1000))
	expect kernel_is web .rolledBack true
	expect no_canary "$VIP4" 80 v2
	expect no_canary "$VIP4" 83 v2
}

test_paused_and_held_are_left_alone() {
	sleep $((2 * DEADMAN))
	expect kernel_is paused .rolledBack false
	expect kernel_is held .rolledBack false
	keeps_canary 81
	keeps_canary 82
}

test_next_agent_knows_what_happened() {
	local event
	start_perchd
	expect wait_for 5 phase_is web RolledBack
	expect wait_for 5 phase_is watched RolledBack
	expect phase_is paused Paused
	expect phase_is held Holding
	expect [ "$(version web v2 .rejected.by)" = deadman ]
	event=$(perch -j event show limit 50 | jq -c 'map(select(.service == "web" and .kind == "deadman"))[0]')
	echo "$event"
	expect [ "$(field "$event" .actor.via)" = deadman ]
	expect [ "$(field "$event" .from)" = v2 ]
	expect [ "$(field "$event" .to)" = v1 ]
	expect grep -q 'dead-man' <<< "$(field "$event" .reason)"
	in_ns lb curl -s --unix-socket "$LAB_DIR/perch.sock" http://perch/metrics > "$LAB_DIR/metrics"
	expect grep -q 'perch_rollbacks_total{service="web",reason="deadman"} 1$' "$LAB_DIR/metrics"
	expect no_canary "$VIP4" 80 v2
}

test_rejected_version_needs_a_retry() {
	expect refused perch rollout start web
	expect perch rollout retry web
	expect wait_for 5 kernel_is web .armed true
	expect kernel_is web .rolledBack false
	keeps_canary 80
}

# As dead as any while it does not run; it learns of it when it does.
test_agent_that_stood_still_is_told() {
	kill -STOP "$PERCHD"
	sleep $((DEADMAN + 1))
	expect kernel_is web .rolledBack true
	kill -CONT "$PERCHD"
	expect wait_for 2 phase_is web RolledBack
	expect [ "$(version web v2 .rejected.by)" = deadman ]
	expect perch rollout retry web
	expect wait_for 5 kernel_is web .armed true
}

samples() {
	in_ns lb curl -s --unix-socket "$LAB_DIR/perch.sock" "http://perch/v1/samples?service=web$1"
}

sampled_since() {
	[ "$(field "$(samples "&since=$1")" '[.[] | select(.version == "v2" and .weight == 30)] | length')" -ge 1 ]
}

# One every 10 s in a rollout.
test_samples_tell_how_it_went() {
	local all last
	keeps_canary 80
	sleep 1.5	# a service in a rollout tells at once, the next sample has it
	expect wait_for 12 sampled_since "$(date +%s)"
	all=$(samples '')
	echo "$all"
	expect [ "$(field "$all" '[.[].time] == ([.[].time] | sort)')" = true ]
	expect [ "$(field "$all" '[.[] | select(.version == "v1") | .connections] | max')" -ge 600 ]
	last=$(field "$all" '.[-1].time')
	expect [ "$(field "$(samples "&since=$((last + 1))")" length)" = 0 ]
	expect [ "$(field "$(samples "&since=$last&limit=1")" length)" = 1 ]
}

test_time_can_be_switched_off() {
	sed -i 's/^  deadman: .*/  deadman: 0s/' "$LAB_DIR/perch.yaml"
	kill -HUP "$PERCHD"
	sleep 1
	stop_perchd KILL
	sleep $((DEADMAN + 2))
	expect kernel_is web .rolledBack false
	expect kernel_is web .armed true
	keeps_canary 80
}

run test_armed_is_what_goes_on_by_itself test_healthy_agent_under_load_never_fires_it \
	test_graceful_stop_leaves_all_as_it_is_and_the_next_agent_is_armed test_killed_agent_loses_its_canary_within_the_time \
	test_paused_and_held_are_left_alone test_next_agent_knows_what_happened test_rejected_version_needs_a_retry \
	test_agent_that_stood_still_is_told test_samples_tell_how_it_went test_time_can_be_switched_off
finish
