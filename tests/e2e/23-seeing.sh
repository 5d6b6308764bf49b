#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What an operator sees: packets as they pass, the faults of a host, the live
# view, and one screen of status.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 3
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000

# service NAME ADDRESS PORT AFFINITY
service() {
	cat <<-END
		  - name: $1
		    listen: ["$2:$3/tcp"]
		    affinity: $4
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
		    rollout:
		      steps: [5, 100]
		      interval: 20m
		      reflex: { connectFailures: 0 }
	END
}

five() {
	local i
	service web "$VIP4" 80 connection
	for i in 1 2 3; do
		service "extra$i" "$VIP4" 8$i connection
	done
	service few "$VIP4" 90 client
}

five | perch_config "$MODE"
start_perchd

loaded_since() {
	local now
	now=$(perch -j config show)
	[ "$(field "$now" .ok)" = true ] && [ "$(field "$now" .loaded)" != "$1" ]
}

# reloaded CMD...: services as CMD prints them are in force.
reloaded() {
	local before
	before=$(field "$(perch -j config show)" .loaded)
	"$@" | perch_config "$MODE"
	expect wait_for 5 loaded_since "$before"
}

# The word in control that packets look at, from the pinned map.
tracing() {
	"${BPFTOOL:-$(command -v bpftool || echo /usr/sbin/bpftool)}" -j map dump pinned "$LAB_DIR/bpf/perch/maps/control" |
		jq -r '(.[0].formatted.value // .[0].value) | if type == "object" then .tracing
			else [.[20:24][] | ltrimstr("0x")] | join("") end | tostring | test("^0+$") | not'
}

is_tracing() {
	[ "$(tracing)" = "$1" ]
}

# start_trace FILE WORD...: perch trace into $LAB_DIR/FILE, once it is heard.
start_trace() {
	local file=$LAB_DIR/$1
	shift
	PERCH_SOCKET=$LAB_DIR/perch.sock lab_spawn lb "$file" "$BUILD/perch" "$@"
	TRACE=$SPAWNED
	expect wait_for 5 is_tracing true
}

# traced FILTER: the documents in $LAB_DIR/trace, by jq over the array of them.
traced() {
	jq -s -r "$1" "$LAB_DIR/trace"
}

fetch() {
	in_ns c curl -s -m 5 -o /dev/null --interface "$1" "http://$VIP4:$2/"
}

saw_end() {
	[ "$(traced '[.[] | select(.flags // "" | test("FIN"))] | length')" -ge 2 ]
}

test_trace_shows_a_connection_from_syn_to_fin() {
	expect is_tracing false
	start_trace trace -j trace service web client 10.1.1.5
	short -n 20 -s 10.1.1.77 "$VIP4" 80 > /dev/null
	short -n 20 -s 10.1.1.5 "$VIP4" 81 > /dev/null
	short -n 1 -s 10.1.1.5 "$VIP4" 80 > /dev/null
	expect wait_for 5 saw_end
	lab_kill INT "$TRACE"
	cat "$LAB_DIR/trace"
	# in XDP mode what XDP left to TC is seen twice; each way of one hook is told
	expect [ "$(traced '[.[] | select(.reason == "new")] | length')" = 1 ]
	expect [ "$(traced '[.[] | select(.reason == "new")][0] | [.flags, .service, .destination, .interface, .verdict,
		.protocol, .new, .reply] | join(" ")')" = "SYN web $VIP4:80 c forward tcp true false" ]
	expect [ "$(traced '[.[] | select(.reply and .flags == "SYN+ACK" and .reason == "reply")] | length')" = 1 ]
	expect [ "$(traced '[.[] | select(.reply and .flags == "SYN+ACK")][0] | .source == .backend')" = true ]
	expect [ "$(traced '[.[] | select(.version) | .version] | unique | length')" = 1 ]
	expect [ "$(traced '[.[] | .service] | unique | join(" ")')" = web ]
	expect [ "$(traced 'all(.[]; (.source | startswith("10.1.1.5:")) or (.destination | startswith("10.1.1.5:")))')" = true ]
	expect [ "$(traced 'all(.[]; .length >= 54 and .time > 1000000000 and (.text | length) > 0)')" = true ]
	expect wait_for 5 is_tracing false
}

