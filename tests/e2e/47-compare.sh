#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The canary beside stable, with real servers: one that is worse goes back for
# the signal that shows it, with numbers; one that is not goes on, and waits
# until enough is known.  Times are short; the defaults' are minutes.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=rollouts.sh
. "$(dirname "$0")/rollouts.sh"

lab_up 2

# service NAME PORT SERVERPORT ROLLOUT [INTERVAL]
service() {
	lab_service "$1" "$2" "$3" "steps: [50, 100], minConnections: 20, warmup: 1s, watch: 0s, reflex: { connectFailures: 0 },
	      gates: [{ signal: connect_failure }, { signal: reset }, { signal: no_response }, { signal: response_time }],
	      interval: ${5:-2s}, $4"
}

services() {
	service refuses 80 7000 "maxLoss: 100"
	service resets 81 7001 "maxLoss: 100"
	service hangs 82 7002 "maxLoss: 100"
	service slow 83 7003 "maxLoss: 100" 40s
	service healthy 84 7004 "maxLoss: 2"
	service alike 85 7005 "maxLoss: 100"
	service late 86 7006 "maxLoss: 100"
	service careful 87 7007 "maxLoss: 0.05, maxLossPerHour: 0"
	service crashes 88 7008 "maxLoss: 100" 5m
	service walled 89 7009 "maxLoss: 100" 12s
	service left 90 7010 "maxLoss: 100" 12s
	service paired 91 7011 "maxLoss: 100" 12s | sed '/role: stable/a\      - { name: v1b, role: baseline, backends: ["10.2.0.11:7012"] }'
}
services | perch_config tc

# server HOST NAME PORT OPTIONS...
server() {
	local host=$1 name=$2 port=$3
	shift 3
	lab_spawn "$host" "$LAB_DIR/server-$host-$port" "$TOOLS/namesrv" "$@" "$name" "$port"
}

server s1 v1 7000	# and nobody at 7000 of s2
server s1 v1 7001 -d 5; server s2 v2 7001 -d 5 -x
server s1 v1 7002 -d 5; server s2 v2 7002 -b
server s1 v1 7003 -d 20; server s2 v2 7003 -d 40
server s1 v1 7004 -d 5; server s2 v2 7004 -d 5
server s1 v1 7005 -d 5 -x; server s2 v2 7005 -d 5 -x
server s1 v1 7006 -d 40; server s2 v2 7006 -d 42
server s1 v1 7007; server s2 v2 7007
server s1 v1 7008; server s2 v2 7008
CRASHES=$SPAWNED
server s1 v1 7009; server s2 v2 7009
server s1 v1 7010; server s2 v2 7010
LEFT=$SPAWNED
server s1 v1 7011; server s1 v1b 7012 -x; server s2 v2 7011 -x
# one client whom neither version can hear
for host in s1 s2; do
	in_ns $host nft -f - <<-END
		table ip walled {
			chain in {
				type filter hook input priority 0;
				ip saddr 10.1.9.9 tcp dport 7009 drop
			}
		}
	END
done
start_perchd
lab_spawn c "$LAB_DIR/load-walled" "$TOOLS/shortconn" -t 240 -r 10 -j 400 -w 8000 -s 10.1.9.9 -m 1 "$VIP4" 89
for port in 80 81 82 83 84 85 86 87 88 89 90 91; do
	lab_spawn c "$LAB_DIR/load-$port" "$TOOLS/shortconn" -t 240 -r 60 -j 400 -w 3000 -s 10.1.1.0 -m 2000 "$VIP4" $port
done
sleep 8		# waits of stable, of which edges are made

perch weight set paired baseline 25 > /dev/null || die "no baseline"
for name in refuses resets hangs slow healthy alike late careful crashes walled left paired; do
	perch rollout start $name > /dev/null || die "no rollout of $name"
done
PAIRED=$(show paired .against)
for gate in reset no_response; do
	perch rollout skip left gate $gate > /dev/null || die "$gate is not left out"
done
lab_kill KILL "$LEFT"
server s2 v2 7010 -x

test_a_canary_that_refuses_goes_back() {
	goes_back refuses "^gate connect_failure: .* of canary's .*, E .* >= 100" 30
}

test_a_canary_that_resets_goes_back() {
	goes_back resets "^gate (reset|no_response): " 30
}

test_a_canary_that_never_answers_goes_back() {
	goes_back hangs "^gate (no_response|response_time): " 60
}

test_a_canary_twice_as_slow_goes_back() {
	goes_back slow "^gate response_time: .*[(]above p" 60
}

test_why_shows_the_numbers() {
	perch rollout why slow > "$LAB_DIR/why"
	expect grep -Eq "^ *response_time +fail +[0-9]+ of [0-9]+" "$LAB_DIR/why"
	expect grep -Eq "^ *connect_failure +inconclusive" "$LAB_DIR/why"
	expect is slow '.compared[] | select(.name == "response_time") | .edges[0] | .canary / .stable | . >= 1.25 and . < 1.5' true
}

