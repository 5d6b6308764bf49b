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
	for ((round = 1; round <= rounds; round++)); do
		for contender in "${CONNECTIONS_ORDER[@]}"; do
			"connections_begin_$contender"
			connections_measure "$contender"
			"connections_end_$contender"
		done
	done
}

# connections_measure CONTENDER: at $TARGET.
connections_measure() {
	local seen said
	# caches, and nginx's and HAProxy's first buffers
	in_ns c "$TOOLS/shortconn" -H -n 500 "${TARGET[@]}" > /dev/null
	said=$(in_ns c wrk -t 1 -c 64 -d "$([ -n "$QUICK" ] && echo 1 || echo 2)s" -H 'Connection: close' \
		"http://${TARGET[0]}:${TARGET[1]}/")
	if [[ $said = *'Socket errors'* || $said = *Non-2xx* || $said != *Requests/sec* ]]; then
		die "$1: wrk: $said"
	fi
	seen=$(in_ns c "$TOOLS/shortconn" -H -t 1 -r "$RATE" "${TARGET[@]}") || die "$1: $seen"
	[ "$1" = direct ] || jq -e '.names.v2.count / .ok | . > 0.02 and . < 0.09' <<< "$seen" > /dev/null ||
		die "$1: the canary has not its 5 %: $seen"
	note connections "$1" "$(jq -c '{p50, p99}' <<< "$seen")" \
		rate "$(awk '/Requests\/sec/ { print $2 }' <<< "$said")"
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

connections_sum() {
	jq -sc "$MEDIAN"'
		[group_by(.contender)[] | {contender: .[0].contender, rate: (map(.rate) | median | round),
			low: (map(.rate) | min | round), high: (map(.rate) | max | round),
			p50: (map(.p50) | median), p99: (map(.p99) | median)}] as $sum
		| ($sum[] | select(.contender == "direct")) as $direct
		| (([$sum[] | select(.contender | startswith("perch")).rate] | max) /
		   ($sum[] | select(.contender == "haproxy").rate)) as $ratio
		| {connections: [$sum[] | . + {added_p50: (.p50 - $direct.p50), added_p99: (.p99 - $direct.p99)}],
		   bars: [{part: "connections", name: "connections per second, perch in its better mode / HAProxy",
			   value: ($ratio | round2), bound: "at least", bar: 1.5, reached: ($ratio >= 1.5)}]}' "$LAB_DIR/connections"
}

connections_tell() {
	local contender figures
	echo "connections per second, one request each: median, lowest and highest round;"
	echo "us from connect to close at $RATE a second, and what that is above direct"
	printf '  %-32s%26s %8s %8s %8s %8s\n' "" "per second" p50 added p99 added
	for contender in "${CONNECTIONS_ORDER[@]}"; do
		mapfile -t figures < <(jq --arg c "$contender" '.connections[] | select(.contender == $c) | .rate, .low, .high,
			.p50 / 1000, .added_p50 / 1000, .p99 / 1000, .added_p99 / 1000' "$LAB_DIR/sum")
		printf '  %-32s%10.0f  %6.0f ..%6.0f %8.0f %8.0f %8.0f %8.0f\n' "${CONNECTIONS_NAME[$contender]}" "${figures[@]}"
	done
	tell_bars connections
}
