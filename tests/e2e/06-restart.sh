#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The agent may die: killed and started again twenty times under load, not one
# request fails, old connections and new.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

RESTARTS=20
lab_up 2
lab_nginx s1 v1 8080
lab_nginx s2 v2 8080
perch_config "$MODE" <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp"]
	    affinity: connection
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:8080"] }
	      - { name: v2, role: canary, backends: ["10.2.0.12:8080"] }
END
start_perchd

test_twenty_restarts_fail_no_request() {
	local i short wrk seen
	expect perch weight set service web canary 30
	lab_spawn c "$LAB_DIR/short" "$TOOLS/shortconn" -H -t 300 -r 500 -s 10.1.1.0 -m 2000 "$VIP4" 80
	short=$SPAWNED
	lab_spawn c "$LAB_DIR/wrk" wrk -t 1 -c 16 -d 300 --timeout 5s "http://$VIP4/"
	wrk=$SPAWNED
	sleep 1
	for ((i = 0; i < RESTARTS; i++)); do
		stop_perchd $((i % 2 ? 15 : 9))
		expect is_gone "$PERCHD"
		start_perchd
	done
	sleep 1
	lab_kill INT "$wrk"
	lab_kill TERM "$short"
	seen=$(cat "$LAB_DIR/short")
	echo "$seen"
	cat "$LAB_DIR/wrk"
	expect [ "$(field "$seen" .failed)" = 0 ]
	expect [ "$(count "$seen" v2)" -gt 0 ]
	expect grep -q 'Requests/sec' "$LAB_DIR/wrk"
	expect refused grep -E 'Socket errors|Non-2xx' "$LAB_DIR/wrk"
	say "$(field "$seen" .ok) short connections and $(awk '/requests in/ { print $1 }' "$LAB_DIR/wrk") requests on" \
		"16 long ones over $RESTARTS restarts: 0 failed"
}

test_weights_outlive_the_restarts() {
	local seen
	expect [ "$(version web v2 .weight)" = 30 ]
	seen=$(short -n 2000 -H -s 10.1.1.0 -m 2000 "$VIP4" 80)
	expect within "$(count "$seen" v2)" 500 700
}

test_one_set_of_programs_is_left() {
	expect [ "$(in_ns lb find "$LAB_DIR/bpf/perch" -name 'perch_tc_in' | wc -l)" = 1 ]
	expect [ "$(field "$(perch -j datapath show)" '.interfaces | length')" = 3 ]
}

run test_twenty_restarts_fail_no_request test_weights_outlive_the_restarts test_one_set_of_programs_is_left
finish
