#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# After a rollback not one new connection reaches the canary, whoever wrote it
# and whatever becomes of the agent and its state afterwards.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
perch_config "$MODE" <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp", "$VIP4:443/tcp"]
	    affinity: connection
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
	    rollout: { steps: [50, 100], interval: 20m }
END
start_perchd

# canary_up start|retry: half of the connections reach the canary.
canary_up() {
	expect perch rollout "$1" web
	expect [ "$(version web v2 .weight)" = 50 ]
	expect within "$(count "$(short -n 1000 -s 10.1.1.0 -m 2000 "$VIP4" 80)" v2)" 400 600
}

# On every listener of the service.
canary_is_out() {
	expect no_canary "$VIP4" 80 v2
	expect no_canary "$VIP4" 443 v2 500
}

test_rollback_under_load_lets_nobody_through_after_it() {
	local load done_at seen
	canary_up start
	lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t 30 -s 10.1.1.0 -m 2000 "$VIP4" 80
	load=$SPAWNED
	sleep 2
	expect perch rollback web comment "from the test"
	done_at=$(monotonic)
	sleep 1
	lab_kill TERM "$load"
	seen=$(cat "$LAB_DIR/load")
	echo "$seen; done at $done_at"
	expect [ "$(count "$seen" v2)" -gt 100 ]
	expect [ "$(field "$seen" .names.v2.last)" -le "$done_at" ]
	expect [ "$(field "$seen" .failed)" = 0 ]
	expect phase_is web RolledBack
	canary_is_out
	say "the last canary connection began $(((done_at - $(field "$seen" .names.v2.last)) / 1000)) us before the command ended"
}

test_rollback_twice_says_so_and_succeeds() {
	expect perch rollback web
	expect [ "$(field "$(perch -j event show limit 50)" '[.[] | select(.kind == "rollback")] | length')" -ge 1 ]
	expect refused perch rollout start web
	canary_is_out
}

test_agent_that_hangs_is_passed_by() {
	canary_up retry
	kill -STOP "$PERCHD"
	expect timeout 10 nsenter --net="/run/netns/p$$-lb" "$BUILD/perch" --socket "$LAB_DIR/perch.sock" \
		--bpffs "$LAB_DIR/bpf/perch" rollback web
	canary_is_out
	kill -CONT "$PERCHD"
	sleep 1
	canary_is_out
	expect wait_for 5 phase_is web RolledBack
}

test_direct_rollback_works_with_the_agent_dead() {
	canary_up retry
	stop_perchd KILL
	expect is_gone "$PERCHD"
	expect within "$(count "$(short -n 1000 -s 10.1.1.0 -m 2000 "$VIP4" 80)" v2)" 400 600
	expect perch rollback web --direct comment "3 a.m."
	canary_is_out
}

# last_rollback FILTER: of the last event of its kind
last_rollback() {
	field "$(perch -j event show limit 50)" "[.[] | select(.kind == \"rollback\")] | last | $1"
}

test_restart_brings_nothing_back() {
	start_perchd
	canary_is_out
	expect phase_is web RolledBack
	expect [ "$(version web v2 .rejected.by)" = direct ]
	expect [ "$(last_rollback .actor.via)" = direct ]
	expect [ "$(last_rollback .reason)" = "rolled back by root without the agent" ]
	expect [ "$(last_rollback .comment)" = "3 a.m." ]
	expect refused perch rollout start web
	canary_is_out
}

test_reload_brings_nothing_back() {
	kill -HUP "$PERCHD"
	sleep 1
	canary_is_out
	touch "$LAB_DIR/perch.yaml"
	sleep 1
	canary_is_out
}

test_second_takeover_brings_nothing_back() {
	stop_perchd TERM
	canary_is_out
	start_perchd
	canary_is_out
	stop_perchd KILL
	start_perchd
	canary_is_out
	expect phase_is web RolledBack
}

test_lost_state_brings_nothing_back() {
	stop_perchd KILL
	rm -rf "$LAB_DIR/state"
	start_perchd
	canary_is_out
	expect [ "$(version web v2 .weight)" = 0 ]
	expect refused perch rollout start web
	canary_is_out
}

test_lost_pins_bring_nothing_back() {
	stop_perchd KILL
	rm -rf "$LAB_DIR/bpf/perch"
	start_perchd
	canary_is_out
	expect refused perch rollout start web
	canary_is_out
}

test_retry_is_the_word_that_brings_it_back() {
	canary_up retry
}

# The command finds nobody, the next agent takes over what it did, connections
# that must end included.
test_take_over_of_a_rollback_that_fell_back_to_direct() {
	local before
	before=$(last_rollback ".id // 0")
	stop_perchd KILL
	expect perch rollback web
	start_perchd
	expect wait_for 5 phase_is web RolledBack
	canary_is_out
	expect [ "$(last_rollback .actor.via)" = direct ]
	expect [ "$(last_rollback .id)" -gt "$before" ]
	expect [ "$(last_rollback .comment)" = null ]
}

run test_rollback_under_load_lets_nobody_through_after_it test_rollback_twice_says_so_and_succeeds \
	test_agent_that_hangs_is_passed_by test_direct_rollback_works_with_the_agent_dead \
	test_restart_brings_nothing_back test_reload_brings_nothing_back test_second_takeover_brings_nothing_back \
	test_lost_state_brings_nothing_back test_lost_pins_bring_nothing_back test_retry_is_the_word_that_brings_it_back \
	test_take_over_of_a_rollback_that_fell_back_to_direct
finish
