# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Short connections, one request each, from a real client to real servers:
# how many a second when client, balancer and servers share the machine, and
# what one takes at a rate that leaves it idle.  For bench_peers.sh.

declare -A CONNECTIONS_NAME=(
	[direct]="direct (routed)"
	[perch_xdp]="perch, XDP (tx checksums off)"
	[perch_tc]="perch, TC"
	[haproxy]="HAProxy, mode tcp"
	[nginx]="nginx stream"
)
CONNECTIONS_ORDER=(direct perch_xdp perch_tc haproxy nginx)

connections_run() {
	local round rounds=5 contender
	[ -z "$QUICK" ] || rounds=1
	RATE=1000	# of the connections whose time is taken
	nginx_stream
	# The clocks of timestamps begin elsewhere for each address that a client
	# speaks to.  If perch's clients and direct ones were the same to a server,
	# it would drop whoever's clock is behind as old, for a minute.
	connections_from 10.1.0.1 10.2.0.11
	connections_from 10.1.0.2 "$VIP4"
	for ((round = 1; round <= rounds; round++)); do
		for contender in "${CONNECTIONS_ORDER[@]}"; do
			"connections_begin_$contender"
			connections_measure "$contender"
			"connections_end_$contender"
		done
	done
}

# connections_from SOURCE TARGET: the client's address towards it.
connections_from() {
	in_ns c ip route replace "$2" via 10.0.0.1 dev eth0 src "$1" onlink || die "route to $2"
}

# cpu_of NS...: ns of CPU that the processes there have used so far.
cpu_of() {
	local ns pid
	for ns in "$@"; do
		for pid in $(ip netns pids "p$$-$ns"); do
			cat "/proc/$pid/task/"*/schedstat
		done
	done | awk '{ n += $1 } END { printf "%.0f", n }'
}

# connections_measure CONTENDER: at $TARGET.
connections_measure() {
	local seen said cpu used TIMEFORMAT='%3U %3S'
	# caches, and nginx's and HAProxy's first buffers
	in_ns c "$TOOLS/shortconn" -H -n 500 "${TARGET[@]}" > /dev/null
	cpu=$(cpu_of lb s1 s2)
	{ time said=$(in_ns c wrk -t 1 -c 64 --timeout 10s -d "$([ -n "$QUICK" ] && echo 1 || echo 2)s" \
		-H 'Connection: close' "http://${TARGET[0]}:${TARGET[1]}/"); } 2> "$LAB_DIR/wrk.cpu"
	cpu=$(($(cpu_of lb s1 s2) - cpu))
	used=$(awk -v others="$cpu" '{ printf "%.0f", others + ($1 + $2) * 1e9 }' "$LAB_DIR/wrk.cpu")
	if [[ $said = *'Socket errors'* || $said = *Non-2xx* || $said != *Requests/sec* ]]; then
		die "$1: wrk: $said"
	fi
	seen=$(in_ns c "$TOOLS/shortconn" -H -t 1 -w 10000 -r "$RATE" "${TARGET[@]}") || die "$1: $seen"
	[ "$1" = direct ] || jq -e '.names.v2.count / .ok | . > 0.02 and . < 0.09' <<< "$seen" > /dev/null ||
		die "$1: the canary has not its 5 %: $seen"
	note connections "$1" "$(jq -c '{p50, p99}' <<< "$seen")" \
		rate "$(awk '/Requests\/sec/ { print $2 }' <<< "$said")" \
		cpu "$(awk -v used="$used" '/requests in/ { printf "%.0f", used / $1 }' <<< "$said")"
}

connections_begin_direct() { TARGET=(10.2.0.11 "$PORT"); }
connections_end_direct() { :; }
# A veth hands on packets whose checksum is yet to be filled in, which a wire
# does not and XDP can't: the senders fill them in.
connections_begin_perch_xdp() {
	lab_offload tx off
	balance_perch xdp 5
	TARGET=("$VIP4" 80)
}
connections_end_perch_xdp() {
	unbalance_perch
	lab_offload tx on
}
connections_begin_perch_tc() {
	balance_perch tc 5
	TARGET=("$VIP4" 80)
}
connections_end_perch_tc() { unbalance_perch; }
connections_begin_haproxy() {
	haproxy_start 5
	TARGET=(10.0.0.1 81)
}
connections_end_haproxy() { lab_kill TERM "$HAPROXY"; }
connections_begin_nginx() { TARGET=(10.0.0.1 82); }
connections_end_nginx() { :; }

