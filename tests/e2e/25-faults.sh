#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# modes: tc
# What may happen to the agent and to what it stands on: killed with half of its
# work done, no room on the disk, its files damaged or deleted, its pins gone,
# netlink and rings overrun.  Traffic never notices, and all is right again
# afterwards.  SEED=N repeats an order of kills, KILLS=N has more of them.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=kept.sh
. "$(dirname "$0")/kept.sh"

KILLS=${KILLS:-10}		# for each operation
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
SERVICES=(web stepped promoted turned)
VERSIONS=v3
lab_up 2
PINS=$LAB_DIR/bpf/perch
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
mkdir "$LAB_DIR/state"
mount -t tmpfs -o size=16m,mode=0750 tmpfs "$LAB_DIR/state" || die "no tmpfs"

# configuration SERVICES-EACH-WITH: its port follows from its place
configuration() {
	local port=80 name
	for name in "${SERVICES[@]}"; do
		cat <<-END
			  - name: $name
			    listen: ["$VIP4:$port/tcp"]
			    affinity: connection
			    versions:
			      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
			      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
		END
		port=$((port + 1))
		[ "$name" != web ] || echo "      - { name: $VERSIONS, backends: [\"10.2.0.12:7000\"] }"
		cat <<-END
			    rollback: { established: drain, drainTimeout: 5s }
			    rollout:
			      interval: 20m
			      watch: 1h
			      steps: [$(seq -s ', ' 1 31)]
		END
	done
	cat <<-END
		  - name: refused
		    listen: ["$VIP4:90/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7009"] }
	END
}
configuration | perch_config "$MODE"
start_perchd
RANDOM=$((SEED % 32768))

# Agent, kernel, store and file are of one mind about every service.
agree() {
	local name
	for name in "${SERVICES[@]}"; do
		agree_on "$name" || return 1
	done
	[ "$(field "$(perch -j config show)" .ok)" = true ] && knows_version web "$VERSIONS"
}

