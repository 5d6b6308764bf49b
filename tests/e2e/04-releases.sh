#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Three releases in a row with nothing but file edits and rollout commands:
# promote, roll back to previous, promote.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7001
lab_namesrv s2 v2 7002
lab_namesrv s1 v3 7003
lab_namesrv s2 v4 7004

# edit VERSION:BACKEND...: the first is stable, if anybody still asks.
edit() {
	local entry role=stable
	{
		cat <<-END
			  - name: web
			    listen: ["$VIP4:80/tcp"]
			    affinity: connection
			    rollout: { steps: [20, 100], interval: 500ms, minConnections: 20, watch: 0s }
			    versions:
		END
		for entry in "$@"; do
			echo "      - { name: ${entry%%:*}, role: $role, backends: [\"${entry#*:}\"] }"
			role=canary
		done
	} | perch_config "$MODE"
}

edit v1:10.2.0.11:7001 v2:10.2.0.12:7002
start_perchd
lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t 600 -r 500 -s 10.1.1.0 -m 2000 "$VIP4" 80
LOAD=$SPAWNED

# all_on VERSION: every new connection.
all_on() {
	local seen
	seen=$(short -n 2000 -s 10.1.1.0 -m 2000 "$VIP4" 80)
	echo "$seen"
	expect [ "$(count "$seen" "$1")" = 2000 ]
}

release() {
	expect wait_for 5 knows_version web "$1"
	expect [ "$(version web "$1" .weight)" = 0 ]
	expect perch rollout start web
	expect wait_for 20 phase_is web Succeeded
	expect [ "$(version web "$1" .role)" = stable ]
	all_on "$1"
}

test_first_release_is_promoted() {
	release v2
	expect [ "$(version web v1 .role)" = previous ]
}

test_second_release_is_promoted_with_the_oldest_taken_out() {
	edit v2:10.2.0.12:7002 v3:10.2.0.11:7003
	release v3
	expect [ "$(version web v2 .role)" = previous ]
}

test_rollback_after_promotion_leads_to_previous() {
	expect perch rollback web
	all_on v2
	expect wait_for 5 role_is v2 stable
	expect refused perch rollout start web
	all_on v2
}

role_is() {
	[ "$(version web "$1" .role)" = "$2" ]
}

test_third_release_is_promoted_after_the_rollback() {
	edit v2:10.2.0.12:7002 v4:10.2.0.12:7004
	release v4
}

test_stable_cannot_be_taken_out() {
	local before
	before=$(lasting_weights)
	edit v2:10.2.0.12:7002 v3:10.2.0.11:7003
	sleep 1
	expect [ "$(field "$(perch -j config show)" .ok)" = false ]
	expect [ "$(lasting_weights)" = "$before" ]
	all_on v4
}

# without what still retires after the release before
lasting_weights() {
	perch -j weight show | jq -c '.[].weights | map(select(.role != "retiring"))'
}

test_no_connection_failed_in_three_releases() {
	lab_kill TERM "$LOAD"
	cat "$LAB_DIR/load"
	expect [ "$(field "$(cat "$LAB_DIR/load")" .failed)" = 0 ]
	say "$(field "$(cat "$LAB_DIR/load")" .ok) connections, 0 failed"
}

run test_first_release_is_promoted test_second_release_is_promoted_with_the_oldest_taken_out \
	test_rollback_after_promotion_leads_to_previous test_third_release_is_promoted_after_the_rollback \
	test_stable_cannot_be_taken_out test_no_connection_failed_in_three_releases
finish