test_trace_without_a_filter_shows_everything_and_ends_by_limit() {
	start_trace trace trace limit 12
	short -n 20 -s 10.1.1.0 -m 20 "$VIP4" 80 > /dev/null
	expect wait_for 5 is_gone "$TRACE"
	expect wait "$TRACE"
	cat "$LAB_DIR/trace"
	expect [ "$(wc -l < "$LAB_DIR/trace")" = 12 ]
	expect grep -qE "^[0-9:]{8}\.[0-9]{6}  c +(xdp|tcIn) +10\.1\.1\.[0-9]+:[0-9]+ > $VIP4:80  tcp SYN  [0-9]+ bytes  new: first packet of a connection  web v[12] 10\.2\.0\.1[12]:7000$" \
		"$LAB_DIR/trace"
	expect wait_for 5 is_tracing false
}

test_trace_of_two_readers_gives_each_its_own() {
	local first
	start_trace one -j trace service web limit 1
	first=$TRACE
	start_trace trace -j trace service extra1 client 10.1.1.9 limit 1
	short -n 1 -s 10.1.1.9 "$VIP4" 81 > /dev/null
	expect wait_for 5 is_gone "$TRACE"
	expect [ "$(traced '.[0].service')" = extra1 ]
	expect [ ! -s "$LAB_DIR/one" ]
	expect is_tracing true
	short -n 1 -s 10.1.1.9 "$VIP4" 80 > /dev/null
	expect wait_for 5 is_gone "$first"
	expect [ "$(jq -r .service "$LAB_DIR/one")" = web ]
	expect wait_for 5 is_tracing false
}

test_trace_says_when_nothing_matches() {
	start_trace trace trace client 10.1.9.9
	expect wait_for 8 grep -q 'no packet matched yet.*not_ours' "$LAB_DIR/trace.err"
	lab_kill TERM "$TRACE"
	expect [ ! -s "$LAB_DIR/trace" ]
	expect refused perch trace service nosuch 2> "$LAB_DIR/err"
	expect grep -q "no service 'nosuch'" "$LAB_DIR/err"
	expect refused perch trace client here 2> "$LAB_DIR/err"
	expect grep -q "'here' is not an IP address" "$LAB_DIR/err"
}

test_tracing_ends_with_a_killed_reader() {
	start_trace trace trace service web
	lab_kill KILL "$TRACE"
	expect wait_for 5 is_tracing false
}

test_tracing_ends_with_a_killed_agent() {
	start_trace trace trace service web
	stop_perchd KILL
	expect wait_for 5 is_gone "$TRACE"
	expect wait_for 8 is_tracing false
	start_perchd
	expect is_tracing false
}

# doctor_says LEVEL CHECK PATTERN: one of its findings.
doctor_says() {
	perch -j doctor > "$LAB_DIR/findings"
	jq -e --arg l "$1" --arg c "$2" --arg p "$3" \
		'any(.[]; .level == $l and .check == $c and (.text | test($p)) and ($l == "ok" or (.remedy | length) > 0))' \
		"$LAB_DIR/findings" > /dev/null && return 0
	jq -c '.[] | select(.level != "ok")' "$LAB_DIR/findings"
	return 1
}

# doctor_exits CODE
doctor_exits() {
	perch doctor > "$LAB_DIR/doctor.text" 2>&1
	[ $? = "$1" ]
}

test_doctor_is_content_with_a_healthy_host() {
	expect short -n 200 -s 10.1.1.0 -m 200 "$VIP4" 80
	perch -j doctor > "$LAB_DIR/findings"
	jq -c '.[] | select(.level != "ok")' "$LAB_DIR/findings"
	expect [ "$(jq '[.[] | select(.level == "error" or .level == "warning")] | length' "$LAB_DIR/findings")" = 0 ]
	expect [ "$(jq '[.[] | select(.level == "ok")] | length' "$LAB_DIR/findings")" -ge 15 ]
	expect doctor_exits 0
	expect grep -q '^0 errors, 0 warnings' "$LAB_DIR/doctor.text"
	expect [ -z "$(perch status quiet)" ]
	expect perch status quiet
}

test_doctor_finds_forwarding_off() {
	in_ns lb sysctl -qw net.ipv4.ip_forward=0
	expect doctor_says error forwarding 'IPv4 forwarding is off'
	expect doctor_exits 1
	expect grep -q 'mend it: sysctl -w net.ipv4.ip_forward=1' "$LAB_DIR/doctor.text"
	expect refused perch status quiet > "$LAB_DIR/quiet"
	expect grep -q 'ALARM.*forwarding' "$LAB_DIR/quiet"
	in_ns lb sysctl -qw net.ipv4.ip_forward=1
	expect doctor_exits 0
}

