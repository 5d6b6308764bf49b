#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What a host remembers.  After a reboot, which takes the kernel's tables and
# leaves stateDir: weights, roles, rejections, rollouts with their evidence.
# After a time without an agent: what went wrong in it, before any step.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
lab_namesrv s2 orphan 7001
ORPHAN=$SPAWNED

# service NAME PORT CANARY-BACKENDS STEPS...
service() {
	cat <<-END
		  - name: $1
		    listen: ["$VIP4:$2/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: [$3] }
		    rollout: { steps: [30, 60, 100], watch: 0s, $4 }
	END
}
GOOD='"10.2.0.12:7000"'
QUICK='interval: 300ms, minConnections: 10'
{
	service plain 80 "$GOOD" "$QUICK"
	service bad 81 "$GOOD" "$QUICK"
	service released 82 "$GOOD" "$QUICK"
	service paused 83 "$GOOD" "$QUICK"
	# half of the canary's connections are refused, which its gate forgives
	service busy 84 "$GOOD, \"10.2.0.12:7009\"" "interval: 3s, minConnections: 50, reflex: { connectFailures: 0 },
		      gates: [{ signal: connect_failure, max: 90 }]"
	service orphan 85 '"10.2.0.12:7001"' "interval: 4s, minConnections: 50, gates: [{ signal: reset, max: 2 }]"
} | perch_config "$MODE"
start_perchd

connect() {
	short -n "$2" -s 10.1.1.0 -m 2000 "$VIP4" "$1"
}

rollout() {
	field "$(perch -j rollout show "$1")" "$2"
}

# The kernel forgets all: programs, maps, flows.
reboot() {
	stop_perchd KILL
	rm -rf "$LAB_DIR/bpf/perch"
	start_perchd
	expect [ "$(field "$(perch -j status)" .takenOver)" = false ]
}

voted() {
	[ "$(rollout busy '.gates[0].canary.of')" -ge "$1" ]
}

test_reboot_restores_weights_roles_and_rejections() {
	expect perch weight set service plain canary 20
	expect perch rollout start bad
	expect perch rollback bad
	expect perch rollout start paused
	expect perch rollout pause paused
	expect perch rollout start released
	expect wait_for 20 goes_through released 82
	reboot
	expect [ "$(version plain v2 .weight)" = 20 ]
	expect within "$(count "$(connect 80 2000)" v2)" 320 480
	expect [ "$(version bad v2 .weight)" = 0 ]
	expect phase_is bad RolledBack
	expect refused perch rollout start bad
	expect [ "$(count "$(connect 81 500)" v2)" = 0 ]
	expect [ "$(version released v2 .role)" = stable ]
	expect [ "$(count "$(connect 82 500)" v2)" = 500 ]
}

goes_through() {
	connect "$2" 100 > /dev/null
	phase_is "$1" Succeeded
}

test_reboot_keeps_the_way_back_to_previous() {
	expect [ "$(version released v1 .role)" = previous ]
	expect perch rollback released
	expect [ "$(count "$(connect 82 500)" v1)" = 500 ]
}

test_reboot_leaves_a_paused_rollout_paused() {
	expect phase_is paused Paused
	expect [ "$(version paused v2 .weight)" = 30 ]
	connect 83 200 > /dev/null
	sleep 1
	expect [ "$(version paused v2 .weight)" = 30 ]
	expect perch rollout resume paused
	expect phase_is paused Progressing
}

test_reboot_begins_the_step_anew_and_loses_no_failure() {
	local bad
	expect perch rollout start busy
	connect 84 600
	expect wait_for 5 voted 150
	bad=$(rollout busy '.gates[0].canary.bad')
	expect [ "$bad" -gt 50 ]
	sleep 1.2	# its time on the disk
	reboot
	expect phase_is busy Progressing
	expect [ "$(rollout busy '.gates[0].canary.bad')" -ge "$bad" ]
	rollout busy .reason
	expect grep -q 'begins anew' <<< "$(rollout busy .reason)"
	# its time is over then, but nothing was seen since
	sleep 4
	expect [ "$(version busy v2 .weight)" = 30 ]
	connect 84 600
	expect wait_for 10 weight_is busy 60
	expect [ "$(rollout busy '.gates[0].canary.bad')" -gt "$bad" ]
}

weight_is() {
	[ "$(version "$1" v2 .weight)" = "$2" ]
}

test_failures_without_an_agent_come_before_its_first_step() {
	local events
	expect perch rollout start orphan
	expect [ "$(field "$(connect 85 500)" .failed)" = 0 ]
	sleep 1
	stop_perchd KILL
	kill -USR1 "$ORPHAN"
	expect [ "$(field "$(connect 85 1000)" .failed)" -gt 200 ]
	sleep 3
	start_perchd
	expect wait_for 5 phase_is orphan RolledBack
	events=$(perch -j event show limit 100)
	expect [ "$(field "$events" '[.[] | select(.service == "orphan" and .kind == "step")] | length')" = 1 ]
	expect [ "$(count "$(connect 85 500)" orphan)" = 0 ]
}

rejected() {
	[ "$(version "$1" "$2" .rejected)" != null ]
}

# A disk that is mounted after the agent was started, say.
test_rejection_in_a_state_that_comes_late_counts() {
	expect rejected bad v2
	stop_perchd KILL
	rm -rf "$LAB_DIR/bpf/perch"
	mv "$LAB_DIR/state" "$LAB_DIR/disk"
	start_perchd
	expect [ "$(version bad v2 .rejected)" = null ]
	rm -r "$LAB_DIR/state"
	mv "$LAB_DIR/disk" "$LAB_DIR/state"
	expect wait_for 10 rejected bad v2
	expect refused perch rollout start bad
	# what a person took back is not found there again
	expect perch rollout retry bad
	expect perch rollout pause bad
	mv "$LAB_DIR/state" "$LAB_DIR/disk"
	expect wait_for 10 [ -e "$LAB_DIR/state/state.db" ]
	rm -r "$LAB_DIR/state"
	mv "$LAB_DIR/disk" "$LAB_DIR/state"
	sleep 1.5
	expect [ "$(version bad v2 .rejected)" = null ]
	expect perch rollout abort bad
	stop_perchd KILL
	rm -rf "$LAB_DIR/bpf/perch"
	start_perchd
	expect rejected bad v2
}

run test_reboot_restores_weights_roles_and_rejections test_reboot_keeps_the_way_back_to_previous \
	test_reboot_leaves_a_paused_rollout_paused test_reboot_begins_the_step_anew_and_loses_no_failure \
	test_failures_without_an_agent_come_before_its_first_step test_rejection_in_a_state_that_comes_late_counts
finish
