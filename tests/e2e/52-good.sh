#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Canaries that are not worse are not rolled back, five rollouts of each kind,
# with everything compared that is seen and with votes of the canary's shown:
# healthy at 1,000 connections a second, healthy at two a second, a little
# slower, cold at first, as bad as stable, down together with it, beside clients
# that reset, beside one that nobody hears, and with connections that last.
# Times are short; docs/judge.md tells of one rollout with the defaults.
# alone
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=rollouts.sh
. "$(dirname "$0")/rollouts.sh"

RUNS=5
LOAD=150

lab_up 2

# Kinds, and what each one's rollouts are like.
declare -A ROLLOUT=(
	[fast]="steps: [5, 25, 50, 100], interval: 4s, warmup: 1s, maxLoss: 0.5"
	[rare]="steps: [50, 100], interval: 2s, warmup: 1s, minConnections: 5, maxLoss: 0.2"
	[slower]="steps: [50, 100], interval: 20s, warmup: 1s, maxLoss: 100"
	[cold]="steps: [50, 100], interval: 10s, warmup: 25s, maxLoss: 100"
	[alike]="steps: [50, 100], interval: 20s, warmup: 1s, maxLoss: 100"
	[down]="steps: [50, 100], interval: 20s, warmup: 1s, maxLoss: 100"
	[aborts]="steps: [50, 100], interval: 20s, warmup: 1s, maxLoss: 100"
	[walled]="steps: [50, 100], interval: 20s, warmup: 1s, maxLoss: 100"
	[lasting]="steps: [50, 100], interval: 40s, warmup: 1s, maxLoss: 100, minConnections: 10"
)
KINDS=(fast rare slower cold alike down aborts walled lasting)

# port_of KIND: the first of its five.
port_of() {
	local i
	for i in "${!KINDS[@]}"; do
		[ "${KINDS[i]}" != "$1" ] || echo $((100 + 10 * i))
	done
}

services() {
	local kind run
	for kind in "${KINDS[@]}"; do
		for ((run = 0; run < RUNS; run++)); do
			lab_service "$kind-$run" $(($(port_of "$kind") + run)) $((7000 + $(port_of "$kind"))) "watch: 0s, ${ROLLOUT[$kind]}"
		done
	done
}
services | perch_config tc

# server KIND HOST VERSION [OPTION...]
server() {
	local kind=$1 host=$2 version=$3
	shift 3
	lab_spawn "$host" "$LAB_DIR/server-$kind-$version" "$TOOLS/namesrv" "$@" "$version" $((7000 + $(port_of "$kind")))
}
for kind in fast rare; do
	server $kind s1 v1
	server $kind s2 v2
done
server slower s1 v1 -d 40; server slower s2 v2 -d 42
server cold s1 v1 -d 20; server cold s2 v2 -d 60
COLD=$SPAWNED
server alike s1 v1 -d 5 -x; server alike s2 v2 -d 5 -x
server down s1 v1; DOWN1=$SPAWNED; server down s2 v2; DOWN2=$SPAWNED
server aborts s1 v1 -d 30; server aborts s2 v2 -d 30
server walled s1 v1; server walled s2 v2
server lasting s1 v1; server lasting s2 v2
for host in s1 s2; do
	in_ns $host nft -f - <<-END
		table ip walled {
			chain in {
				type filter hook input priority 0
				ip saddr 10.1.9.9 tcp dport $((7000 + $(port_of walled))) drop
			}
		}
	END
done
start_perchd

# load KIND RATE [OPTION...]: to each of the five.
load() {
	local kind=$1 rate=$2 run
	shift 2
	for ((run = 0; run < RUNS; run++)); do
		lab_spawn c "$LAB_DIR/load-$kind-$run" "$TOOLS/shortconn" -t $LOAD -r "$rate" -j 400 -w 8000 -s 10.1.1.0 -m 2000 "$@" \
			"$VIP4" $(($(port_of "$kind") + run))
	done
}
for kind in slower cold alike down aborts walled; do
	load $kind 15
done
load rare 2
load walled 5 -s 10.1.9.9 -m 1
load fast 10

start() {
	local run
	for ((run = 0; run < RUNS; run++)); do
		expect perch rollout start "$1-$run"
	done
}

# votes NAME: "connections of the canary that voted, the most bad ones of a signal".
votes() {
	# shellcheck disable=SC2016 # jq's
	show "$1" '[.compared[] | select(.name == "connect_failure") | .canary.of][0] as $n | "\($n) votes of the canary, E \(.comparedLogE | exp * 1000 | round / 1000)"'
}