test_doctor_finds_a_strict_reverse_path_filter() {
	in_ns lb sysctl -qw net.ipv4.conf.c.rp_filter=1
	expect doctor_says warning rp_filter "interface 'c'"
	in_ns lb sysctl -qw net.ipv4.conf.c.rp_filter=0
	expect doctor_says ok rp_filter 'not strict'
}

# An MTU that differs is no fault, but worth a word.
test_doctor_finds_an_mtu_that_differs() {
	in_ns lb ip link set s3 mtu 1400
	expect doctor_says notice mtu "'s3' is 1400"
	in_ns lb ip link set s3 mtu 1500
	expect doctor_says ok mtu same
}

is_attached() {
	[ "$(field "$(perch -j datapath show)" ".interfaces[] | select(.name == \"$1\") | .mode")" = tc ]
}

test_doctor_finds_a_program_of_others() {
	local bpftool=${BPFTOOL:-$(command -v bpftool || echo /usr/sbin/bpftool)} id
	in_ns lb ip link add other type veth peer name other1
	sed -i 's/^interfaces:/interfaces:\n  - { name: other, attach: tc }/' "$LAB_DIR/perch.yaml"
	expect wait_for 5 is_attached other
	expect "$bpftool" prog load "$BUILD/tests/e2e/synflood.bpf.o" "$LAB_DIR/bpf/other" type xdp
	id=$("$bpftool" -j prog show pinned "$LAB_DIR/bpf/other" | jq .id)
	expect in_ns lb "$bpftool" net attach xdpgeneric pinned "$LAB_DIR/bpf/other" dev other
	expect doctor_says warning foreign "interface 'other'.*id $id, xdp-generic"
	in_ns lb ip link del other
	rm "$LAB_DIR/bpf/other"
	reloaded five
	expect doctor_says ok foreign 'no programs of others'
}

# s2 answers by a way of its own: its SYN-ACKs never come by here.
test_doctor_finds_replies_that_bypass_this_host() {
	local asking
	ip link add short netns "p$$-s2" type veth peer name short netns "p$$-c"
	in_ns s2 ip addr add 10.9.0.1/24 dev short
	in_ns c ip addr add 10.9.0.2/24 dev short
	in_ns s2 ip link set short up
	in_ns c ip link set short up
	expect doctor_says ok replies 'come back'
	in_ns s2 ip route add 10.1.0.0/16 via 10.9.0.2
	expect perch weight set service web canary 50
	lab_spawn c "$LAB_DIR/asking" "$TOOLS/shortconn" -t 2 -w 1900 -j 40 -r 20 -s 10.1.2.0 -m 200 "$VIP4" 80
	asking=$SPAWNED
	sleep 2
	expect doctor_says error replies '10.2.0.12:7000: [0-9]+ SYN forwarded, 0 SYN-ACK seen'
	jq -c '.[] | select(.check == "replies")' "$LAB_DIR/findings"
	expect [ "$(jq -r '.[] | select(.check == "replies") | .remedy' "$LAB_DIR/findings")" = \
		"route the backends through here: on 10.2.0.12, ip route replace default via 10.2.0.1" ]
	expect [ "$(jq '[.[] | select(.check == "replies")] | length' "$LAB_DIR/findings")" = 1 ]
	# it is still known when the last of them has expired, for none was ever answered
	expect wait_for 5 is_gone "$asking"
	expect wait_for 30 doctor_says warning replies '10.2.0.12:7000: [0-9]+ SYN forwarded, 0 SYN-ACK seen'
	in_ns s2 ip link del short
	expect short -n 50 -s 10.1.1.0 -m 50 "$VIP4" 80
	expect wait_for 3 doctor_says ok replies 'come back'
}

announced_and_not() {
	five
	service near 10.7.0.9 80 connection | sed 's|\(listen: .*\)\]|\1, "[fd07::9]:80/tcp"]|; s|backends: \(.*\)\]|backends: \1, "[fd02::11]:7000"]|'
}

test_doctor_finds_an_address_that_nobody_announces() {
	in_ns lb ip addr add 10.7.0.1/24 dev c
	in_ns lb ip -6 addr add fd07::1/64 dev c nodad
	reloaded announced_and_not
	expect doctor_says error announced "near: fd07::9 is in the network of 'c'.*neighbour discovery"
	in_ns lb ip -6 addr add fd07::9/128 dev c nodad
	expect doctor_says error announced "near: 10.7.0.9 is in the network of 'c'.*ARP"
	in_ns lb ip neigh add proxy 10.7.0.9 dev c
	expect doctor_exits 0
	in_ns lb ip neigh del proxy 10.7.0.9 dev c
	expect doctor_exits 1
	in_ns lb ip addr add 10.7.0.9/32 dev c
	expect doctor_exits 0
	in_ns lb ip addr del 10.7.0.9/32 dev c
	in_ns lb ip addr del 10.7.0.1/24 dev c
	in_ns lb ip -6 addr del fd07::9/128 dev c
	in_ns lb ip -6 addr del fd07::1/64 dev c
	reloaded five
}

test_doctor_finds_too_few_clients_for_a_small_weight() {
	expect perch weight set service few canary 5
	expect short -n 30 -s 10.1.1.0 -m 3 "$VIP4" 90
	expect doctor_says warning clients 'few: 3 distinct clients for a weight of 5 %'
	expect short -n 1000 -s 10.1.1.0 -m 1000 "$VIP4" 90
	expect doctor_says ok clients 'no weight'
	expect perch weight set service few canary 0
}

test_doctor_finds_a_change_that_was_refused() {
	echo "nonsense: 1" >> "$LAB_DIR/perch.yaml"
	expect wait_for 5 doctor_says error config 'refused.*nonsense'
	sed -i '/^nonsense/d' "$LAB_DIR/perch.yaml"
	expect wait_for 5 doctor_says ok config 'in force'
}

# A mount over the file moves nothing in its directory, so nobody tells perchd.
test_doctor_finds_a_change_that_was_not_loaded() {
	sed 's/affinity: client/affinity: connection/' "$LAB_DIR/perch.yaml" > "$LAB_DIR/state/other.yaml"
	sleep 1		# until a change that is under way is looked at
	expect doctor_says ok config 'in force'
	sleep 0.5
	mount --bind "$LAB_DIR/state/other.yaml" "$LAB_DIR/perch.yaml"
	sleep 2
	expect doctor_says warning config 'not loaded: services.few.affinity'
	umount "$LAB_DIR/perch.yaml"
	expect doctor_says ok config 'in force'
}

test_doctor_works_without_perchd() {
	stop_perchd
	expect doctor_says error agent 'left out'
	expect doctor_says ok kernel Linux
	expect doctor_says ok rights 'can be loaded'
	expect doctor_says ok datapath 'clockwork runs'
	expect doctor_exits 1
	start_perchd
}

# in_terminal COLUMNS ROWS KEYS CMD...: CMD in a terminal of its own; what it
# drew goes to $LAB_DIR/drawn, the terminal's settings afterwards to .../stty.  The
# shell is one that goes on when what it ran took a ^C for itself; sh does not.
in_terminal() {
	local columns=$1 rows=$2 keys=$3
	shift 3
	{ sleep "${KEYS_AFTER:-1.5}"; printf %b "$keys"; sleep 1; } |
		SHELL=$BASH PERCH_SOCKET=$LAB_DIR/perch.sock TERM=xterm in_ns lb timeout 20 script -qec \
			"stty cols $columns rows $rows; stty -g > $LAB_DIR/stty.before; $*; echo left with \$?; stty -g > $LAB_DIR/stty" \
			/dev/null > "$LAB_DIR/drawn"
}

test_top_draws_and_leaves_the_terminal_as_it_was() {
	local ways=('q' '\003') way
	for way in "${ways[@]}"; do
		in_terminal 70 12 "$way" "$BUILD/perch" top interval 300ms
		expect grep -q $'\033\[?1049h\033\[?25l' "$LAB_DIR/drawn"
		expect grep -q $'\033\[?25h\033\[?1049l' "$LAB_DIR/drawn"
		expect grep -q 'left with 0' "$LAB_DIR/drawn"
		expect cmp "$LAB_DIR/stty.before" "$LAB_DIR/stty"
	done
	# no line is wider than the terminal, no screen higher, and it drew often
	expect [ "$(sed 's/\x1b\[H/\n/g; s/\x1b\[?*[0-9;]*[A-Za-z]//g' "$LAB_DIR/drawn" | tr -d '\r' | wc -L)" -le 70 ]
	expect [ "$(grep -o 'perch top' "$LAB_DIR/drawn" | wc -l)" -ge 4 ]
	expect [ "$(awk -v RS=$'\033\\[H' 'NR > 1 { n = gsub(/\n/, ""); if (n > m) m = n } END { print m }' "$LAB_DIR/drawn")" -le 14 ]
	expect grep -q 'web  Idle' "$LAB_DIR/drawn"
}

# drawn PATTERN: in the last screen that top drew.
drawn() {
	tail -c 3000 "$LAB_DIR/drawn" | awk -v RS=$'\033\\[H' '{ last = $0 } END { print last }' | grep -q "$1"
}

test_top_stays_when_perchd_goes_and_comes_back() {
	local top
	rm "$LAB_DIR/drawn"
	KEYS_AFTER=7 in_terminal 100 30 q "$BUILD/perch" top interval 300ms &
	top=$!
	expect wait_for 5 drawn 'web  Idle'
	stop_perchd
	expect wait_for 5 drawn 'ALARM.*does not answer'
	start_perchd
	expect wait_for 5 drawn 'web  Idle'
	expect wait "$top"
	expect grep -q 'left with 0' "$LAB_DIR/drawn"
}

test_status_without_perchd_shows_what_the_kernel_does() {
	stop_perchd
	expect refused perch status > "$LAB_DIR/status"
	start_perchd
	cat "$LAB_DIR/status"
	expect grep -q 'what the kernel does' "$LAB_DIR/status"
	expect [ "$(grep -cE '^(web|few|extra[1-3])  Idle' "$LAB_DIR/status")" = 5 ]
	expect grep -qE 'v1 +stable +50 %' "$LAB_DIR/status"
}

test_top_tells_rates_once_without_a_terminal() {
	local doc
	lab_spawn c "$LAB_DIR/asking" "$TOOLS/shortconn" -t 4 -r 200 -s 10.1.1.0 -m 200 "$VIP4" 80
	sleep 1.5
	doc=$(perch -j top service web interval 1500ms)
	echo "$doc"
	expect [ "$(field "$doc" '.services | length')" = 1 ]
	expect within "$(field "$doc" '[.services[0].versions[].connectionRate] | add | floor')" 50 350
	expect [ "$(field "$doc" .flowCapacity)" = 65536 ]
	wait_for 10 is_gone "$SPAWNED"
	perch top count 2 interval 100ms > "$LAB_DIR/top"
	cat "$LAB_DIR/top"
	expect [ "$(grep -c '^perch top' "$LAB_DIR/top")" = 2 ]
	expect refused perch top service nosuch
	expect refused perch top interval never
}

test_status_of_five_services_fits_a_terminal() {
	perch status > "$LAB_DIR/status"
	cat "$LAB_DIR/status"
	expect [ "$(wc -l < "$LAB_DIR/status")" -le 24 ]
	expect [ "$(sed 1d "$LAB_DIR/status" | wc -L)" -le 80 ]
	expect [ "$(grep -cE '^(web|few|extra[1-3])  Idle' "$LAB_DIR/status")" = 5 ]
	perch status service web > "$LAB_DIR/status"
	expect grep -q CONNECTIONS "$LAB_DIR/status"
}

test_reasons_of_zero_are_shown_when_asked_for() {
	expect refused grep -q table_full <<< "$(perch reason show)"
	expect grep -q table_full <<< "$(perch reason show all)"
	expect grep -q '^new ' <<< "$(perch reason show)"
}

run test_trace_shows_a_connection_from_syn_to_fin test_trace_without_a_filter_shows_everything_and_ends_by_limit \
	test_trace_of_two_readers_gives_each_its_own
# the rest is the same by XDP
[ "$MODE" = xdp ] || run test_trace_says_when_nothing_matches test_tracing_ends_with_a_killed_reader \
	test_tracing_ends_with_a_killed_agent test_doctor_is_content_with_a_healthy_host \
	test_doctor_finds_forwarding_off test_doctor_finds_a_strict_reverse_path_filter \
	test_doctor_finds_an_mtu_that_differs test_doctor_finds_a_program_of_others \
	test_doctor_finds_replies_that_bypass_this_host test_doctor_finds_an_address_that_nobody_announces \
	test_doctor_finds_too_few_clients_for_a_small_weight test_doctor_finds_a_change_that_was_refused \
	test_doctor_finds_a_change_that_was_not_loaded test_doctor_works_without_perchd test_top_draws_and_leaves_the_terminal_as_it_was \
	test_top_stays_when_perchd_goes_and_comes_back test_top_tells_rates_once_without_a_terminal \
	test_status_without_perchd_shows_what_the_kernel_does test_status_of_five_services_fits_a_terminal \
	test_reasons_of_zero_are_shown_when_asked_for
finish
