#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Thousands of services: they load, steer, are taken over and changed one by
# one; what the loaded tables have no room for is refused, with the remedy, and
# nothing changed.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

SERVICES=1500
lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000

# services N LAST: all but the first and the last lead where nobody is; the
# last one's backend is LAST.
services() {
	awk -v n="$1" -v last="$2" 'BEGIN {
		for (i = 0; i < n; i++) {
			host = int(i / 250) "." i % 250 + 1
			to = i == 0 ? "10.2.0.11:7000" : i == n - 1 ? last : "10.3." host ":80"
			printf "  - name: s%d\n    listen: [\"198.18.%s:80/tcp\"]\n    affinity: connection\n", i, host
			printf "    versions:\n      - { name: v1, role: stable, backends: [\"%s\"] }\n", to
		}
	}' | perch_config "$MODE"
}

# address N: of service N.
address() {
	echo "198.18.$(($1 / 250)).$(($1 % 250 + 1))"
}

# leads N NAME: 100 new connections of service N.
leads() {
	local seen
	seen=$(short -n 100 -j 4 -s 10.1.1.0 -m 100 "$(address "$1")" 80)
	[ "$(count "$seen" "$2")" = 100 ] && return 0
	echo "$seen"
	return 1
}

loaded() {
	[ "$(field "$(perch -j status)" '.services | length')" = "$1" ]
}

reload_to() {
	services "$@"
	kill -HUP "$PERCHD"
}

test_all_are_loaded_and_steer() {
	expect loaded "$SERVICES"
	expect leads 0 v1
	expect leads $((SERVICES - 1)) v1
	say "$SERVICES services: ready $READY ms after perchd was started"
}

test_one_is_changed_and_no_other() {
	local before after
	before=$(perch -j service show s1000)
	reload_to "$SERVICES" 10.2.0.12:7000
	expect wait_for 30 leads $((SERVICES - 1)) v2
	expect leads 0 v1
	after=$(perch -j service show s1000)
	expect [ "$before" = "$after" ]
}

test_next_agent_takes_all_over() {
	local load
	lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t 60 -r 200 -s 10.1.2.0 -m 100 "$(address 0)" 80
	load=$SPAWNED
	stop_perchd KILL
	start_perchd
	lab_kill TERM "$load"
	expect [ "$(field "$(cat "$LAB_DIR/load")" .failed)" = 0 ]
	expect loaded "$SERVICES"
	expect leads 0 v1
	expect leads $((SERVICES - 1)) v2
	say "$(field "$(cat "$LAB_DIR/load")" .ok) connections meanwhile, none failed"
}

refused_for_room() {
	[[ $(perch status) == *"names 2500 services, and what is loaded has room for 1728"*"perchd --detach"* ]]
}

test_more_than_there_is_room_for_changes_nothing() {
	reload_to 2500 10.2.0.11:7000
	expect wait_for 30 refused_for_room
	expect loaded "$SERVICES"
	expect leads 0 v1
	expect leads $((SERVICES - 1)) v2
	stop_perchd
	expect refused timeout 60 nsenter --net="/run/netns/p$$-lb" "$BUILD/perchd" -c "$LAB_DIR/perch.yaml"
	expect leads $((SERVICES - 1)) v2
}

test_they_fit_when_loaded_anew() {
	expect in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach
	start_perchd
	expect loaded 2500
	expect leads 0 v1
	expect leads 2499 v1
}

services $SERVICES 10.2.0.11:7000
READY=$(date +%s%3N)
start_perchd
READY=$(($(date +%s%3N) - READY))
run test_all_are_loaded_and_steer test_one_is_changed_and_no_other test_next_agent_takes_all_over \
	test_more_than_there_is_room_for_changes_nothing test_they_fit_when_loaded_anew
finish