# succeeds KIND: all five are promoted, by votes.
succeeds() {
	local run
	for ((run = 0; run < RUNS; run++)); do
		expect wait_for "$LOAD" is "$1-$run" .phase Succeeded
		expect is "$1-$run" '[.compared[] | .canary.of] | max > 20' true
		say "$1-$run: $(votes "$1-$run")"
	done
}

sleep 10	# waits of stable, of which edges are made
for kind in rare slower cold alike down aborts walled lasting; do
	start $kind
done

# What befalls them meanwhile.
(
	sleep 4
	kill -KILL "$DOWN1" "$DOWN2"
	sleep 6
	kill -USR2 "$COLD"
) &
sleep 3		# what comes while a step warms up does not count for minConnections
for ((run = 0; run < RUNS; run++)); do
	lab_spawn c "$LAB_DIR/lasting-$run" "$TOOLS/longconn" -n 60 -e 100 -s 10.1.20.0 -m 60 "$VIP4" $(($(port_of lasting) + run))
done
for i in 1 2 3; do
	for ((run = 0; run < RUNS; run++)); do
		lab_spawn c "$LAB_DIR/abort-$run" "$TOOLS/shortconn" -t 5 -r 300 -j 400 -s 10.1.30.0 -m 400 "$VIP4" $(($(port_of aborts) + run))
		ABORTED+=("$SPAWNED")
	done
	sleep 0.5
	for pid in "${ABORTED[@]}"; do
		lab_kill KILL "$pid"
	done
	ABORTED=()
	[ $i != 2 ] || sleep 2
done
sleep 4
server down s1 v1; server down s2 v2

test_healthy_ones_are_promoted_at_1000_a_second() {
	local run began
	for ((run = 0; run < RUNS; run++)); do
		lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t 60 -r 1000 -j 800 -w 3000 -s 10.1.16.0 -m 4000 "$VIP4" $(($(port_of fast) + run))
		sleep 1
		began=$(date +%s%N)
		expect perch rollout start "fast-$run"
		expect wait_for 60 is "fast-$run" .phase Succeeded
		say "fast-$run: promoted after $((($(date +%s%N) - began) / 1000000)) ms, $(votes "fast-$run")"
		expect is "fast-$run" '[.compared[] | .canary.of] | max > 1000' true
		lab_kill TERM "$SPAWNED"
	done
}

test_a_little_slower_is_promoted() {
	succeeds slower
}

test_a_cold_start_is_promoted() {
	succeeds cold
}

test_as_bad_as_stable_is_promoted() {
	succeeds alike
	expect is alike-0 '.compared[] | select(.name == "reset") | .canary.bad > 0 and .stable.bad > 0' true
}

test_down_together_is_promoted() {
	succeeds down
	expect is down-0 '.compared[] | select(.name == "connect_failure") | .canary.bad > 0 and .stable.bad > 0' true
}

test_clients_that_reset_do_not_matter() {
	succeeds aborts
}

test_one_client_that_nobody_hears_does_not_matter() {
	succeeds walled
	expect is walled-0 '.compared[] | select(.name == "connect_failure") | .canary.bad > 0 and .stable.bad > 0' true
}

# No connection is new: they vote as they have lasted for 30 s, and then the
# next step has none to judge by.
test_connections_that_last_do_not_matter() {
	local run
	for ((run = 0; run < RUNS; run++)); do
		expect wait_for 60 is "lasting-$run" .step 2
		expect is "lasting-$run" .phase Progressing
		expect is "lasting-$run" '[.compared[] | select(.name == "reset") | .canary.of][0] >= 10' true
		say "lasting-$run: $(votes "lasting-$run"); $(show "lasting-$run" .blockedBy)"
	done
}

# At two a second little is known: it waits, and says for how long.
test_few_connections_hold_a_step_with_an_estimate() {
	local run
	for ((run = 0; run < RUNS; run++)); do
		expect is "rare-$run" .phase Progressing
		expect is "rare-$run" '.blockedBy | test("about [0-9]+ more connections of the canary$")' true
		expect is "rare-$run" '.eta > 60' true
		expect is "rare-$run" '[.compared[] | .canary.of] | max > 20' true
		say "rare-$run: $(show "rare-$run" .blockedBy), $(show "rare-$run" '.eta | round') s"
	done
}

run test_healthy_ones_are_promoted_at_1000_a_second test_a_little_slower_is_promoted test_a_cold_start_is_promoted \
	test_as_bad_as_stable_is_promoted test_down_together_is_promoted test_clients_that_reset_do_not_matter \
	test_one_client_that_nobody_hears_does_not_matter test_connections_that_last_do_not_matter \
	test_few_connections_hold_a_step_with_an_estimate
finish
