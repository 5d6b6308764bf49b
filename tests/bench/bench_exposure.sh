#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bench_exposure.sh [-j]: 1,000 connections a second, 5 % of them to the canary,
# which refuses everything from some moment on: how many are hurt until it is
# rolled back, by perch, and by one who looks at the canary's failures every 10 s
# and every 60 s and acts after two bad looks, as usual tools do.  Those look at
# services that perch only observes, under the same fault.
set -u
# shellcheck source=../../scripts/lab
. "$(dirname "$0")/../../scripts/lab"

RATE=${RATE:-1000}
STEPS="steps: [5, 100], interval: 20m, watch: 0s"
JSON=0
[ "${1:-}" != -j ] || JSON=1

lab_up 2
{
	lab_service acts 80 7000 "$STEPS"
	lab_service acts-judge 81 7001 "$STEPS, reflex: { connectFailures: 0 }"
	lab_service tick-10 82 7002 "$STEPS, mode: observe"
	lab_service tick-60 83 7003 "$STEPS, mode: observe"
} | perch_config tc
start_perchd

field() {
	jq -r "$2" <<< "$1"
}

phase() {
	field "$(perch -j rollout show "$1")" .phase
}

# failures NAME: of the canary, since it was loaded.
failures() {
	field "$(perch -j service show "$1")" '(arrays[0] // .).versions[] | select(.role == "canary") | .connectFailures'
}

rolled_back() {
	[ "$(phase "$1")" = RolledBack ]
}

# ticks NAME SECONDS: looks so often, and rolls back after two bad looks in a row.
ticks() {
	local before now bad=0
	before=$(failures "$1")
	while [ $bad -lt 2 ]; do
		sleep "$2"
		now=$(failures "$1")
		[ "$now" -gt "$before" ] && bad=$((bad + 1)) || bad=0
		before=$now
	done
	perch rollback "$1" > /dev/null
}

# exposure NAME PORT SERVERPORT [SECONDS]: a line of the table.
exposure() {
	local name=$1 port=$2 server load ticker result fault took
	lab_spawn s1 "$LAB_DIR/stable-$name" "$TOOLS/namesrv" v1 "$3"
	lab_spawn s2 "$LAB_DIR/canary-$name" "$TOOLS/namesrv" v2 "$3"
	server=$SPAWNED
	lab_spawn c "$LAB_DIR/load-$name" "$TOOLS/shortconn" -t 400 -r "$RATE" -j 800 -w 3000 -s 10.1.1.0 -m 4000 "$VIP4" "$port"
	load=$SPAWNED
	sleep 2
	[ -z "${4:-}" ] || perch weight set "$name" canary 5 > /dev/null
	perch rollout start "$name" > /dev/null || die "no rollout of $name"
	sleep 5
	if [ -n "${4:-}" ]; then
		ticks "$name" "$4" &
		ticker=$!
		# the fault comes at any moment between two looks: in the middle
		sleep "$(awk -v s="$4" 'BEGIN { print s / 2 }')"
	fi
	fault=$("$TOOLS/monotonic")
	lab_kill KILL "$server"
	wait_for 300 rolled_back "$name" || die "$name was not rolled back"
	[ -z "${ticker:-}" ] || wait "$ticker"
	sleep 1
	lab_kill TERM "$load"
	result=$(cat "$LAB_DIR/load-$name")
	took=$(field "$result" "(.last_failure - $fault) / 1e9")	# not from a failure before it
	if [ $JSON = 1 ]; then
		jq -c "{name: \"$name\", hurt: .failed, seconds: $took, connections: .connections}" <<< "$result"
	else
		printf '%-12s %8d %12.3f   %s\n' "$name" "$(field "$result" .failed)" \
			"$took" "$(field "$(perch -j rollout show "$name")" .reason)"
	fi
}

[ $JSON = 1 ] || printf '%-12s %8s %12s   %s\n' "" "hurt" "for s" "rolled back by"
exposure acts 80 7000
exposure acts-judge 81 7001
exposure tick-10 82 7002 10
exposure tick-60 83 7003 60
