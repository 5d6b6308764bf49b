#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bench_replay.sh [-j]: policies side by side on traffic that the lab recorded:
# nginx, 80 connections a second and as many more in every second five minutes,
# one connect in 200 refused by either host.  MINUTES long (10; docs/judge.md
# shows 60), then replayed without a regression and with some.
set -u
# shellcheck source=../../scripts/lab
. "$(dirname "$0")/../../scripts/lab"

MINUTES=${MINUTES:-10}
RUNS=${RUNS:-500}
POLICIES=(policy default policy interval=30s policy maxRatio=1.2 policy alpha=0.05 policy steps=5/25/50/100)
OPTIONS=()
[ "${1:-}" != -j ] || OPTIONS=(-j)

lab_up 2
for host in s1 s2; do
	in_ns $host nft -f - <<-END
		table inet refused {
			chain in {
				type filter hook input priority 0
				tcp dport 8080 tcp flags & (syn | ack) == syn numgen random mod 200 == 0 reject with tcp reset
			}
		}
	END
done
lab_nginx s1 v1 8080
lab_nginx s2 v2 8080
lab_service web 80 8080 "reflex: { connectFailures: 0 }" | perch_config tc
start_perchd
perch weight set service web canary 10 > /dev/null

# load SECONDS
load() {
	lab_spawn c "$LAB_DIR/load-$RANDOM" "$TOOLS/shortconn" -H -t "$1" -r 80 -j 800 -w 3000 -s 10.1.16.0 -m 4000 "$VIP4" 80
}

load $((60 * MINUTES))
for ((minute = 0; minute < MINUTES; minute += 5)); do
	[ $((minute / 5 % 2)) = 0 ] || load $((60 * (MINUTES - minute < 5 ? MINUTES - minute : 5)))
	sleep $((60 * (MINUTES - minute < 5 ? MINUTES - minute : 5)))
done
in_ns lb curl -s --unix-socket "$LAB_DIR/perch.sock" "http://perch/v1/samples?service=web&limit=20000" > "$LAB_DIR/web.json"
[ -z "${KEEP:-}" ] || cp "$LAB_DIR/web.json" "$KEEP"

replay() {
	[ "${OPTIONS[*]:-}" = -j ] || echo "-- ${*:-no regression}"
	perch "${OPTIONS[@]}" judge replay "$LAB_DIR/web.json" "$@" runs "$RUNS" seed 1 "${POLICIES[@]}"
}
replay
replay worse 3
replay more 2
replay more 2 from $((MINUTES * 60 / 4))s
