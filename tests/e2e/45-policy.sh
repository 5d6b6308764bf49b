#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What a policy may say beyond steps: even steps, blue and green, experiments,
# times of the week in which nothing goes on, what becomes of undecided steps,
# and a gate that a person leaves out.  Then a policy is tried on what was
# recorded meanwhile.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=rollouts.sh
. "$(dirname "$0")/rollouts.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000

# day_time SECONDS: "Fri 16:00", so long from now.
day_time() {
	LC_ALL=C date -d "@$(($(date +%s) + $1))" '+%a %H:%M'
}

# service NAME PORT ROLLOUT
service() {
	cat <<-END
		  - name: $1
		    listen: ["$VIP4:$2/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, door: ["$VIP4:$(($2 + 100))/tcp"], backends: ["10.2.0.12:7000"] }
		    rollout: { watch: 0s, $3 }
	END
}

services() {
	service even 80 "interval: 1s, minConnections: 1, stepWeight: 30, maxWeight: 50"
	service green 81 "interval: 1s, minConnections: 1, strategy: blueGreen"
	service experiment 82 "interval: 1s, minConnections: 1, strategy: experiment, steps: [20, 40]"
	service frozen 83 "interval: 1s, minConnections: 1, steps: [50, 100], freeze: [\"$(day_time -3600)-$(day_time 7200)\"]"
	service undecided 84 "interval: 1s, steps: [50, 100], minConnections: 1000000, maxStepTime: 2s, onInconclusive: rollback"
	service waved 85 "interval: 1s, steps: [50, 100], minConnections: 1000000, maxStepTime: 2s, onInconclusive: advance"
	service watched 87 "interval: 3s, minConnections: 1, steps: [50, 100], gates: [{ signal: connect_failure, max: 5 }]"
	service recorded 88 "interval: 20m, steps: [50, 100]"
	service gated 86 "steps: [50, 100], interval: 3s, minConnections: 1, gates: [{ signal: response_time, quantile: 0.5, max: 0.01ms }]"
}
services | perch_config tc
start_perchd
for port in 80 81 82 83 86 87 88; do
	lab_spawn c "$LAB_DIR/load-$port" "$TOOLS/shortconn" -t 300 -r 50 -s 10.1.1.0 -m 2000 "$VIP4" $port
done

perch rollout start recorded > /dev/null || die "no rollout"	# samples each 10 s

# refuses TEXT CMD...: CMD fails, and says so.
refuses() {
	local text=$1 said
	shift
	said=$("$@" 2>&1) && echo "was not refused: $*" && return 1
	grep -qF -- "$text" <<< "$said" && return 0
	echo "does not say '$text': $said"
	return 1
}

test_even_steps_end_at_the_most() {
	expect [ "$(field "$(perch -j rollout plan even)" '[.stages[].weight] | tojson')" = '[30,50]' ]
	expect perch rollout start even
	expect perch rollout wait even timeout 60s
	expect is even .phase Succeeded
	expect [ "$(field "$(perch -j event show service even)" '[.[] | select(.kind == "step").to] | tojson')" = '["30","50"]' ]
}

test_green_waits_behind_its_door_for_a_person() {
	expect perch rollout start green
	expect wait_for 20 is green .phase Paused
	expect no_canary "$VIP4" 81 v2
	expect [ "$(count "$(short -n 100 -s 10.1.1.0 -m 100 "$VIP4" 181)" v2)" = 100 ]
	expect is green .next "perch rollout advance green"
	expect perch rollout advance green comment "looked through the door"
	expect perch rollout wait green timeout 60s
	expect is green .phase Succeeded
	expect [ "$(count "$(short -n 100 -s 10.1.1.0 -m 100 "$VIP4" 81)" v2)" = 100 ]
}

test_experiment_goes_back_and_promotes_nobody() {
	expect perch rollout start experiment
	expect refuses "an experiment promotes nobody" perch rollout promote experiment force
	expect perch rollout wait experiment timeout 60s
	expect is experiment .phase Succeeded
	expect is experiment .weight 0
	expect is experiment .stable v1
	expect [ "$(field "$(perch -j event show service experiment)" '[.[] | select(.kind == "promote" or .kind == "rejection")] | length')" = 0 ]
	expect no_canary "$VIP4" 82 v2
	# and it may be made again
	expect perch rollout start experiment
	expect is experiment .phase Progressing
	expect perch rollout abort experiment
}

test_nothing_goes_on_in_a_freeze_but_a_person() {
	expect perch rollout start frozen
	expect wait_for 20 is frozen '.blockedBy | test("^frozen until")' true
	sleep 3
	expect is frozen .step 1
	expect is frozen .phase Progressing
	expect is frozen .next "perch rollout advance frozen"
	expect perch rollout advance frozen
	expect wait_for 20 is frozen .step 2
	# a rollback is never frozen
	expect perch rollback frozen
	expect is frozen .phase RolledBack
}

test_undecided_steps_go_back_or_on_as_the_policy_says() {
	expect perch rollout start undecided
	expect wait_for 30 is undecided .phase RolledBack
	expect is undecided '.reason | test("not decided within maxStepTime")' true
	# waved was watched above
	expect is waved .phase Succeeded
}

test_a_gate_that_is_left_out_rolls_nobody_back() {
	expect perch rollout start gated
	expect refuses "there is no gate 'reset'; gates here: response_time p50" perch rollout skip gated gate reset
	expect perch rollout skip gated gate "response_time p50" comment "known to be slow"
	expect refuses "is left out already" perch rollout skip gated gate "response_time p50"
	expect is gated '.gates[0].skipped' true
	expect perch rollout wait gated timeout 60s
	expect is gated .phase Succeeded
	expect [ "$(field "$(perch -j event show service gated)" '[.[] | select(.kind == "skip")][0].comment')" = "known to be slow" ]
}

test_watch_draws_a_tree_until_it_is_over() {
	expect perch rollout start watched
	SHELL=$BASH PERCH_SOCKET=$LAB_DIR/perch.sock TERM=xterm in_ns lb timeout 60 script -qec \
		"stty cols 160 rows 40; $BUILD/perch rollout watch watched; echo left with \$?" /dev/null < <(sleep 25) > "$LAB_DIR/drawn"
	expect grep -q $'\033\[?25h\033\[?1049l' "$LAB_DIR/drawn"
	expect grep -qE 'watched  Progressing, step 1 of 2 at 50 %' "$LAB_DIR/drawn"
	expect grep -qE '\|- v2 +canary +50 %' "$LAB_DIR/drawn"
	expect grep -qE '`- connect_failure +(pass|inconclusive) +canary 0 of [0-9,]+ +stable 0 of [0-9,]+ +E ' "$LAB_DIR/drawn"
	expect grep -q 'watched  Succeeded' "$LAB_DIR/drawn"
	expect grep -q 'left with 0' "$LAB_DIR/drawn"
	# and without a terminal it is lines
	expect perch rollout start waved
	perch rollout watch waved > "$LAB_DIR/lines"
	expect grep -q 'waved: v2 Progressing, step 1 of 2 at 50 %' "$LAB_DIR/lines"
}

# recorded: samples of it are there, three of each version at least.
samples() {
	in_ns lb curl -s --unix-socket "$LAB_DIR/perch.sock" 'http://perch/v1/samples?service=recorded&limit=20000' > "$LAB_DIR/samples"
	[ "$(jq length "$LAB_DIR/samples")" -ge 6 ]
}

test_what_was_recorded_tries_a_policy() {
	local doc
	expect wait_for 60 samples
	doc=$(perch -j judge replay "$LAB_DIR/samples" runs 50 policy steps=10/50/100,interval=10s policy maxRatio=3,steps=50/100,interval=10s)
	expect within "$(field "$doc" '.rate | round')" 20 80
	expect [ "$(field "$doc" '[.policies[] | [.rolledBack, .succeeded]] | tojson')" = '[[0,50],[0,50]]' ]
	say "replayed: $(field "$doc" '"\(.rate) connections a second, \(.bad) % bad: at 100 % after \([.policies[].succeededAfter] | tojson) s"')"
	doc=$(perch -j judge replay "$LAB_DIR/samples" runs 50 more 30 policy steps=10/50/100,interval=10s)
	expect [ "$(field "$doc" '.policies[0].rolledBack')" = 50 ]
	say "with 30 points more failures: rolled back after $(field "$doc" '.policies[0].rolledBackAfter') s, $(field "$doc" '.policies[0].excess') connections hurt (medians)"
}

run test_watch_draws_a_tree_until_it_is_over test_even_steps_end_at_the_most test_green_waits_behind_its_door_for_a_person test_experiment_goes_back_and_promotes_nobody \
	test_nothing_goes_on_in_a_freeze_but_a_person test_undecided_steps_go_back_or_on_as_the_policy_says \
	test_a_gate_that_is_left_out_rolls_nobody_back test_what_was_recorded_tries_a_policy
finish
