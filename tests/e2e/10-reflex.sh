#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# A canary that refuses connections is taken out by the kernel itself, with the
# agent or without it; one that resets them is taken out by the judge.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

PARALLEL=16
lab_up 2
lab_namesrv s1 v1 7000
service() {
	cat <<-END
		  - name: $1
		    listen: ["$VIP4:$2/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:$3"] }
		    rollout:
		      steps: [30, 100]
		      interval: 20m
		      reflex: { connectFailures: 10 }
		      gates: [{ signal: reset, max: 2 }, { signal: connect_failure, max: 2 }]
	END
}
{
	service refuses 80 7000
	service orphan 81 7001
	service resets 82 7002
} | perch_config "$MODE"
start_perchd

# falls SERVICE PORT BREAK...: while short connections run, BREAK makes the
# canary fail; $SEEN is what the clients saw until it was out.
falls() {
	local service=$1 port=$2 load
	shift 2
	expect perch rollout start "$service"
	[ -z "${ORPHAN:-}" ] || stop_perchd TERM
	lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t 60 -j "$PARALLEL" -r 1000 -s 10.1.1.0 -m 2000 "$VIP4" "$port"
	load=$SPAWNED
	sleep 2
	"$@"
	sleep 3
	lab_kill TERM "$load"
	SEEN=$(cat "$LAB_DIR/load")
	echo "$SEEN"
	expect [ "$(count "$SEEN" v2)" -gt 100 ]
	expect [ "$(field "$SEEN" .failed)" -gt 0 ]
	say "$(field "$SEEN" .failed) connections hurt in" \
		"$((($(field "$SEEN" .last_failure) - $(field "$SEEN" .first_failure)) / 1000)) us from the first failure to the last"
	expect no_canary "$VIP4" "$port" v2
}

# ten in a row, and those that were under way; a stable success resets nothing
hurt_few() {
	expect [ "$(field "$SEEN" .failed)" -le $((10 + PARALLEL)) ]
}

test_reflex_takes_out_a_canary_that_refuses() {
	lab_namesrv s2 v2 7000
	falls refuses 80 lab_kill TERM "$SPAWNED"
	hurt_few
	expect wait_for 5 phase_is refuses RolledBack
	expect [ "$(version refuses v2 .rejected.by)" = reflex ]
}

test_judge_takes_out_a_canary_that_resets() {
	local server
	lab_namesrv s2 v2 7002
	server=$SPAWNED
	falls resets 82 kill -USR1 "$server"
	expect wait_for 5 phase_is resets RolledBack
	expect [ "$(version resets v2 .rejected.by)" = judge ]
	lab_kill TERM "$server"
}

test_reflex_needs_no_agent() {
	lab_namesrv s2 v2 7001
	ORPHAN=1 falls orphan 81 lab_kill TERM "$SPAWNED"
	hurt_few
	start_perchd
	expect wait_for 5 phase_is orphan RolledBack
	expect [ "$(version orphan v2 .rejected.by)" = reflex ]
	expect no_canary "$VIP4" 81 v2
}

run test_reflex_takes_out_a_canary_that_refuses test_judge_takes_out_a_canary_that_resets test_reflex_needs_no_agent
finish
