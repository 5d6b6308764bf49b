#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# An address that this host serves is taken over with its connections, and
# handed back with ours: by `service delete ... drain`, and by `perchd --detach
# drain`.  Nobody's connection breaks, and nobody's answers change.  A whole
# address but some ports, too.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

LIVE=500	# each of IPv4 and IPv6, with the host and through perch
lab_up 2
WHOLE=192.0.2.12
in_ns lb ip addr add "$VIP4/32" dev lo
in_ns lb ip addr add "$WHOLE/32" dev lo
in_ns lb ip -6 addr add "$VIP6/128" dev lo nodad
lab_namesrv lb host 80 22 5000 5001
lab_nginx lb site 8088
lab_namesrv s1 v1 7000 22 5000 5001
lab_namesrv s2 v2 7000
# file SERVICE...: the configuration, with these on 192.0.2.99 and ports from 80
file() {
	local port=80 name
	for name in "$@"; do
		cat <<-END
			  - name: $name
			    listen: ["192.0.2.99:$port/tcp"]
			    versions:
			      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		END
		port=$((port + 1))
	done | perch_config "$MODE"
}
file other
cat > "$LAB_DIR/web.yaml" <<-END
	name: web
	listen: ["$VIP4:80/tcp", "[$VIP6]:80/tcp", "$VIP4:8088/tcp"]
	affinity: connection
	adopt: 10m
	versions:
	  - { name: v1, role: stable, backends: ["10.2.0.11:7000", "[fd02::11]:7000"] }
	  - { name: v2, role: canary, backends: ["10.2.0.12:7000", "[fd02::12]:7000"] }
END
head -c 40000000 /dev/urandom > "$LAB_DIR/nginx-site/up/file"
start_perchd

declare -A LONGS

# live NAME SOURCE4 SOURCE6: connections of both families that stay
live() {
	start_long "$1-4" -n "$LIVE" -s "$2" -m "$LIVE" "$VIP4" 80
	LONGS[$1-4]=$LONG
	expect wait_for 20 long_ready
	start_long "$1-6" -n "$LIVE" -s "$3" -m "$LIVE" "$VIP6" 80
	LONGS[$1-6]=$LONG
	expect wait_for 20 long_ready
}

# of NAME: long_state and the like are about this one from now on
of() {
	LONG=${LONGS[$1]} LONG_LOG=$LAB_DIR/$1
}

end_live() {
	local family
	for family in 4 6; do
		lab_kill TERM "${LONGS[$1-$family]}"
		unset "LONGS[$1-$family]"
	done
}

none_wait() {
	[ "$(field "$(long_state)" .waiting)" = 0 ]
}

# Everybody who is there is asked, answers, and answers as before.
all_well() {
	local name state
	for name in "${!LONGS[@]}"; do
		of "$name"
		kill -USR2 "$LONG"
		expect wait_for 30 none_wait
		state=$(long_state)
		echo "$name: $state"
		expect [ "$(field "$state" '[.open, .broken, .changed, .unconnected] | join(" ")')" = "$LIVE 0 0 0" ]
		[[ $name != host-* ]] || expect [ "$(field "$state" .names.host.open)" = "$LIVE" ]
		[[ $name = host-* ]] || expect [ "$(field "$state" '.names.host.open // 0')" = 0 ]
	done
}

# new_go_to host|backends
new_go_to() {
	local seen target
	for target in "10.1.30.0 $VIP4" "fd01::3000 $VIP6"; do
		seen=$(short -n 300 -j 32 -s "${target% *}" -m 300 "${target#* }" 80)
		echo "$seen"
		if [ "$1" = host ]; then
			[ "$(count "$seen" host)" = 300 ] || return 1
		else
			[ $(($(count "$seen" v1) + $(count "$seen" v2))) = 300 ] || return 1
		fi
	done
}

take_over() {
	expect perch service apply "$LAB_DIR/web.yaml"
	expect perch weight set service web canary 50
}

leaves() {
	phase_is web Leaving
}

is_not_there() {
	! perch service show "$1"
}

reason_count() {
	field "$(perch -j reason show)" ".[] | select(.name == \"$1\") | .count"
}

