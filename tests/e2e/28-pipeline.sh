#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What a pipeline does with perch: start by revision, wait for the end and go
# by the exit code, see the plan and the reasons, run many commands as one.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000

# service NAME PORT STABLE CANARY ROLLOUT
service() {
	cat <<-END
		  - name: $1
		    listen: ["$VIP4:$2/tcp"]
		    affinity: connection
		    versions:
		      - { name: $3, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: $4, role: canary, labels: { commit: ab12 }, backends: ["10.2.0.12:7000"] }
		    rollout: $5
	END
}

services() {
	service quick 80 v1 v2 "{ steps: [10, 100], interval: 1s, minConnections: 1, watch: 0s }"
	service slow 81 v1 v2 "{ steps: [1, { weight: 20, pause: 90s }, 100], interval: 20m, watch: 1h, holdback: 5, gates: [{ signal: connect_failure, max: 2 }] }"
	service manual 82 v1 v2 "{ steps: [{ weight: 5, pause: manual }, 100], interval: 1s, minConnections: 1, watch: 0s }"
	service other 83 v1 v2 "{ steps: [5, 100], interval: 20m }"
}
services | perch_config tc
start_perchd
# steps take connections
lab_spawn c "$LAB_DIR/load-quick" "$TOOLS/shortconn" -t 300 -r 100 -s 10.1.1.0 -m 2000 "$VIP4" 80
lab_spawn c "$LAB_DIR/load-manual" "$TOOLS/shortconn" -t 300 -r 100 -s 10.1.1.0 -m 2000 "$VIP4" 82

# exits CODE CMD...: and what it says is in $SAYS.
exits() {
	local code=$1 got
	shift
	SAYS=$("$@" 2>&1)
	got=$?
	[ "$got" = "$code" ] && return 0
	echo "exit $got, not $code: $*: $SAYS"
	return 1
}

# says TEXT: the last command did.
says() {
	grep -qF -- "$1" <<< "$SAYS" && return 0
	echo "does not say '$1': $SAYS"
	return 1
}

# start_wait NAME WORD...: wait in the background; its exit code comes into
# $LAB_DIR/wait-NAME.code.
start_wait() {
	local name=$1
	{
		perch -j rollout wait "$@" > "$LAB_DIR/wait-$name"
		echo $? > "$LAB_DIR/wait-$name.code"
	} &
	sleep 0.5
}

waited() {
	wait_for "$2" test -s "$LAB_DIR/wait-$1.code"
	cat "$LAB_DIR/wait-$1.code"
}

test_wait_without_a_rollout_fails_and_says_how_to_begin() {
	expect exits 1 perch rollout wait quick
	expect says "perch rollout start quick"
	expect exits 1 perch rollout wait nothing
	expect says "no service 'nothing'"
	expect exits 1 perch rollout wait quick version v2
	expect says "no rollout of 'v2' was started"
}

test_plan_tells_the_steps_before_they_are_taken() {
	local plan
	plan=$(perch -j rollout plan slow)
	echo "$plan"
	expect [ "$(field "$plan" '[.stages[] | [.weight, .at, .seconds, .connections, .watching]] | tojson')" = \
		'[[1,0,1200,30,false],[20,1200,90,30,false],[95,1290,3600,0,true]]' ]
	expect [ "$(field "$plan" .seconds)" = 4890 ]
	expect [ "$(field "$plan" '[.stages[].state] | unique | tojson')" = '["planned"]' ]
	expect [ "$(field "$plan" .refused)" = null ]
	expect exits 0 perch rollout plan manual
	expect says "perch rollout advance, then the next step"
}

test_start_of_another_revision_is_refused() {
	expect exits 1 perch rollout start quick version v3
	expect says "has no version 'v3'"
	expect phase_is quick Idle
	expect exits 0 perch -j rollout start quick version v1
	expect [ "$(field "$SAYS" .outcome)" = alreadyStable ]
	expect phase_is quick Idle
}

test_wait_exits_0_when_the_canary_is_stable() {
	expect exits 0 perch -j rollout start quick version v2 comment "build 1234"
	expect [ "$(field "$SAYS" .outcome)" = started ]
	expect exits 0 perch -j rollout start quick
	expect [ "$(field "$SAYS" .outcome)" = underWay ]
	expect exits 0 perch rollout wait quick timeout 20s
	expect says "quick: v2 is stable: promoted"
	expect phase_is quick Succeeded
	expect [ "$(perch rollout show quick | head -n 1)" = "quick  Succeeded  v2" ]
	# and again, for a pipeline that is run twice
	expect exits 0 perch rollout start quick version v2
	expect says "quick: v2 is stable already"
	expect exits 0 perch rollout start quick
	expect says "quick: v2 is stable already"
	expect exits 0 perch rollout wait quick version v2
	expect [ "$(field "$(perch -j event show service quick)" '[.[] | select(.kind == "rollout")] | length')" = 1 ]
	expect [ "$(field "$(perch -j event show service quick)" '[.[] | select(.kind == "rollout")][0].comment')" = "build 1234" ]
	expect [ "$(field "$(perch -j event show service quick)" '[.[] | select(.kind == "rollout")][0].labels.commit')" = ab12 ]
}

