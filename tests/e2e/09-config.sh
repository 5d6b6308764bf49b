#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# A configuration that does not load changes nothing: neither traffic nor
# state, and the error names file and line.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
good() {
	cat <<-END
		  - name: web
		    listen: ["$VIP4:80/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
	END
}
good | perch_config "$MODE"
start_perchd
perch weight set service web canary 30 >/dev/null

# what a mistake must not change
state() {
	perch -j service show | jq -c '.[] | {name, listen, affinity, phase, epoch,
		versions: [.versions[] | {name, role, weight, backends: [.backends[] | {address, state, weight}]}]}'
}

loaded() {
	[ "$(field "$(perch -j config show)" .ok)" = "$1" ]
}

# mistake TEXT SED-SCRIPT: the good file with one change is refused by whoever
# reads it.
mistake() {
	good | sed "$2" | perch_config "$MODE"
	expect refused perch config check "$LAB_DIR/perch.yaml"
	not_loaded "$@"
}

# not_loaded TEXT SED-SCRIPT: perchd refuses it, and its error holds TEXT.
not_loaded() {
	local before after shown
	before=$(state)
	good | sed "$2" | perch_config "$MODE"
	expect wait_for 5 loaded false
	shown=$(field "$(perch -j config show)" .error)
	echo "$shown"
	expect grep -qE "perch.yaml:[0-9]+: .*$1" <<< "$shown"
	after=$(state)
	expect [ "$before" = "$after" ]
	good | perch_config "$MODE"
	expect wait_for 5 loaded true
}

test_mistakes_leave_state_and_traffic_alone() {
	local load
	lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -t 300 -r 300 -s 10.1.1.0 -m 2000 "$VIP4" 80
	load=$SPAWNED
	mistake affinity 's/affinity: connection/affinity: clint/'
	mistake afinity 's/affinity:/afinity:/'
	mistake versions 's/name: v2/name: v1/'
	mistake backends 's/10.2.0.12:7000/10.2.0.12:70000/'
	mistake listen 's|80/tcp|80/sctp|'
	# shellcheck disable=SC2016 # sed's
	mistake 'not supported yet' '$a fleet: { etcd: x }'
	not_loaded stable '/name: v1/d'
	lab_kill TERM "$load"
	cat "$LAB_DIR/load"
	expect [ "$(field "$(cat "$LAB_DIR/load")" .failed)" = 0 ]
	expect within $(($(count "$(cat "$LAB_DIR/load")" v2) * 100 / $(field "$(cat "$LAB_DIR/load")" .ok))) 24 36
}

test_broken_yaml_is_refused_with_its_line() {
	local before
	before=$(state)
	printf 'schema: 1\nservices: [\n' > "$LAB_DIR/perch.yaml"
	expect wait_for 5 loaded false
	expect [ "$(state)" = "$before" ]
	good | perch_config "$MODE"
	expect wait_for 5 loaded true
}

test_start_with_a_mistake_fails_and_leaves_traffic_alone() {
	local err=$LAB_DIR/start.err
	stop_perchd TERM
	sed -i 's/affinity: connection/affinity: clint/' "$LAB_DIR/perch.yaml"
	expect refused in_ns lb timeout 10 "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" 2> "$err"
	expect grep -qE 'perch.yaml:[0-9]+: .*affinity' "$err"
	expect within "$(count "$(short -n 2000 -s 10.1.1.0 -m 2000 "$VIP4" 80)" v2)" 500 700
	good | perch_config "$MODE"
	start_perchd
	expect [ "$(version web v2 .weight)" = 30 ]
}

# As a ConfigMap is mounted: perch.yaml -> ..data/perch.yaml, ..data -> a folder
# that is swapped.
test_swapped_link_above_the_file_is_a_reload() {
	local d=$LAB_DIR
	mkdir "$d/..1" "$d/..2"
	cp "$d/perch.yaml" "$d/..1/perch.yaml"
	sed 's/affinity: connection/affinity: client/' "$d/perch.yaml" > "$d/..2/perch.yaml"
	ln -s ..1 "$d/..data"
	ln -s ..data/perch.yaml "$d/perch.new"
	mv "$d/perch.new" "$d/perch.yaml"
	ln -s ..2 "$d/..new"
	mv -T "$d/..new" "$d/..data"
	rm -r "$d/..1"
	expect wait_for 5 is_affinity client
	# and in the folder that it leads to now
	sed -i 's/affinity: client/affinity: connection/' "$d/..2/perch.yaml"
	expect wait_for 5 is_affinity connection
	good | perch_config "$MODE"
}

is_affinity() {
	[ "$(field "$(perch -j service show web)" '.[0].affinity')" = "$1" ]
}

run test_mistakes_leave_state_and_traffic_alone test_broken_yaml_is_refused_with_its_line \
	test_start_with_a_mistake_fails_and_leaves_traffic_alone test_swapped_link_above_the_file_is_a_reload
finish