start_loads() {
	local i
	LOADS=()
	for ((i = 0; i < ${#SERVICES[@]}; i++)); do
		lab_spawn c "$LAB_DIR/load$i" "$TOOLS/shortconn" -t 600 -j 8 -r "${1:-100}" -s 10.1.1.0 -m 2000 "$VIP4" $((80 + i))
		LOADS+=("$SPAWNED")
	done
}

# stop_loads: none may have failed; how many there were is in $LOADED.
stop_loads() {
	local i
	LOADED=0
	for ((i = 0; i < ${#LOADS[@]}; i++)); do
		lab_kill TERM "${LOADS[i]}"
		expect [ "$(field "$(cat "$LAB_DIR/load$i")" .failed)" = 0 ] || cat "$LAB_DIR/load$i"
		LOADED=$((LOADED + $(field "$(cat "$LAB_DIR/load$i")" .ok)))
	done
}

# begun SERVICE: its rollout is under way, however it stood before.
begun() {
	case $(phase "$1") in
	Progressing) return ;;
	Succeeded) perch rollback "$1" && perch rollout retry "$1" ;;
	RolledBack) perch rollout retry "$1" ;;
	*) perch rollout start "$1" ;;
	esac
}

# What must be so before an operation, and the operation.
before_weights() { :; }
do_weights() { perch weight set service web canary $((RANDOM % 50 + 1)); }
before_step() { begun stepped; }
do_step() { perch rollout advance stepped; }
before_promote() { begun promoted; }
do_promote() { perch rollout promote promoted force; }
before_rollback() { begun turned; }
do_rollback() { perch rollback turned; }
before_drain() { :; }
do_drain() {
	local verb=drain
	! agent_keeps web | jq -e '.drained | length > 0' || verb=resume
	perch backend "$verb" service web address 10.2.0.12:7000
}
# a version with a share can't be taken out
before_reload() { perch weight set service web canary 0; }
do_reload() {
	VERSIONS=v$((3 + KILL % 5))
	configuration | perch_config "$MODE"
	kill -HUP "$PERCHD"
}

# windows OPERATION
windows() {
	sed -n "s|^ \* window $1/\([a-z-]*\).*|\1|p" "$ROOT/user/agent/fault.h"
}

answers_or_gone() {
	is_gone "$PERCHD" || perchd_answers
}

# starts_armed WINDOW: it may come to its window before it answers, when there
# is something to finish.
starts_armed() {
	export PERCH_FAULT=$1
	lab_spawn lb "$LAB_DIR/perchd" "$BUILD/perchd" -c "$LAB_DIR/perch.yaml"
	unset PERCH_FAULT
	PERCHD=$SPAWNED
	wait_for 20 answers_or_gone
}

# killed_in OPERATION POINT: an agent that finds what the last one left does the
# operation, and dies there.
killed_in() {
	local window=$1/$2 status
	[ "$2" != placing ] || window+=:$((RANDOM % ${#SERVICES[@]} + 1))
	starts_armed "$window"
	if [ "$1" != takeover ] && ! is_gone "$PERCHD"; then
		expect wait_for 10 agree_or_gone || agree
		"before_$1" > /dev/null 2>&1
		sleep "0.0$((RANDOM % 10))"
		"do_$1" > /dev/null 2>&1
	fi
	if ! wait_for 5 is_gone "$PERCHD"; then
		echo "$window was not passed"
		stop_perchd KILL
		return 1
	fi
	wait "$PERCHD"
	status=$?
	[ "$status" = 137 ] || { echo "$window: perchd ended with $status" && return 1; }
}

agree_or_gone() {
	agree || is_gone "$PERCHD"
}

# killed_often OPERATION: the points of an operation in turn, from a random one.
killed_often() {
	local points at
	mapfile -t points < <(windows "$1")
	expect [ ${#points[@]} -ge 2 ]
	at=$((RANDOM % ${#points[@]}))
	for ((KILL = 0; KILL < KILLS || KILL < ${#points[@]}; KILL++)); do
		expect killed_in "$1" "${points[(at + KILL) % ${#points[@]}]}"
		ALL=$((ALL + 1))
	done
	start_perchd
	expect wait_for 10 agree || agree
	stop_perchd KILL
}

test_killed_in_any_window_the_agent_finds_its_way() {
	local operation
	say "seed $SEED"
	ALL=0
	start_loads
	stop_perchd KILL
	for operation in $(printf '%s\n' weights step promote rollback drain reload takeover | shuf --random-source=<(yes "$SEED")); do
		killed_often "$operation"
	done
	start_perchd
	expect wait_for 10 agree || agree
	stop_loads
	say "killed $ALL times, $LOADED connections, 0 failed"
}

canary_weight() {
	perch -j service show web | jq '.[0].versions[] | select(.role == "canary") | .weight'
}

alarm() {
	perch -j status | jq -e --arg kind "$1" '.alarms[] | select(.kind == $kind)'
}

# told TEXT: in an event
told() {
	perch -j event show limit 50 | grep -q "$1"
}

no_alarm() {
	! alarm "$1"
}

fill_disk() {
	dd if=/dev/zero of="$LAB_DIR/state/ballast" bs=64k 2>/dev/null
	! [ "$(df --output=avail "$LAB_DIR/state" | tail -1)" -gt 0 ]
}

test_full_disk_is_told_and_made_good_when_there_is_room() {
	begun turned
	# its journal begins anew, without room of earlier days
	stop_perchd TERM
	start_perchd
	fill_disk
	start_loads
	expect perch weight set service web canary 42
	expect perch rollback turned
	expect wait_for 10 alarm store
	expect grep -q 'free space' <<< "$(alarm store)"
	expect refused agree
	expect [ "$(canary_weight)" = 42 ]
	rm "$LAB_DIR/state/ballast"
	expect wait_for 10 no_alarm store
	expect agree
	stop_loads
}

# Not even a file that processes share fits; what was rejected is read all the same.
test_rejection_outlives_a_full_disk_and_lost_pins() {
	fill_disk
	stop_perchd KILL
	rm -rf "$PINS"
	fill_disk
	start_perchd
	expect [ "$(version turned v2 .rejected)" != null ]
	expect refused perch rollout start turned
	rm "$LAB_DIR/state/ballast"
	expect wait_for 10 no_alarm store
	expect wait_for 10 agree
}

test_deleted_state_is_made_anew() {
	start_loads
	expect perch weight set service web canary 17
	umount -l "$LAB_DIR/state"
	rm -rf "$LAB_DIR/state"
	expect wait_for 10 test -s "$LAB_DIR/state/state.db"
	expect wait_for 10 agree
	expect [ "$(kept store "$LAB_DIR/state" web | jq .canary)" = 1700 ]
	expect told 'was deleted'
	rm -rf "$LAB_DIR/state"
	expect wait_for 10 test -s "$LAB_DIR/state/state.db"
	expect wait_for 10 agree
	expect wait_for 10 no_alarm store
	stop_loads
}

# damage [PAGE]: the state while nobody runs, from a page on; it opens when the
# first one is left as it is.
damage() {
	stop_perchd TERM
	expect [ ! -e "$LAB_DIR/state/state.db-wal" ]
	dd if=/dev/urandom of="$LAB_DIR/state/state.db" bs=4096 seek="${1:-0}" count=30 2>/dev/null
}

set_aside() {
	find "$LAB_DIR/state" -name 'state.db.corrupt-*' | wc -l
}

test_damaged_state_is_set_aside_and_built_from_the_kernel() {
	start_loads
	damage
	start_perchd
	expect [ "$(canary_weight)" = 17 ]
	expect [ "$(version turned v2 .rejected)" != null ]
	expect refused perch rollout start turned
	expect wait_for 10 told 'set aside'
	expect wait_for 10 no_alarm store
	expect agree
	expect [ "$(set_aside)" = 1 ]
	stop_loads
}

test_damage_behind_the_first_page_is_set_aside_too() {
	start_loads
	damage 1
	start_perchd
	expect [ "$(canary_weight)" = 17 ]
	expect [ "$(version turned v2 .rejected)" != null ]
	expect wait_for 10 agree
	expect wait_for 10 no_alarm store
	expect [ "$(set_aside)" = 2 ]
	stop_loads
}

test_damaged_state_without_pins_leaves_nothing_to_the_canary() {
	damage
	rm -rf "$PINS"
	start_perchd
	expect [ "$(canary_weight)" = 0 ]
	expect wait_for 10 agree
}

links() {
	[ "$(find "$PINS/links" -type f 2>/dev/null | wc -l)" -ge 6 ]
}

test_unmounted_pins_are_pinned_again() {
	expect perch weight set service web canary 23
	start_loads
	umount -l "$LAB_DIR/bpf"
	expect wait_for 15 links
	expect told 'pins in .* gone'
	expect wait_for 10 no_alarm pins
	expect wait_for 10 agree
	# all hangs on the new pins now
	stop_perchd KILL
	sleep 0.5
	expect within "$(count "$(short -n 1000 -s 10.1.1.0 -m 2000 "$VIP4" 80)" v2)" 150 310
	start_perchd
	expect [ "$(field "$(perch -j status)" .takenOver)" = true ]
	expect agree
	stop_loads
}

test_deleted_pins_are_made_anew() {
	rm -rf "${PINS:?}"/maps "$PINS"/programs "$PINS"/links
	expect wait_for 15 links
	sleep 1
	expect no_alarm pins
	expect perch weight set service web canary 24
	start_loads
	expect agree
	expect within "$(count "$(short -n 1000 -s 10.1.1.0 -m 2000 "$VIP4" 80)" v2)" 160 320
	stop_loads
}

# netlink_drops: messages that the agent's sockets lost.
netlink_drops() {
	# shellcheck disable=SC2016 # awk's
	in_ns lb awk 'NR == FNR { ours[$1] = 1; next } $10 in ours { n += $9 } END { print n + 0 }' \
		<(find "/proc/$PERCHD/fd" -lname 'socket:*' -printf '%l\n' | tr -cd '0-9\n') /proc/net/netlink
}

test_netlink_overrun_costs_no_next_hop() {
	local i before mac
	before=$(netlink_drops)
	for ((i = 0; i < 20000; i++)); do
		echo "route replace 10.200.$((i / 256 % 256)).$((i % 256))/32 dev s1"
	done > "$LAB_DIR/routes"
	expect perch weight set service web canary 50
	expect [ "$(field "$(short -n 200 -s 10.1.1.0 -m 200 "$VIP4" 80)" .failed)" = 0 ]
	kill -STOP "$PERCHD"
	in_ns lb ip -batch "$LAB_DIR/routes"
	# what the agent must not miss, in the midst of what it can't hear
	mac=02:00:00:00:77:02
	in_ns s2 ip link set eth0 address "$mac"
	in_ns lb ip neigh flush dev s2
	sed -i s/replace/del/ "$LAB_DIR/routes"
	in_ns lb ip -batch "$LAB_DIR/routes"
	kill -CONT "$PERCHD"
	say "$(($(netlink_drops) - before)) netlink messages lost"
	expect [ "$(netlink_drops)" -gt "$before" ]
	sleep 1
	expect [ "$(field "$(short -n 1000 -s 10.1.1.0 -m 1000 "$VIP4" 80)" .failed)" = 0 ]
}

lost() {
	field "$(perch -j datapath show)" ".$1"
}

connections() {
	perch -j service show web | jq '[.[0].versions[].connections] | add'
}

failures() {
	perch -j service show refused | jq '[.[0].versions[].connectFailures] | add'
}

# counted WHAT NUMBER
counted() {
	[ "$("$1")" = "$2" ]
}

# The kernel writes what changed and how much it is by then: what did not fit
# is in the next record.
test_ring_overrun_loses_no_count() {
	local before samples events seen hurt
	sed -i 's/^agent:/agent:\n  sampleInterval: 10ms\n  deadman: 0s/' "$LAB_DIR/perch.yaml"
	kill -HUP "$PERCHD"
	begun stepped && begun promoted && begun web
	sleep 1.5
	before=$(connections)
	samples=$(lost samplesLost)
	events=$(lost eventsLost)
	expect perch weight set service refused canary 100
	start_loads 200
	kill -STOP "$PERCHD"
	hurt=$(short -t 2 -r 1000 -s 10.1.1.0 -m 2000 "$VIP4" 90)
	seen=$(short -t 4 -r 2000 -s 10.1.1.0 -m 2000 "$VIP4" 80)
	kill -CONT "$PERCHD"
	stop_loads
	echo "$seen"
	expect [ "$(field "$seen" .failed)" = 0 ]
	expect wait_for 5 counted connections $((before + $(field "$seen" .ok) + $(field "$(cat "$LAB_DIR/load0")" .ok)))
	expect wait_for 5 counted failures "$(field "$hurt" .failed)"
	say "$(($(lost samplesLost) - samples)) records and $(($(lost eventsLost) - events)) events lost," \
		"$(field "$seen" .ok) connections and $(field "$hurt" .failed) failures counted"
	expect [ "$(lost eventsLost)" -gt "$events" ]
	expect [ "$(lost samplesLost)" -gt "$samples" ]
}

run test_killed_in_any_window_the_agent_finds_its_way test_full_disk_is_told_and_made_good_when_there_is_room \
	test_rejection_outlives_a_full_disk_and_lost_pins test_deleted_state_is_made_anew \
	test_damaged_state_is_set_aside_and_built_from_the_kernel \
	test_damage_behind_the_first_page_is_set_aside_too test_damaged_state_without_pins_leaves_nothing_to_the_canary \
	test_unmounted_pins_are_pinned_again \
	test_deleted_pins_are_made_anew test_netlink_overrun_costs_no_next_hop test_ring_overrun_loses_no_count
finish