test_wait_exits_3_at_once_when_it_is_rolled_back() {
	local began
	expect exits 0 perch rollout start slow
	start_wait slow timeout 60s
	began=$(monotonic)
	expect exits 0 perch rollback slow comment "pages do not load"
	expect [ "$(waited slow 5)" = 3 ]
	expect within $((($(monotonic) - began) / 1000000)) 0 3000
	expect [ "$(field "$(cat "$LAB_DIR/wait-slow")" '[.outcome, .waitedFor, .phase] | join(" ")')" = "rolledBack v2 RolledBack" ]
	expect exits 3 perch rollout wait slow
	expect says "slow: v2 was rolled back to v1: pages do not load"
	expect exits 1 perch rollout advance slow
	expect says "slow: RolledBack, can't advance; \`perch rollout retry slow\` begins again"
}

test_why_shows_what_decided_and_the_gates() {
	local why
	why=$(perch -j rollout why slow)
	echo "$why"
	expect [ "$(field "$why" '[.decided.kind, .decided.comment, .rollout.phase] | join(" ")')" = \
		"rollback pages do not load RolledBack" ]
	expect [ "$(field "$why" '[.decisions[].kind] | join(" ")')" = "step rollout rollback" ]
	expect exits 0 perch rollout why slow
	expect says "pages do not load"
	expect says connect_failure
}

test_wait_exits_4_when_a_person_is_needed() {
	expect exits 0 perch rollout start manual
	expect exits 4 perch rollout wait manual timeout 20s
	expect says "needs a person"
	expect says "perch rollout advance manual"
	expect exits 0 perch rollout advance manual
	expect exits 0 perch rollout wait manual timeout 20s
}

test_wait_exits_5_after_its_timeout() {
	local began
	began=$(monotonic)
	expect exits 0 perch rollout start other
	expect exits 5 perch rollout wait other timeout 1s
	expect within $((($(monotonic) - began) / 1000000)) 1000 3000
	expect says "other: v2 is not there yet: Progressing, step 1 of 2"
}

test_wait_exits_6_when_another_canary_is_started() {
	start_wait other timeout 60s
	# what comes between is not seen: perchd is away meanwhile
	stop_perchd TERM
	expect [ ! -s "$LAB_DIR/wait-other.code" ]
	services | sed '/name: other/,$ s/name: v2, role: canary/name: v3, role: canary/' | perch_config tc
	rm -rf "$LAB_DIR/state" "$LAB_DIR/bpf/perch"
	start_perchd
	expect exits 0 perch rollout start other version v3
	expect [ "$(waited other 20)" = 6 ]
	expect [ "$(field "$(cat "$LAB_DIR/wait-other")" '[.outcome, .waitedFor, .canary] | join(" ")')" = "superseded v2 v3" ]
	expect exits 6 perch rollout wait other version v2
}

test_watch_tells_until_it_is_over() {
	local watch json
	lab_spawn lb "$LAB_DIR/watch" env PERCH_SOCKET="$LAB_DIR/perch.sock" "$BUILD/perch" rollout watch other
	watch=$SPAWNED
	expect wait_for 5 grep -q "Progressing, step 1 of 2" "$LAB_DIR/watch"
	expect [ "$(field "$(perch -j rollout plan other)" '[.stages[].state] | tojson')" = '["now","planned"]' ]
	PERCH_SOCKET=$LAB_DIR/perch.sock lab_spawn lb "$LAB_DIR/watch.json" "$BUILD/perch" -j rollout watch other
	json=$SPAWNED
	expect wait_for 5 test -s "$LAB_DIR/watch.json"
	expect exits 0 perch rollout pause other comment lunch
	expect exits 1 perch rollout advance other
	expect says "other: Paused, can't advance; \`perch rollout resume other\` first"
	expect wait_for 5 grep -q "pause .*lunch" "$LAB_DIR/watch"
	expect wait_for 5 grew "$LAB_DIR/watch.json" 1
	expect exits 0 perch rollout abort other
	expect wait_for 5 is_gone "$watch"
	expect wait "$watch"
	cat "$LAB_DIR/watch"
	expect grep -q "RolledBack" "$LAB_DIR/watch"
	expect wait_for 5 is_gone "$json"
	expect [ "$(jq -rs '[.[] | [.phase, .event.kind // "-"] | join(" ")] | join(", ")' "$LAB_DIR/watch.json")" = \
		"Progressing -, Paused pause, RolledBack rollback" ]
	# one that is over says so once
	expect [ "$(perch rollout watch other | wc -l)" = 1 ]
}

# commented NUMBER WORD...: the change succeeds, and its comment is in an event.
commented() {
	local text="comment $1 of $$"
	shift
	exits 0 perch "$@" comment "$text" || return 1
	perch -j event show limit 20 | jq -e --arg text "$text" 'any(.[]; .comment == $text)' > /dev/null && return 0
	echo "no event has the comment of: $*"
	return 1
}

