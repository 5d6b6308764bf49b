#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# modes: tc
# What is asked before the hash: rules of the file and its lists, pins by the
# command line.  They follow their version by name, they outlast a restart, a
# lost stateDir and lost maps, a rollback takes the canary from them, and
# explain tells where connections really land.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
lab_namesrv s2 v3 7001
lab_nginx s1 v1 8080
lab_nginx s2 v2 8080
mkdir "$LAB_DIR/lists"
echo '10.1.3.0/28  # the people of floor three' > "$LAB_DIR/lists/staff.txt"

# config CANARY CANARY-PORT; web is asked for rules, site only for the hash
config() {
	perch_config "$MODE" <<-END
		  - name: web
		    listen: ["$VIP4:80/tcp"]
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: $1, role: canary, door: ["$VIP4:8081/tcp"], backends: ["10.2.0.12:$2"] }
		    rules:
		      - { source: 10.1.2.0/24, version: canary }
		      - { source: 10.1.2.128/25, version: stable }
		      - { sourceFile: lists/staff.txt, version: $1 }
		      - { dscp: 34, version: canary }
		    rollout: { interval: 20m }
		  - name: site
		    listen: ["$VIP4:88/tcp", "[$VIP6]:88/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:8080", "[fd02::11]:8080"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:8080", "[fd02::12]:8080"] }
		  - name: cut
		    listen: ["$VIP4:89/tcp"]
		    rollback: { established: sever }
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
		    rules: [{ source: 10.1.2.0/24, version: canary }]
	END
}
config v2 7000
start_perchd

# lands SOURCE NAME: every connection of 20 from there does.
lands() {
	local seen
	seen=$(short -n 20 -j 4 -s "$1" "$VIP4" 80)
	[ "$(count "$seen" "$2")" = 20 ] && return 0
	echo "$1 is not led to $2: $seen"
	return 1
}

test_rules_lead_by_the_longest_prefix() {
	expect lands 10.1.2.1 v2
	expect lands 10.1.2.200 v1
	expect lands 10.1.3.7 v2
	expect lands 10.1.3.77 v1
}

test_rules_are_no_votes() {
	expect wait_for 5 ruled 60
	expect [ "$(field "$(perch -j rollout show web)" '.stepConnections // 0')" = 0 ]
	expect [ "$(version web v2 .weight)" = 0 ]
}

ruled() {
	[ "$(perch -j reason show | jq '.[] | select(.name == "ruled") | .count')" -ge "$1" ]
}