# agrees NAME: its votes make the evidence again that decided.
agrees() {
	local again
	perch -j rollout why "$1" > "$LAB_DIR/why.json" || return 1
	again=$(perch -j judge votes "$LAB_DIR/why.json") || return 1
	say "$1: perchd $(field "$again" .said), again $(field "$again" .logE), $(field "$again" .verdict)"
	[ "$(field "$again" '(.logE - .said) | fabs < 1e-6')" = true ]
}

test_votes_make_the_evidence_again() {
	expect agrees slow
	expect agrees refuses
	expect agrees walled
	expect [ "$(perch -j judge votes "$LAB_DIR/why.json" | jq -r '.gates | map(.name) | join(" ")')" = \
		"connect_failure reset no_response response_time" ]
	expect [ "$(perch rollout why slow | sed -n 's/.*`\(perch -j rollout why slow\) | .*/\1/p')" = "perch -j rollout why slow" ]
	echo '{ "votes": { "blocks": 2, "alpha": 0.01, "bets": [{ "gate": "reset", "ratio": 1.5, "votes": [[3, 0.5, 1, 0]] }] } }' > "$LAB_DIR/no"
	expect refused perch judge votes "$LAB_DIR/no"
}

test_a_canary_that_crashes_in_the_middle_goes_back() {
	expect is crashes .phase Progressing
	lab_kill KILL "$CRASHES"
	goes_back crashes "^gate (connect_failure|reset): " 30
}

test_one_client_that_neither_hears_is_no_reason() {
	expect wait_for 90 is walled .phase Succeeded
	expect is walled '.compared[] | select(.name == "connect_failure") | .canary.bad > 0 and .stable.bad > 0' true
	say "walled: $(show walled '.compared[] | select(.name == "connect_failure") | "\(.canary.bad) of \(.canary.of), \(.stable.bad) of \(.stable.of)"')"
}

test_gates_that_a_person_left_out_are_no_reason() {
	expect wait_for 60 is left .phase Succeeded
	expect is left '.compared[] | select(.name == "reset") | .skipped and .e >= .threshold and .verdict == "inconclusive"' true
	say "left: $(show left '.compared[] | select(.name == "reset") | "\(.canary.bad) of \(.canary.of), E \(.e)"')"
}

# The baseline resets as much, and stable does not.
test_a_canary_no_worse_than_the_baseline_is_promoted() {
	expect wait_for 60 is paired .phase Succeeded
	expect [ "$PAIRED" = v1b ]
	expect is paired '.compared[] | select(.name == "reset") | .canary.bad > 100 and .stable.bad > 20' true
	say "paired: $(show paired '.compared[] | select(.name == "reset") | "\(.canary.bad) of \(.canary.of), \(.stable.bad) of \(.stable.of)"')"
}

test_a_healthy_canary_is_promoted() {
	expect wait_for 90 is healthy .phase Succeeded
	expect is healthy .stable v2
}

test_both_alike_bad_is_no_reason_to_go_back() {
	expect wait_for 60 is alike .phase Succeeded
	expect is alike '.compared[] | select(.name == "reset") | .canary.bad > 0 and .stable.bad > 0' true
}

test_a_little_slower_is_within_the_margin() {
	expect wait_for 60 is late .phase Succeeded
	expect is late '.compared[] | select(.name == "response_time") | .canary.of > 30 and .verdict == "inconclusive"' true
}

test_the_interval_begins_after_the_warm_up() {
	local took
	took=$(field "$(perch -j event show service walled limit 100)" '[.[] | select(.kind == "step") | .time] | sort | .[1] - .[0]')
	say "walled: its first step took $took s, of warmup 1s and interval 12s"
	expect awk -v took="$took" 'BEGIN { exit !(took >= 12.9) }'
}

# 0.2 % of a step to 100 %: a few thousand connections without a failure.
test_a_step_waits_until_enough_is_known_and_says_for_how_much() {
	expect is careful .step 1
	expect is careful '.blockedBy | test("about [0-9]+ more connections of the canary$")' true
	expect is careful '.eta > 10 and .eta < 600' true
}

test_a_rollout_goes_on_where_it_was_after_a_crash() {
	local before after
	before=$(show careful .stepConnections)
	lab_kill KILL "$PERCHD"
	start_perchd
	after=$(show careful .stepConnections)
	expect within "$after" "$before" $((before + 5000))
	expect is careful .phase Progressing
	expect agrees careful
	expect wait_for 20 is careful '.blockedBy | test("more connections of the canary$")' true
}

run test_a_canary_that_refuses_goes_back test_a_canary_that_resets_goes_back test_a_canary_that_never_answers_goes_back \
	test_a_canary_twice_as_slow_goes_back test_why_shows_the_numbers test_votes_make_the_evidence_again \
	test_a_canary_that_crashes_in_the_middle_goes_back \
	test_one_client_that_neither_hears_is_no_reason test_gates_that_a_person_left_out_are_no_reason \
	test_a_canary_no_worse_than_the_baseline_is_promoted test_a_healthy_canary_is_promoted test_both_alike_bad_is_no_reason_to_go_back \
	test_the_interval_begins_after_the_warm_up test_a_little_slower_is_within_the_margin test_a_step_waits_until_enough_is_known_and_says_for_how_much \
	test_a_rollout_goes_on_where_it_was_after_a_crash
finish