test_comment_of_every_change_is_in_an_event() {
	printf 'name: app\nlisten: ["%s:90/tcp"]\nversions: [{ name: v1, role: stable, backends: ["10.2.0.11:7000"] }]\n' "$VIP4" \
		> "$LAB_DIR/app.yaml"
	printf '10.1.0.8 v2 1h\n' > "$LAB_DIR/pins"
	expect commented 1 weight set slow canary 3
	expect commented 2 backend drain service slow address 10.2.0.12:7000 force
	expect commented 3 backend resume service slow address 10.2.0.12:7000
	expect commented 4 rollout start slow
	expect commented 5 rollout pause slow
	expect commented 6 rollout resume slow
	expect commented 7 rollout advance slow
	expect commented 8 rollout abort slow
	expect commented 9 rollout retry slow
	expect commented 10 rollout promote slow
	expect commented 11 rollback slow
	expect commented 12 pin set service manual client 10.1.0.7 version v2
	expect commented 13 pin load service manual file "$LAB_DIR/pins"
	expect commented 14 pin delete service manual client 10.1.0.7
	expect commented 15 service apply "$LAB_DIR/app.yaml"
	expect commented 16 version add app v2 backend 10.2.0.12:7000
	expect commented 17 version delete app v2
	expect commented 18 service delete app
	sed 's/interval: 20m/interval: 21m/' "$LAB_DIR/perch.yaml" > "$LAB_DIR/next.yaml"
	expect commented 19 config apply "$LAB_DIR/next.yaml" confirm 60s
	expect commented 20 config confirm
}

# batch LINE...: a file of them
batch() {
	printf '%s\n' "$@" > "$LAB_DIR/batch"
}

test_batch_runs_its_lines_in_order() {
	batch "# a comment" "" "weight set quick canary 7 comment 'it''s \"quoted\"' # why" \
		'weight set slow canary 9 comment "a # in it, and \"quotes\""' "weight show service quick"
	expect exits 0 perch -j batch file "$LAB_DIR/batch"
	expect [ "$(field "$SAYS" length)" = 3 ]
	expect [ "$(field "$SAYS" '[.[1].weights[].weight] | tojson')" = '[91,9]' ]
	expect [ "$(version quick v2 .weight)" = 7 ]
	expect [ "$(field "$(perch -j event show service slow limit 1)" '.[0].comment')" = 'a # in it, and "quotes"' ]
	expect exits 0 perch batch file - < "$LAB_DIR/batch"
}

test_batch_stops_at_the_first_error_and_says_where() {
	batch "weight set quick canary 8" "weight set quick canary 108" "weight set quick canary 9"
	expect exits 2 perch batch file "$LAB_DIR/batch"
	expect says "$LAB_DIR/batch:2: '108' is no percentage of canary"
	expect [ "$(version quick v2 .weight)" = 8 ]
	batch "weight set quick nobody 8" "weight set quick canary 10"
	expect exits 1 perch -j batch file "$LAB_DIR/batch"
	expect [ "$(field "$SAYS" length)" = 1 ]
	expect grep -q "batch:1: " <<< "$(field "$SAYS" '.[0].error')"
	expect [ "$(version quick v2 .weight)" = 8 ]
	expect exits 1 perch batch file "$LAB_DIR/batch" continue
	expect [ "$(version quick v2 .weight)" = 10 ]
	expect exits 1 perch batch file "$LAB_DIR/none"
	batch "batch file -"
	expect exits 2 perch batch file "$LAB_DIR/batch"
	batch "weight set quick canary 'five"
	expect exits 2 perch batch file "$LAB_DIR/batch"
	expect says "a ' that does not end"
}

test_batch_sets_a_thousand_weights() {
	local began took i
	for ((i = 0; i < 1000; i++)); do
		echo "weight set quick canary $((i % 50 + 1))"
	done > "$LAB_DIR/batch"
	began=$(monotonic)
	expect exits 0 perch batch file "$LAB_DIR/batch"
	took=$((($(monotonic) - began) / 1000000))
	expect [ "$(version quick v2 .weight)" = 50 ]
	say "1,000 weights in $took ms"
	expect within "$took" 1 15000
}

run test_wait_without_a_rollout_fails_and_says_how_to_begin test_plan_tells_the_steps_before_they_are_taken \
	test_start_of_another_revision_is_refused test_wait_exits_0_when_the_canary_is_stable \
	test_wait_exits_3_at_once_when_it_is_rolled_back test_why_shows_what_decided_and_the_gates \
	test_wait_exits_4_when_a_person_is_needed test_wait_exits_5_after_its_timeout \
	test_wait_exits_6_when_another_canary_is_started test_watch_tells_until_it_is_over \
	test_batch_runs_its_lines_in_order test_batch_stops_at_the_first_error_and_says_where \
	test_batch_sets_a_thousand_weights test_comment_of_every_change_is_in_an_event
finish
