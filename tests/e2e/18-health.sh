#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Health checks and drains: backends that die, hang, answer wrongly, come back,
# are taken out by hand; versions of which nothing lives; an agent that dies
# meanwhile.  Backends are real nginx, and namesrv where connections are long.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# ms; a check that fails by its timeout is known after FALL of them
INTERVAL=200
TIMEOUT=200
FALL=2
WITHIN=$((FALL * INTERVAL + TIMEOUT))

lab_up 3
declare -A PID
# server NAME NS PORT: nginx NAME, started or started again.
server() {
	lab_nginx "$2" "$1" "$3"
	PID[$1]=$SPAWNED
}
server a s1 8080
server b s1 8081
server c s2 8080
server d s2 8081
for name in a b c d; do
	touch "$LAB_DIR/nginx-$name/up/health"
done
lab_namesrv s1 n1 7000
lab_namesrv s2 n2 7000
lab_namesrv s3 n3 7000

check() {
	echo "healthCheck: { interval: ${INTERVAL}ms, timeout: ${TIMEOUT}ms, fall: $FALL, rise: 2, $1 }"
}

services() {
	cat <<-END
		  - name: web
		    listen: ["$VIP4:80/tcp", "[$VIP6]:80/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:8080", "10.2.0.11:8081", "[fd02::11]:8080"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:8080", "10.2.0.12:8081", "[fd02::12]:8080"] }
		    $(check "type: tcp")
		    rollout: { interval: 20m, reflex: { connectFailures: 0 } }
		  - name: site
		    listen: ["$VIP4:81/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:8080", "10.2.0.11:8081"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:8080"] }
		    onStableDown: canary
		    $(check "type: ${SITE_CHECK:-http, path: /up/health}")
		    rollout: { interval: 20m, reflex: { connectFailures: 0 } }
		  - name: long
		    listen: ["$VIP4:82/tcp", "$VIP4:82/udp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000", "10.2.0.12:7000", "10.2.0.13:7000"] }
		    $(check "type: tcp")
	END
}
services | perch_config "$MODE"
start_perchd

# backend SERVICE ADDRESS FILTER
backend() {
	field "$(perch -j backend show service "$1")" ".[] | select(.address == \"$2\") | $3"
}

# is STATE SERVICE ADDRESS...
is() {
	local state=$1 service=$2 address
	shift 2
	for address in "$@"; do
		[ "$(backend "$service" "$address" .state)" = "$state" ] || return 1
	done
}

# alarm TEXT: one that says so.
alarm() {
	[ "$(field "$(perch -j status)" '[.alarms[] | select(.kind == "backends" and (.text | contains("'"$1"'")))] | length')" -ge 1 ]
}

no_alarm() {
	[ "$(field "$(perch -j status)" '[.alarms[] | select(.kind == "backends")] | length')" = 0 ]
}

# from N PORT [OPTION...]: N connections, HTTP; the JSON is in $SEEN.
from() {
	local n=$1 port=$2
	shift 2
	SEEN=$(short -n "$n" -H -s 10.1.1.0 -m 2000 "$@" "$VIP4" "$port")
	echo "$SEEN"
}

failed() {
	field "$SEEN" .failed
}

test_all_are_up_and_checked() {
	expect wait_for 3 checked 12
	expect is up web 10.2.0.11:8080 '[fd02::12]:8080'
	expect [ "$(backend site 10.2.0.11:8080 .check.result)" = "HTTP status 200" ]
	expect [ "$(backend site 10.2.0.11:8080 .check.failed)" = 0 ]
	expect [ "$(backend web 10.2.0.11:8080 .check.result)" = connected ]
	perch backend show service web
	expect grep -q 'tcp: connected' <(perch backend show service web)
	expect no_alarm
}

# checked N: so many have been asked at least twice.
checked() {
	[ "$(field "$(perch -j backend show)" '[.[] | select(.check.passed >= 2)] | length')" = "$1" ]
}

test_dead_backend_is_avoided_within_its_time() {
	local load died seen late
	lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -H -t 60 -r 1000 -s 10.1.1.0 -m 2000 "$VIP4" 80
	load=$SPAWNED
	sleep 1
	died=$(monotonic)
	lab_kill TERM "${PID[a]}"
	expect wait_for 5 is down web 10.2.0.11:8080
	sleep 1
	lab_kill TERM "$load"
	seen=$(cat "$LAB_DIR/load")
	echo "$seen"
	late=$((($(field "$seen" .last_failure) - died) / 1000000))
	expect within "$late" 0 $((WITHIN + 250))
	# those that it had when it died are reset, no more than it can have had
	expect [ "$(field "$seen" '.errors | keys - ["ECONNREFUSED", "ECONNRESET"] | length')" = 0 ]
	expect within "$(field "$seen" '.errors.ECONNRESET // 0')" 0 32
	expect [ "$(($(field "$seen" .names.a.last) - died))" -lt $((WITHIN * 1000000)) ]
	expect [ "$(backend web 10.2.0.11:8080 .held[0])" = health ]
	expect [ "$(backend web 10.2.0.11:8080 .check.result)" = "connection refused" ]
	# of its version alone, and the check of the other service sees it too
	expect is up web 10.2.0.11:8081 10.2.0.12:8080
	expect wait_for 2 is down site 10.2.0.11:8080
	expect no_alarm_but_v6
	expect [ "$(metric perch_backend_up)" = 0 ]
	expect [ "$(metric perch_backend_checks_total ',result="failed"')" -ge "$FALL" ]
	expect [ "$(metric perch_backend_checks_total ',result="passed"')" -ge 2 ]
	say "the last connection to it began $late ms after it died; $(field "$seen" .failed) of $(field "$seen" .connections) failed"
}

# metric NAME [LABELS]: of web's 10.2.0.11:8080.
metric() {
	in_ns lb curl -s --unix-socket "$LAB_DIR/perch.sock" http://perch/metrics |
		awk -v series="$1{service=\"web\",version=\"v1\",backend=\"10.2.0.11:8080\"${2:-}}" 'index($0, series " ") == 1 { print $NF }'
}

# nginx a is also the only IPv6 backend of stable.
no_alarm_but_v6() {
	wait_for 3 alarm "stable version 'v1' has no live IPv6 backend" &&
		[ "$(field "$(perch -j status)" '[.alarms[] | select(.kind == "backends")] | length')" = 1 ]
}

test_ipv6_clients_are_refused_while_ipv4_is_served() {
	local seen
	seen=$(short -n 200 -H -s fd01::1 "$VIP6" 80)
	echo "$seen"
	expect [ "$(field "$seen" .failed)" = 200 ]
	expect [ "$(field "$seen" '.errors | keys | join(" ")')" = ECONNREFUSED ]
	from 500 80
	expect [ "$(failed)" = 0 ]
	expect [ "$(count "$SEEN" b)" = 500 ]
}

test_backend_that_restarts_comes_back() {
	server a s1 8080
	expect wait_for 3 is up web 10.2.0.11:8080
	expect wait_for 3 is up site 10.2.0.11:8080
	from 1000 80
	expect [ "$(failed)" = 0 ]
	expect within "$(count "$SEEN" a)" 400 600
	expect wait_for 3 no_alarm
	expect [ "$(field "$(perch -j event show limit 50)" '[.[] | select(.kind == "backend" and .service == "web" and .from == "down" and .to == "up" and .actor.via == "health")] | length')" -ge 1 ]
}

# One of the canary's two goes and comes back under load.  Failures are its own:
# with them the canary has its share to the connection (4 sigma, so that one
# run in 16,000 fails by chance).
test_canary_keeps_its_share_while_its_backends_come_and_go() {
	local load seen canary all
	expect perch weight set service web canary 30
	lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -H -n 20000 -r 4000 -s 10.1.1.0 -m 2000 "$VIP4" 80
	load=$SPAWNED
	sleep 1
	lab_kill TERM "${PID[c]}"
	expect wait_for 3 is down web 10.2.0.12:8080
	sleep 1
	server c s2 8080
	expect wait_for 3 is up web 10.2.0.12:8080
	wait "$load"
	seen=$(cat "$LAB_DIR/load")
	echo "$seen"
	all=$(field "$seen" .connections)
	expect [ "$all" = 20000 ]
	canary=$(($(count "$seen" c) + $(count "$seen" d) + $(field "$seen" .failed)))
	expect within "$canary" 5740 6260
	expect within "$(field "$seen" .failed)" 1 2000
	expect [ "$(count "$seen" c)" -gt 500 ]
	say "the canary had $canary of $all at 30 %"
}

test_wrong_status_takes_a_backend_out_of_the_service_that_asks_for_it() {
	rm "$LAB_DIR/nginx-a/up/health"
	expect wait_for 3 is down site 10.2.0.11:8080
	expect [ "$(backend site 10.2.0.11:8080 .check.result)" = "HTTP status 404, not 200-399" ]
	expect is up web 10.2.0.11:8080
	from 300 81
	expect [ "$(count "$SEEN" b)" = 300 ]
	from 300 80
	expect [ "$(count "$SEEN" a)" -gt 50 ]
	# it answers nothing: the connection is taken, and closed
	touch "$LAB_DIR/nginx-b/fail"
	expect wait_for 3 is down site 10.2.0.11:8081
	expect grep -q "without an answer\|reset by peer" <(backend site 10.2.0.11:8081 .check.result)
	rm "$LAB_DIR/nginx-b/fail"
	touch "$LAB_DIR/nginx-a/up/health"
	expect wait_for 3 is up site 10.2.0.11:8080 10.2.0.11:8081
}

test_drained_backend_keeps_its_connections_and_gets_no_new_ones() {
	local before state
	start_long drain -n 60 -e 300 -s 10.1.1.0 -m 60 "$VIP4" 82
	expect wait_for 10 long_ready
	before=$(field "$(long_state)" '.names.n1.open')
	expect [ "$before" -gt 5 ]
	expect perch backend drain service long address 10.2.0.11:7000 comment "kernel update"
	expect is draining long 10.2.0.11:7000
	expect [ "$(backend long 10.2.0.11:7000 .held[0])" = person ]
	expect [ "$(backend long 10.2.0.11:7000 .drainedSince)" -gt 1000000000 ]
	SEEN=$(short -n 600 -s 10.1.1.0 -m 600 "$VIP4" 82)
	expect [ "$(failed)" = 0 ]
	expect [ "$(count "$SEEN" n1)" = 0 ]
	sleep 1
	state=$(long_state)
	echo "$state"
	expect [ "$(field "$state" .open)" = 60 ]
	expect [ "$(field "$state" .names.n1.open)" = "$before" ]
	expect [ "$(field "$state" .changed)" = 0 ]
	expect [ "$(field "$(perch -j event show limit 20)" '[.[] | select(.kind == "backend")] | last | .comment')" = "kernel update" ]
	# again: nothing happens, and is no mistake
	expect perch backend drain service long address 10.2.0.11:7000
	expect perch backend resume service long address 10.2.0.11:7000
	expect perch backend resume long 10.2.0.11:7000
	expect is up long 10.2.0.11:7000
	SEEN=$(short -n 600 -s 10.1.1.0 -m 600 "$VIP4" 82)
	expect within "$(count "$SEEN" n1)" 130 270
}

# Its host is gone, without a word: who sends is decided anew, and reset there.
test_connections_of_a_dead_host_end_instead_of_hanging() {
	local had
	had=$(field "$(long_state)" .names.n3.open)
	expect [ "$had" -gt 5 ]
	datagrams
	expect [ "$(count "$SEEN" n3)" -gt 5 ]
	in_ns s3 ip link set eth0 down
	expect wait_for 5 is down long 10.2.0.13:7000
	expect wait_for 5 long_open $((60 - had))
	expect [ "$(field "$(long_state)" .names.n3.reset)" = "$had" ]
	lab_kill TERM "$LONG"
	# datagrams of a flow that is there have another backend now
	datagrams
	expect [ "$(failed)" = 0 ]
	expect [ "$(count "$SEEN" n3)" = 0 ]
}

# 60 flows, the same ones each time.
datagrams() {
	SEEN=$(short -u -n 60 -s 10.1.2.0 -m 60 -P 5353 "$VIP4" 82)
	echo "$SEEN"
}

long_open() {
	[ "$(field "$(long_state)" .open)" = "$1" ]
}

test_last_backend_of_stable_is_drained_by_force_only() {
	local err=$LAB_DIR/drain.err
	# n3 is down yet
	expect perch backend drain service long address 10.2.0.11:7000
	expect refused perch backend drain service long address 10.2.0.12:7000 2> "$err"
	cat "$err"
	expect grep -q 'last live IPv4 backend of stable' "$err"
	expect is up long 10.2.0.12:7000
	expect refused perch backend drain service long address 10.9.9.9:1 2> "$err"
	cat "$err"
	expect grep -q "no backend '10.9.9.9:1'; it has 10.2.0.11:7000 10.2.0.12:7000 10.2.0.13:7000" "$err"
	expect refused perch backend drain service long address nonsense 2> "$err"
	expect grep -q "is no ADDRESS:PORT" "$err"
	perch backend drain service long 2> "$err"
	expect [ $? = 2 ]
	expect grep -q 'ADDR:PORT is missing' "$err"
	perch -j backend resume service nobody address 10.2.0.12:7000 > "$err"
	expect [ $? = 1 ]
	expect grep -q "^no service 'nobody'; " <<< "$(jq -r .error "$err")"
	expect perch backend drain service long address 10.2.0.12:7000 force
	expect wait_for 3 alarm "stable version 'v1' has no live backend: new connections are refused"
	SEEN=$(short -n 50 -s 10.1.1.0 -m 50 "$VIP4" 82)
	expect [ "$(field "$SEEN" '.errors | keys | join(" ")')" = ECONNREFUSED ]
	expect perch backend resume service long address 10.2.0.12:7000
	expect wait_for 3 no_alarm
	SEEN=$(short -n 50 -s 10.1.1.0 -m 50 "$VIP4" 82)
	expect [ "$(count "$SEEN" n2)" = 50 ]
}

# n1 is drained, n3 down; so they are for whoever comes next.
test_drained_and_down_outlive_the_agent() {
	local passed
	stop_perchd KILL
	SEEN=$(short -n 100 -s 10.1.1.0 -m 100 "$VIP4" 82)
	expect [ "$(count "$SEEN" n2)" = 100 ]
	start_perchd
	expect is draining long 10.2.0.11:7000
	expect is down long 10.2.0.13:7000
	SEEN=$(short -n 100 -s 10.1.1.0 -m 100 "$VIP4" 82)
	expect [ "$(count "$SEEN" n2)" = 100 ]
	sleep 1
	expect is draining long 10.2.0.11:7000
	expect is down long 10.2.0.13:7000
	# a reload is no reason either, nor does it begin to count anew
	passed=$(backend long 10.2.0.12:7000 .check.passed)
	kill -HUP "$PERCHD"
	sleep 0.5
	expect is draining long 10.2.0.11:7000
	expect is down long 10.2.0.13:7000
	expect [ "$(backend long 10.2.0.12:7000 .check.passed)" -gt "$passed" ]
	# with the pins gone the store knows the drain, and the check finds out anew
	stop_perchd TERM
	rm -rf "$LAB_DIR/bpf/perch"
	start_perchd
	expect is draining long 10.2.0.11:7000
	expect wait_for 3 is down long 10.2.0.13:7000
	in_ns s3 ip link set eth0 up
	lab_route s3 default via 10.2.0.1 dev eth0 onlink
	expect wait_for 5 is up long 10.2.0.13:7000
	expect perch backend resume service long address 10.2.0.11:7000
}

test_version_without_a_live_backend_gives_its_share_to_stable() {
	expect [ "$(version web v2 .weight)" = 30 ]
	lab_kill TERM "${PID[c]}"
	lab_kill TERM "${PID[d]}"
	expect wait_for 3 is down web 10.2.0.12:8080 10.2.0.12:8081
	expect wait_for 3 alarm "canary version 'v2' has no live IPv4 backend: stable takes its connections"
	from 1000 80
	expect [ "$(failed)" = 0 ]
	expect [ "$(($(count "$SEEN" a) + $(count "$SEEN" b)))" = 1000 ]
	sleep 1.2
	expect within "$(field "$(perch -j reason show)" '.[] | select(.name == "empty_version") | .count')" 200 100000
	server c s2 8080
	server d s2 8081
	expect wait_for 3 is up web 10.2.0.12:8080 10.2.0.12:8081
	from 1000 80
	expect within "$(($(count "$SEEN" c) + $(count "$SEEN" d)))" 220 380
	expect wait_for 3 no_alarm
}

stable_dies() {
	lab_kill TERM "${PID[a]}"
	lab_kill TERM "${PID[b]}"
	expect wait_for 3 is down web 10.2.0.11:8080 10.2.0.11:8081
	expect wait_for 3 is down site 10.2.0.11:8080 10.2.0.11:8081
}

test_stable_down_refuses_at_once() {
	local took
	stable_dies
	expect wait_for 3 alarm "stable version 'v1' has no live IPv4 backend: new connections are refused (onStableDown: reject)"
	from 1000 80
	expect within "$(failed)" 620 780
	expect [ "$(field "$SEEN" '.errors | keys | join(" ")')" = ECONNREFUSED ]
	expect [ "$(($(count "$SEEN" c) + $(count "$SEEN" d) + $(failed)))" = 1000 ]
	expect grep -q "version 'v1' has no live backend; .perch backend show service site" <<< "$(perch rollout start site 2>&1)"
	took=$(field "$SEEN" .seconds)
	expect [ "${took%.*}" -lt 3 ]
	expect grep -q '^[1-9]' <(field "$(perch -j reason show)" '.[] | select(.name == "stable_down") | .count')
}

test_stable_down_leads_to_the_canary_where_that_is_wanted() {
	expect perch weight set service site canary 10
	expect wait_for 3 alarm "the canary takes new connections (onStableDown: canary)"
	from 500 81
	expect [ "$(failed)" = 0 ]
	expect [ "$(count "$SEEN" c)" = 500 ]
}

test_stable_down_never_leads_to_a_canary_that_was_rolled_back() {
	expect perch rollback site
	from 300 81
	expect [ "$(failed)" = 300 ]
	expect [ "$(field "$SEEN" '.errors | keys | join(" ")')" = ECONNREFUSED ]
	expect wait_for 3 alarm "new connections are refused: the canary was rolled back"
	server a s1 8080
	server b s1 8081
	expect wait_for 3 is up site 10.2.0.11:8080 10.2.0.11:8081
	from 300 81
	expect [ "$(failed)" = 0 ]
	expect [ "$(count "$SEEN" c)" = 0 ]
}

# What the agent can't check it does not judge.
test_agent_without_descriptors_takes_nobody_out() {
	local before
	before=$(grep -c 'from up to down' "$LAB_DIR/perchd.err")
	prlimit --pid "$PERCHD" --nofile=8:
	expect wait_for 5 grep -q 'alarm to checks: a backend could not be checked: too many open files' "$LAB_DIR/perchd.err"
	from 300 80
	expect [ "$(failed)" = 0 ]
	prlimit --pid "$PERCHD" --nofile=1024:
	expect wait_for 5 grep -q 'alarm from checks: over' "$LAB_DIR/perchd.err"
	expect is up web 10.2.0.11:8080 10.2.0.12:8080
	expect [ "$(grep -c 'from up to down' "$LAB_DIR/perchd.err")" = "$before" ]
}

# A canary of which nothing lives has nothing to show in a rollout.
test_canary_that_dies_in_a_rollout_is_rolled_back() {
	local err=$LAB_DIR/drain.err
	expect perch rollout retry site
	expect refused perch backend drain service site address 10.2.0.12:8080 2> "$err"
	cat "$err"
	expect grep -q "last live backend of the canary ('v2'): its rollout would be rolled back" "$err"
	expect phase_is site Progressing
	lab_kill TERM "${PID[c]}"
	expect wait_for 3 phase_is site RolledBack
	expect [ "$(version site v2 .rejected.reason)" = "canary has no live backend" ]
	from 300 81
	expect [ "$(failed)" = 0 ]
	server c s2 8080
	expect wait_for 3 is up site 10.2.0.12:8080
	expect phase_is site RolledBack
	from 300 81
	expect [ "$(count "$SEEN" c)" = 0 ]
}

# A drain is lost with its backend, not with a reload that is refused.
test_drain_ends_when_its_backend_leaves() {
	expect perch backend drain service web address 10.2.0.11:8081
	{
		services | sed 's/"10.2.0.11:8080", "10.2.0.11:8081", /"10.2.0.11:8080", /'
		echo '  - { name: broken }'
	} | perch_config "$MODE"
	expect wait_for 5 grep -q 'config to refused' "$LAB_DIR/perchd.err"
	sleep 1.2
	expect is draining web 10.2.0.11:8081
	services | sed 's/"10.2.0.11:8080", "10.2.0.11:8081", /"10.2.0.11:8080", /' | perch_config "$MODE"
	expect wait_for 5 grep -q 'backend 10.2.0.11:8081 left while it was drained' "$LAB_DIR/perchd.err"
	services | perch_config "$MODE"
	expect wait_for 5 is up web 10.2.0.11:8081
	expect [ "$(backend web 10.2.0.11:8081 .drainedSince)" = null ]
}

test_checks_end_with_their_configuration() {
	rm "$LAB_DIR/nginx-a/up/health"
	expect wait_for 3 is down site 10.2.0.11:8080
	SITE_CHECK=none services | perch_config "$MODE"
	expect wait_for 5 is up site 10.2.0.11:8080
	expect [ "$(backend site 10.2.0.11:8080 .check)" = null ]
	sleep 1
	expect is up site 10.2.0.11:8080
	expect [ "$(backend web 10.2.0.11:8080 .check.type)" = tcp ]
}

run test_all_are_up_and_checked test_dead_backend_is_avoided_within_its_time \
	test_ipv6_clients_are_refused_while_ipv4_is_served test_backend_that_restarts_comes_back \
	test_canary_keeps_its_share_while_its_backends_come_and_go \
	test_wrong_status_takes_a_backend_out_of_the_service_that_asks_for_it \
	test_drained_backend_keeps_its_connections_and_gets_no_new_ones \
	test_connections_of_a_dead_host_end_instead_of_hanging test_last_backend_of_stable_is_drained_by_force_only \
	test_drained_and_down_outlive_the_agent test_version_without_a_live_backend_gives_its_share_to_stable \
	test_stable_down_refuses_at_once test_stable_down_leads_to_the_canary_where_that_is_wanted \
	test_stable_down_never_leads_to_a_canary_that_was_rolled_back \
	test_agent_without_descriptors_takes_nobody_out test_canary_that_dies_in_a_rollout_is_rolled_back \
	test_drain_ends_when_its_backend_leaves test_checks_end_with_their_configuration
finish
