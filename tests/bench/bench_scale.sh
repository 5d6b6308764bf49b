#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bench_scale.sh [-j]: bench_scale, then perchd with 10,000 services of two
# backends each and light traffic: how long it takes to load, to take over, to
# change one service and to end (wall time, and CPU time of perchd in
# brackets), what the kernel and perchd hold, what perchd takes at rest, and how
# long the commands of a person take.
set -u
MODE=tc
BUILD=${BUILD:-build}
"$BUILD/tests/bench/bench_scale" "$@" || exit 1
# shellcheck source=../../scripts/lab
. "$(dirname "$0")/../../scripts/lab"

SERVICES=${SERVICES:-10000}
REST=20
JSON=
[ "${1:-}" != -j ] || JSON=1

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000

# config ESTABLISHED: of service 77, which is the one that changes.
config() {
	awk -v n="$SERVICES" -v established="$1" 'BEGIN {
		for (i = 0; i < n; i++) {
			host = int(i / 250) "." i % 250 + 1
			printf "  - name: s%d\n    listen: [\"198.18.%s:80/tcp\"]\n", i, host
			printf "    rollback: { established: %s }\n", i == 77 ? established : "drain"
			to = i == 0 ? "\"10.2.0.11:7000\", \"10.2.0.12:7000\"" : "\"10.3." host ":80\", \"10.4." host ":80\""
			printf "    versions:\n      - { name: v1, role: stable, backends: [%s] }\n", to
		}
	}' | perch_config "$MODE"
}

now() {
	date +%s%3N
}

# CPU time of perchd so far, ms.
cpu() {
	awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000 / hz }' "/proc/$PERCHD/stat"
}

# tell NAME VALUE TEXT
tell() {
	if [ -n "$JSON" ]; then
		printf '{"name":"%s","value":%s}\n' "$1" "$2"
	else
		printf '%-44s %s\n' "$1" "$3"
	fi
}

# start_and_tell NAME: longer than start_perchd waits.
start_and_tell() {
	local began
	began=$(now)
	lab_spawn lb "$LAB_DIR/perchd" "$BUILD/perchd" -c "$LAB_DIR/perch.yaml"
	PERCHD=$SPAWNED
	wait_for 120 perchd_answers || die "perchd does not answer: $(tail -n 3 "$LAB_DIR/perchd.err")"
	tell "$1" $(($(now) - began)) "$(($(now) - began)) ms ($(cpu) ms)"
}

is_changed() {
	[ "$(perch -j service show s77 | jq -r '.[0].established')" = keep ]
}

# timed NAME ARGUMENT...: a command of perch.
timed() {
	local name=$1 began
	shift
	began=$(now)
	perch "$@" > "$LAB_DIR/out" || die "perch $*"
	tell "$name" $(($(now) - began)) "$(($(now) - began)) ms, $(wc -c < "$LAB_DIR/out") bytes"
}

reload_and_tell() {
	local began before
	config keep
	before=$(cpu)
	began=$(now)
	kill -HUP "$PERCHD"
	wait_for 60 is_changed || die "service s77 did not change"
	tell "reload, one service changed" $(($(now) - began)) "$(($(now) - began)) ms ($(($(cpu) - before)) ms)"
}

rest_and_tell() {
	local before
	lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t $((REST + 5)) -r 50 -s 10.1.1.0 -m 100 198.18.0.1 80
	sleep 2
	before=$(cpu)
	sleep $REST
	tell "perchd at rest, 50 connections a second" $(($(cpu) - before)) \
		"$(awk -v ms=$(($(cpu) - before)) -v s=$REST 'BEGIN { printf "%.2f %% of a core", ms / s / 10 }')"
}

memory_and_tell() {
	local all
	all=$(perch -j datapath show)
	tell "kernel memory beside the flow table" "$(jq '[.maps[] | select(.name != "flows") | .bytes] | add' <<< "$all")" \
		"$(jq -r '[.maps[] | select(.name != "flows") | .bytes] | add / 1048576 * 10 | round / 10' <<< "$all") MiB"
	[ -n "$JSON" ] || jq -r '.maps | sort_by(-.bytes)[] | select(.bytes > 200000) |
		"    \(.name): \(.bytes / 1048576 * 100 | round / 100) MiB, \(.entries) entries"' <<< "$all"
	tell "perchd's own memory (RssAnon)" "$(awk '/RssAnon/ { print $2 }' "/proc/$PERCHD/status")" \
		"$(awk '/RssAnon/ { printf "%.1f MiB", $2 / 1024 }' "/proc/$PERCHD/status")"
}

config drain
[ -n "$JSON" ] || printf '\n%s services, 2 backends each\n' "$SERVICES"
start_and_tell "load"
memory_and_tell
rest_and_tell
timed "perch status" status
timed "perch -j service show, all" -j service show
timed "perch service show, one" service show s77
timed "perch rollback --direct, one" rollback s78 --direct
reload_and_tell
began=$(now)
stop_perchd TERM
tell "stop" $(($(now) - began)) "$(($(now) - began)) ms"
start_and_tell "take-over"
