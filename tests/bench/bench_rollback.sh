#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bench_rollback.sh [-j]: from the start of `perch rollback` to the last new
# connection of the canary, with perchd and 2,000 connections a second, 99 of 100 to the canary.
set -u
# shellcheck source=../../scripts/lab
. "$(dirname "$0")/../../scripts/lab"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
perch_config tc <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp"]
	    affinity: connection
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
	    rollout: { steps: [99, 100], interval: 20m, watch: 0s, holdback: 0 }
END
start_perchd
lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t 600 -r 2000 -s 10.1.1.0 -m 2000 "$VIP4" 80
in_ns lb "$BUILD/tests/bench/bench_rollback" "$BUILD/perch" "$LAB_DIR/perch.sock" "$LAB_DIR/bpf/perch" \
	web "${ROUNDS:-200}" "$@"