# haproxy_start CANARY: with as many threads as there are CPUs, its default.
haproxy_start() {
	cat > "$LAB_DIR/haproxy.cfg" <<-END
		global
			stats socket $LAB_DIR/haproxy.sock level admin
			maxconn 8000
		defaults
			mode tcp
			timeout connect 5s
			timeout client 30s
			timeout server 30s
		frontend web
			bind 10.0.0.1:81
			default_backend web
		backend web
			balance roundrobin
			server stable 10.2.0.11:$PORT weight $((100 - $1))
			server canary 10.2.0.12:$PORT weight $1
	END
	lab_spawn lb "$LAB_DIR/haproxy" haproxy -db -f "$LAB_DIR/haproxy.cfg"
	HAPROXY=$SPAWNED
	wait_for 10 in_ns c curl -sf -o /dev/null http://10.0.0.1:81/ || die "HAProxy: $(cat "$LAB_DIR/haproxy.err")"
}

# Idle, it costs the others nothing.
nginx_stream() {
	local dir=$LAB_DIR/nginx-stream
	mkdir -p "$dir"
	cat > "$dir/nginx.conf" <<-END
		load_module /usr/lib/nginx/modules/ngx_stream_module.so;
		user root;
		worker_processes auto;
		worker_rlimit_nofile 16384;
		daemon off;
		pid $dir/pid;
		error_log $dir/error.log;
		events { worker_connections 8192; }
		stream {
			upstream web {
				server 10.2.0.11:$PORT weight=95;
				server 10.2.0.12:$PORT weight=5;
			}
			server {
				listen 10.0.0.1:82 backlog=8192;
				proxy_pass web;
			}
		}
	END
	lab_spawn lb "$dir/log" nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log"
	wait_for 10 in_ns c curl -sf -o /dev/null http://10.0.0.1:82/ || die "nginx stream: $(cat "$dir/error.log")"
}

# What is compared with another is compared within a round.
connections_sum() {
	jq -sc "$MEDIAN"'
		[group_by(.contender)[] | {contender: .[0].contender, rate: (map(.rate) | median | round),
			low: (map(.rate) | min | round), high: (map(.rate) | max | round),
			cpu: (map(.cpu) | median), p50: (map(.p50) | median), p99: (map(.p99) | median), rounds: .}] as $all
		| def rounds($who): $all[] | select(.contender == $who).rounds;
		  def added(f): [.rounds, rounds("direct")] | transpose | map((.[0] | f) - (.[1] | f)) | median;
		  def against($who): [rounds($who), rounds("haproxy")] | transpose | map(.[0].rate / .[1].rate) | median;
		def less($who): [rounds($who), rounds("haproxy")] | transpose | map(.[1].cpu / .[0].cpu) | median;
		([against("perch_xdp", "perch_tc")] | max) as $ratio | ([less("perch_xdp", "perch_tc")] | max) as $less
		| {connections: [$all[] | . + {added_p50: added(.p50), added_p99: added(.p99)} | del(.rounds)],
		   bars: [{part: "connections", name: "connections per second, perch in its better mode / HAProxy",
			   value: ($ratio | round2), bound: "at least", bar: 1.5, reached: ($ratio >= 1.5)},
			  {part: "connections", name: "CPU per connection, HAProxy / perch in its better mode",
			   value: ($less | round2), bound: "at least", bar: 1.5, reached: ($less >= 1.5)}]}' "$LAB_DIR/connections"
}

connections_tell() {
	local contender figures
	echo "connections per second, one request each: median, lowest and highest round;"
	echo "us of CPU for each, the client's and the servers' too; us from connect to close at"
	echo "$RATE a second, and what that is above direct"
	printf '  %-32s%26s %8s %8s %8s %8s %8s\n' "" "per second" CPU p50 added p99 added
	for contender in "${CONNECTIONS_ORDER[@]}"; do
		mapfile -t figures < <(jq --arg c "$contender" '.connections[] | select(.contender == $c) | .rate, .low, .high,
			.cpu / 1000, .p50 / 1000, .added_p50 / 1000, .p99 / 1000, .added_p99 / 1000' "$LAB_DIR/sum")
		printf '  %-32s%10.0f  %6.0f ..%6.0f %8.0f %8.0f %8.0f %8.0f %8.0f\n' "${CONNECTIONS_NAME[$contender]}" "${figures[@]}"
	done
	tell_bars connections
}