test_rule_by_dscp_leads_marked_packets() {
	expect [ "$(in_ns c curl -s -m 2 --interface 10.1.9.9 "http://$VIP4:88/")" = v1 ]
	in_ns c nft 'add table ip m; add chain ip m o { type route hook output priority -150; }; add rule ip m o ip saddr 10.1.9.9 ip dscp set 34'
	expect lands 10.1.9.9 v2
	expect lands 10.1.9.10 v1
	expect [ "$(perch -j explain 10.1.9.9 "$VIP4:80" dscp 34 | jq -r '"\(.version) \(.by)"')" = "v2 dscp" ]
}

test_reload_changes_the_list() {
	printf '10.1.4.0/24\n10.1.3.0/30\n' > "$LAB_DIR/lists/staff.txt.new"
	mv "$LAB_DIR/lists/staff.txt.new" "$LAB_DIR/lists/staff.txt"
	kill -HUP "$PERCHD"
	expect wait_for 5 lands 10.1.4.9 v2
	expect lands 10.1.3.1 v2
	expect lands 10.1.3.7 v1
	expect [ "$(perch -j explain 10.1.4.9 "$VIP4:80" | jq -r '.rule | "\(.match) \(.line)"')" = "source 10.1.4.0/24 1" ]
}

test_list_with_a_mistake_changes_nothing() {
	echo '10.1.4.0/33' > "$LAB_DIR/lists/staff.txt"
	kill -HUP "$PERCHD"
	expect wait_for 5 config_refused 'staff.txt:1'
	expect lands 10.1.4.9 v2
	echo '10.1.4.0/24' > "$LAB_DIR/lists/staff.txt"
	kill -HUP "$PERCHD"
	expect wait_for 5 config_loaded
}

config_refused() {
	perch -j config show | jq -e --arg text "$1" '.ok == false and (.error | contains($text))' > /dev/null
}

config_loaded() {
	perch -j config show | jq -e .ok > /dev/null
}

test_pin_leads_its_client_until_it_runs_out() {
	expect lands 10.1.5.1 v1
	expect perch pin set web client 10.1.5.1 version v2 ttl 2s comment "a look"
	expect lands 10.1.5.1 v2
	expect lands 10.1.5.2 v1
	expect [ "$(perch -j event show | jq -r 'map(select(.kind == "pin"))[-1] | "\(.kind) \(.to) \(.comment) \(.actor.via)"')" = "pin v2 a look socket" ]
	sleep 2
	expect lands 10.1.5.1 v1
	expect [ "$(perch -j pin show client 10.1.5.1)" = "[]" ]
	expect wait_for 10 ran_out 10.1.5.1
}

ran_out() {
	perch -j event show | jq -e --arg text "$1: its pin ran out" 'any(.reason == $text)' > /dev/null
}

test_pin_beats_a_rule_and_is_deleted() {
	expect perch pin set web client 10.1.2.1 version stable
	expect lands 10.1.2.1 v1
	expect perch pin delete web client 10.1.2.1
	expect lands 10.1.2.1 v2
	expect refused perch pin delete web client 10.1.2.1
}

test_mistakes_set_no_pin() {
	local before said
	before=$(perch -j pin show)
	said=$(perch pin set web client 10.1.5 version v2 2>&1) && expect false
	expect grep -q "'10.1.5' is not an IP address" <<< "$said"
	said=$(perch pin set web client 10.1.5.1 version v9 2>&1) && expect false
	expect grep -q "no version 'v9'" <<< "$said"
	said=$(printf '10.1.6.1 v2\n\n10.1.6.2 v2 5x\n' | perch pin load web file - 2>&1) && expect false
	expect grep -q "stdin:3: '5x' is not a duration" <<< "$said"
	said=$(printf '10.1.6.1 v2\n10.1.6.2 v9\n' | perch pin load web file - 2>&1) && expect false
	expect grep -q "stdin:1-2: .*10.1.6.2: no version 'v9'" <<< "$said"
	said=$(api PUT web/pins '{"pins":[{"client":"10.1.6.1","version":"v2"},{"client":"::1/65","version":"v2"}]}')
	expect grep -q 'pins\[1\].client' <<< "$said"
	expect [ "$(perch -j pin show)" = "$before" ]
}

# api METHOD PATH BODY
api() {
	in_ns lb curl -s --unix-socket "$LAB_DIR/perch.sock" -X "$1" -d "$3" "http://perch/v1/services/$2"
}

test_pins_of_a_file_are_set_in_bulks() {
	awk 'BEGIN { for (i = 0; i < 25000; i++) printf "10.30.%d.%d v2 1h\n", i / 256, i % 256 }' > "$LAB_DIR/many"
	echo '10.1.7.1 v2' >> "$LAB_DIR/many"
	expect [ "$(perch -j pin load web file "$LAB_DIR/many" | jq .set)" = 25001 ]
	expect lands 10.1.7.1 v2
	expect [ "$(perch -j pin show limit 0 | jq length)" = 25001 ]
	expect [ "$(perch -j pin show limit 7 | jq length)" = 7 ]
}

stored() {
	[ "$(sqlite3 "$LAB_DIR/state/state.db" 'SELECT count(*) FROM pins')" = "$1" ]
}

pins() {
	perch -j pin show web limit 0 | jq -c '[.[] | [.client, .version, .leadsTo, (.ttl != null)]] | sort'
}

test_pins_outlast_a_restart_lost_state_and_lost_maps() {
	local before
	before=$(pins)
	stop_perchd KILL
	start_perchd
	expect [ "$(pins)" = "$before" ]
	stop_perchd TERM
	rm -rf "$LAB_DIR/state"
	start_perchd
	expect [ "$(pins)" = "$before" ]
	expect wait_for 10 stored 25001
	stop_perchd KILL
	rm -rf "$LAB_DIR/bpf/perch"
	start_perchd
	expect [ "$(pins)" = "$before" ]
	expect lands 10.1.7.1 v2
}

# Killed in the middle of a bulk: kernel and store agree afterwards.
test_pins_agree_after_a_kill_in_a_bulk() {
	local i before
	awk 'BEGIN { for (i = 0; i < 60000; i++) printf "10.40.%d.%d canary\n", i / 256, i % 256 }' > "$LAB_DIR/more"
	for i in 1 2 3; do
		perch pin load web file "$LAB_DIR/more" &
		sleep "0.$((i * 12))"
		stop_perchd KILL
		wait $!
		start_perchd
	done
	before=$(pins | md5sum)
	expect wait_for 10 stored "$(perch -j service show web | jq '.[0].pins')"
	say "$(perch -j service show web | jq '.[0].pins') pins after three kills"
	stop_perchd KILL
	rm -rf "$LAB_DIR/bpf/perch"
	start_perchd
	expect [ "$(pins | md5sum)" = "$before" ]
	expect lands 10.1.7.1 v2
}

# 50 clients of all kinds: what explain says is where curl lands.
test_explain_tells_where_connections_land() {
	local i said
	expect perch weight set site canary 40
	for i in {1..10}; do
		same "10.1.2.$((i * 20))" "$VIP4" 80 "$((20000 + i))"
		same "10.1.8.$i" "$VIP4" 80 "$((20000 + i))"
	done
	for i in {1..15}; do
		same "10.1.8.$i" "$VIP4" 88 "$((21000 + i))"
		same "fd01::$i" "[$VIP6]" 88 "$((21000 + i))"
	done
	said=$(perch explain "10.1.2.1:5" "$VIP4:80")
	expect grep -q "the rule for source 10.1.2.0/24 ($LAB_DIR/perch.yaml:[0-9]*) leads to 'canary'" <<< "$said"
	expect grep -q "it is the door of 'v2'" <<< "$(perch explain 10.1.2.1:5 "$VIP4:8081")"
	expect grep -q "no service listens there" <<< "$(perch explain 10.1.2.1:5 "$VIP4:8082")"
	say "explain agreed with 50 connections"
}

# same CLIENT LISTENER PORT CLIENT-PORT
same() {
	local client=$1 want got
	[[ $client != *:* ]] || client="[$1]"
	want=$(perch -j explain "$client:$4" "$2:$3" | jq -r .version)
	if [ "$3" = 80 ]; then
		got=$(field "$(short -n 1 -s "$1" -P "$4" "$2" "$3")" '.names | keys[0]')
	else
		got=$(in_ns c curl -s -m 2 --interface "$1" --local-port "$4" "http://$2:$3/")
	fi
	expect [ "$got" = "$want" ]
	# now it is in the flow table, and stays where it is
	[ "$3" = 80 ] || expect [ "$(perch -j explain "$client:$4" "$2:$3" | jq -r .flow.version)" = "$got" ]
}

# Without an agent, at weight 0: who came by a rule is out all the same.
test_direct_rollback_severs_what_a_rule_led_there() {
	start_long cut -n 20 -s 10.1.2.9 "$VIP4" 89
	expect wait_for 10 long_ready
	expect [ "$(field "$(long_state)" .names.v2.open)" = 20 ]
	stop_perchd KILL
	expect [ "$(field "$(perch -j rollback cut --direct)" .outcome)" = rolledBack ]
	expect wait_for 5 long_broken 20
	expect [ "$(count "$(short -n 20 -s 10.1.2.9 "$VIP4" 89)" v1)" = 20 ]
	start_perchd
	expect phase_is cut RolledBack
	expect [ "$(version cut v2 .rejected.by)" = direct ]
}

long_broken() {
	[ "$(field "$(long_state)" .broken)" = "$1" ]
}

# v2 leaves, v3 comes: pins by name wait for theirs, pins by role have it.
test_pins_follow_their_version_by_name() {
	expect perch pin set web client 10.1.7.2 version canary
	expect lands 10.1.7.2 v2
	config v3 7001
	kill -HUP "$PERCHD"
	expect wait_for 10 knows_version web v3
	expect wait_for 10 lands 10.1.7.2 v3
	expect lands 10.1.2.1 v3
	expect wait_for 20 gone web v2
	expect lands 10.1.7.1 v1
	expect [ "$(perch -j pin show client 10.1.7.1 | jq -c '.[0] | [.version, .leadsTo]')" = '["v2",null]' ]
	expect grep -q "is void: no version of 'web' is 'v2' now" <<< "$(perch explain 10.1.7.1 "$VIP4:80")"
	stop_perchd KILL
	start_perchd
	expect [ "$(perch -j pin show client 10.1.7.1 | jq -c '.[0] | [.version, .leadsTo]')" = '["v2",null]' ]
	config v2 7000
	kill -HUP "$PERCHD"
	expect wait_for 10 knows_version web v2
	expect wait_for 5 lands 10.1.7.1 v2
	expect lands 10.1.7.2 v2
}

gone() {
	[ -z "$(version "$1" "$2" .name)" ]
}

test_rollback_takes_the_canary_from_pins_and_rules() {
	expect lands 10.1.7.1 v2
	expect lands 10.1.2.1 v2
	expect lands 10.1.7.2 v2
	# at 0 percent: all that it has comes by pins and rules
	expect [ "$(field "$(perch -j rollback web)" .outcome)" = rolledBack ]
	nobody_gets_v2
	expect grep -q "is void: 'v2' was rejected" <<< "$(perch explain 10.1.7.1 "$VIP4:80")"
	# the door stays open
	expect [ "$(count "$(short -n 20 -s 10.1.7.1 "$VIP4" 8081)" v2)" = 20 ]
	stop_perchd KILL
	start_perchd
	nobody_gets_v2
	# neither a reload nor a new pin brings it back
	kill -HUP "$PERCHD"
	sleep 0.5
	expect perch pin set web client 10.1.7.3 version canary
	expect [ "$(perch -j pin show client 10.1.7.3 | jq -c '.[0] | [.version, .leadsTo]')" = '["canary",null]' ]
	nobody_gets_v2
}

nobody_gets_v2() {
	local source
	for source in 10.1.7.1 10.1.7.2 10.1.7.3 10.1.2.1 10.1.4.9 10.1.9.9; do
		expect lands "$source" v1
	done
}

# What a person takes back holds for them from the first step on.
test_retry_leads_pins_and_rules_to_the_canary_again() {
	expect perch rollout retry web
	expect lands 10.1.7.2 v2
	expect lands 10.1.2.1 v2
	expect [ "$(version web v2 .rejected)" = null ]
	expect perch rollout abort web
	nobody_gets_v2
}

test_pins_all_deleted_are_gone_for_good() {
	expect perch pin delete web all
	expect [ "$(perch -j pin show)" = "[]" ]
	stop_perchd KILL
	rm -rf "$LAB_DIR/bpf/perch"
	start_perchd
	expect [ "$(perch -j pin show)" = "[]" ]
	expect lands 10.1.7.200 v1
}

run test_rules_lead_by_the_longest_prefix test_rules_are_no_votes test_rule_by_dscp_leads_marked_packets \
	test_reload_changes_the_list test_list_with_a_mistake_changes_nothing \
	test_pin_leads_its_client_until_it_runs_out test_pin_beats_a_rule_and_is_deleted test_mistakes_set_no_pin \
	test_pins_of_a_file_are_set_in_bulks test_pins_outlast_a_restart_lost_state_and_lost_maps \
	test_pins_agree_after_a_kill_in_a_bulk test_explain_tells_where_connections_land \
	test_direct_rollback_severs_what_a_rule_led_there test_pins_follow_their_version_by_name \
	test_rollback_takes_the_canary_from_pins_and_rules test_retry_leads_pins_and_rules_to_the_canary_again \
	test_pins_all_deleted_are_gone_for_good
finish
