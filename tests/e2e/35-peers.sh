#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The benchmark against peers still runs: quickly, without a look at speed.  It
# checks itself that what was sent arrived, that each contender gave the canary
# its share, that no connection failed and that each rollback held.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 1
for program in conntrack haproxy nft wrk; do
	command -v "$program" > /dev/null || MISSING+=" $program"
done

test_benchmark_against_peers_runs() {
	local sum
	[ -z "${MISSING:-}" ] || { skip "not installed:$MISSING" && return; }
	sum=$(BENCH_QUICK=1 "$ROOT/tests/bench/bench_peers.sh" -j 2> "$LAB_DIR/bench.err")
	expect [ $? = 0 ] || cat "$LAB_DIR/bench.err"
	expect [ "$(field "$sum" '[.packets[].contender] | unique | length')" = 7 ]
	expect [ "$(field "$sum" '[.packets[] | select(.contender != "generator" and .mpps > 0)] | length')" = 12 ]
	expect [ "$(field "$sum" '[.connections[] | select(.rate > 0 and .p50 > 0)] | length')" = 5 ]
	expect [ "$(field "$sum" '[.rollback[] | select(.write[0] > 0)] | length')" = 9 ]
	expect [ "$(field "$sum" '.bars | length')" = 5 ]
}

run test_benchmark_against_peers_runs
finish