test_taken_over_address_keeps_its_connections() {
	live host 10.1.1.0 fd01::1
	expect new_go_to host
	in_ns c curl -sf --limit-rate 2M -o "$LAB_DIR/file" "http://$VIP4:8088/up/file" &
	DOWNLOAD=$!
	sleep 1
	take_over
	expect new_go_to backends
	expect within "$(field "$(perch -j service show web)" '.[0].adopting | floor')" 580 600
	expect grep -Eq 'pass to the stack for (9m|10m)' <<< "$(perch service show web)"
	all_well
	expect refused is_gone "$DOWNLOAD"
	sleep 1
	all_well
	sleep 1
	expect [ "$(reason_count adopted)" -ge $((LIVE * 2)) ]
}

test_handed_back_address_keeps_ours() {
	live ours 10.1.2.0 fd01::2000
	all_well
	expect perch service delete web drain 60s comment back
	expect leaves
	expect new_go_to host
	all_well
	expect [ "$(field "$(perch -j service show web)" '.[0].leaving.connections')" -ge $((LIVE * 2)) ]
	expect grep -Eq '1,[0-9]{3} connections left, ' <<< "$(perch service show web)"
	# it is no more for anything else
	expect refused perch weight set service web canary 10
}

test_leaving_goes_on_after_the_agent_was_killed() {
	stop_perchd KILL
	expect new_go_to host
	start_perchd
	expect leaves
	expect new_go_to host
	all_well
}

test_applied_again_it_stays() {
	expect perch service apply "$LAB_DIR/web.yaml"
	expect refused leaves
	expect new_go_to backends
	all_well
	expect perch service delete web drain 60s
	expect new_go_to host
	all_well
}

test_it_has_left_when_its_last_connection_has() {
	expect leaves
	end_live ours
	expect wait_for 10 is_not_there web
	expect new_go_to host
	all_well
	wait "$DOWNLOAD"
	expect cmp "$LAB_DIR/file" "$LAB_DIR/nginx-site/up/file"
}

all_are_broken() {
	[ "$(field "$(long_state)" .broken)" = "$LIVE" ]
}

# Time is over: what is left is the stack's, which knows nothing of it.
test_drain_ends_on_time() {
	local severed
	take_over
	severed=$(reason_count severed)
	live late 10.1.4.0 fd01::4000
	expect perch service delete web drain 2s
	expect wait_for 5 is_not_there web
	for late in late-4 late-6; do
		of "$late"
		kill -USR2 "$LONG"
		expect wait_for 20 all_are_broken
		long_state
	done
	end_live late
	sleep 1
	expect [ "$(reason_count severed)" = "$severed" ]
	expect new_go_to host
	all_well
}

# ports PORT:NAME...: who answers there
ports() {
	local port
	for port in "$@"; do
		expect [ "$(count "$(short -n 100 -s 10.1.40.0 -m 100 "$WHOLE" "${port%:*}")" "${port#*:}")" = 100 ]
	done
}

test_whole_address_is_taken_but_for_exceptions() {
	start_long shell -n 100 -s 10.1.5.0 -m 100 "$WHOLE" 22
	expect wait_for 20 long_ready
	ports 22:host 5000:host 5001:host
	expect perch service apply - <<-END
		name: whole
		listen: ["$WHOLE:0/tcp"]
		exclude: [22]
		versions:
		  - { name: v1, role: stable, backends: ["10.2.0.11"] }
	END
	ports 22:host 5000:v1 5001:v1
	expect perch service apply - <<-END
		name: one
		listen: ["$WHOLE:5001/tcp"]
		versions:
		  - { name: v2, role: stable, backends: ["10.2.0.12:7000"] }
	END
	ports 22:host 5000:v1 5001:v2
	stop_perchd KILL
	start_perchd
	ports 22:host 5000:v1 5001:v2
	expect perch service delete one
	ports 22:host 5000:v1 5001:v1
	expect perch service delete whole
	ports 22:host 5000:host 5001:host
	expect [ "$(field "$(long_state)" '[.open, .broken, .changed] | join(" ")')" = "100 0 0" ]
	lab_kill TERM "$LONG"
}

# Its connections go on without it, and its address is another's at once.
had_connections() {
	[ "$(version "$1" v1 .connections)" -ge "$2" ]
}

test_service_that_left_its_file_keeps_its_connections() {
	start_long others -n 200 -s 10.1.6.0 -m 200 192.0.2.99 80
	expect wait_for 20 long_ready
	file renamed more
	expect wait_for 10 phase_is renamed Idle
	expect phase_is other Leaving
	expect [ "$(count "$(short -n 100 -s 10.1.7.0 -m 100 192.0.2.99 80)" v1)" = 100 ]
	stop_perchd KILL
	start_perchd
	expect phase_is other Leaving
	# the kernel tells of services in no rollout once a second
	expect wait_for 10 had_connections renamed 100
	kill -USR2 "$LONG"
	expect wait_for 30 none_wait
	expect [ "$(field "$(long_state)" '[.open, .broken, .changed] | join(" ")')" = "200 0 0" ]
	# by another name it is another service; by its own it is back
	file renamed other
	expect wait_for 10 phase_is other Idle
	file renamed
	expect wait_for 10 phase_is other Leaving
	lab_kill TERM "$LONG"
	expect wait_for 10 is_not_there other
}

detach() {
	in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach "$@"
}

test_detach_refuses_beside_an_agent() {
	take_over
	live ours 10.1.2.0 fd01::2000
	expect refused detach drain 5s 2> "$LAB_DIR/refused"
	cat "$LAB_DIR/refused"
	expect grep -q "perchd (pid $PERCHD) is running; stop it first" "$LAB_DIR/refused"
	for words in "--detach drain" "--detach drain soon" "--detach now" "--detach drain 5s more" "drain 5s" \
		"--check --detach" "--unknown" "-c"; do
		# shellcheck disable=SC2086 # words
		in_ns lb "$BUILD/perchd" $words
		expect [ $? = 2 ]
	done
	expect grep -q -- '--detach drain DURATION' <<< "$("$BUILD/perchd" --help)"
	expect new_go_to backends
}

start_detach() {
	lab_spawn lb "$LAB_DIR/detach" "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach drain 60s
	DETACH=$SPAWNED
	expect wait_for 10 grep -q 'connections left' "$LAB_DIR/detach.err"
}

test_detach_called_off_changes_nothing() {
	stop_perchd
	start_detach
	expect new_go_to host
	all_well
	kill -INT "$DETACH"
	wait "$DETACH"
	expect [ $? = 1 ]
	cat "$LAB_DIR/detach.err"
	expect grep -q 'called off' "$LAB_DIR/detach.err"
	expect new_go_to backends
	all_well
}

test_agent_takes_back_what_a_killed_detach_left() {
	: > "$LAB_DIR/detach.err"
	start_detach
	lab_kill KILL "$DETACH"
	expect new_go_to host
	start_perchd
	expect new_go_to backends
	all_well
	stop_perchd
}

test_detach_waits_for_the_last_connection() {
	: > "$LAB_DIR/detach.err"
	start_detach
	# an agent that comes now would take back what is being given up
	expect refused timeout 10 nsenter --net="/run/netns/p$$-lb" "$BUILD/perchd" -c "$LAB_DIR/perch.yaml"
	expect new_go_to host
	all_well
	sleep 2
	expect refused is_gone "$DETACH"
	end_live ours
	expect wait_for 10 is_gone "$DETACH"
	wait "$DETACH"
	expect [ $? = 0 ]
	cat "$LAB_DIR/detach.err"
	expect grep -Eq '1,[0-9]{3} connections left, 60 s' "$LAB_DIR/detach.err"
	expect [ ! -e "$LAB_DIR/bpf/perch" ]
	expect refused grep -q perch <(in_ns lb "${BPFTOOL:-$(command -v bpftool || echo /usr/sbin/bpftool)}" net show)
	expect new_go_to host
	all_well
}

test_detach_of_nothing_says_so() {
	expect refused detach drain 1s
	expect refused detach
}

run test_taken_over_address_keeps_its_connections test_handed_back_address_keeps_ours \
	test_leaving_goes_on_after_the_agent_was_killed test_applied_again_it_stays \
	test_it_has_left_when_its_last_connection_has test_drain_ends_on_time \
	test_whole_address_is_taken_but_for_exceptions test_service_that_left_its_file_keeps_its_connections \
	test_detach_refuses_beside_an_agent test_detach_called_off_changes_nothing \
	test_agent_takes_back_what_a_killed_detach_left test_detach_waits_for_the_last_connection \
	test_detach_of_nothing_says_so
finish
