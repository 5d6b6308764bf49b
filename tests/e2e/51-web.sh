#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Canaries that are worse in what they answer: real nginx over HTTP and TLS,
# with everything compared that is seen, as it is where no gates are written.
# Each goes back for the signal that shows it; who answers as badly as stable
# does not.  One gets slow after three minutes.  What is slow here is so by more than
# a busy host makes anybody wait.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=rollouts.sh
. "$(dirname "$0")/rollouts.sh"

LOAD=200
LATE=180		# seconds until the last one gets slow

lab_up 2

# service NAME PORT INTERVAL [KEY]
service() {
	lab_service "$1" "$2" "$2" "steps: [50, 100], minConnections: 20, warmup: 1s, watch: 0s, interval: $3" "${4:-}"
}

services() {
	service busy 80 4m "observe: [http1]"
	service missing 81 4m "observe: [http1]"
	service alike 82 20s "observe: [http1]"
	service tail 83 4m
	service secret 443 4m
	service halfway 444 4m
	service dark 84 4m
	service ages 85 10m
}
services | perch_config tc
sed -i "s/^agent:/agent:\n  listen: 127.0.0.1:9911/" "$LAB_DIR/perch.yaml"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=perch \
	-keyout "$LAB_DIR/key" -out "$LAB_DIR/cert" 2> /dev/null || die "no certificate"

# site PORT OPTIONS LOCATION: a server of nginx.
site() {
	cat <<-END
		server {
			listen $1 $2 backlog=4096;
			add_header X-Version \$version always;
			default_type text/plain;
			$3
		}
	END
}

# nginx HOST VERSION, with its sites on standard input.
nginx() {
	local dir=$LAB_DIR/nginx-$2
	mkdir -p "$dir"
	cat > "$dir/nginx.conf" <<-END
		load_module /usr/lib/nginx/modules/ngx_http_echo_module.so;
		user root;
		worker_processes 1;
		daemon off;
		pid $dir/pid;
		error_log $dir/error.log;
		events { worker_connections 4096; }
		http {
			access_log off;
			$(lab_nginx_paths "$dir")
			reset_timedout_connection on;
			ssl_certificate $LAB_DIR/cert;
			ssl_certificate_key $LAB_DIR/key;
			map "" \$version { default $2; }
			split_clients \$request_id \$one_in_20 { 5% 1; * ""; }
			split_clients \$request_id \$one_in_25 { 4% 1; * ""; }
			$(cat)
		}
	END
	lab_spawn "$1" "$dir/log" /usr/sbin/nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log"
	wait_for 10 in_ns "$1" curl -s -o /dev/null -m 1 "http://127.0.0.1:83/" || die "nginx $2: $(cat "$dir/log.err" "$dir/error.log")"
}

OK='location / { echo_sleep 0.005; echo ok; }'
LONG='location / { echo_duplicate 200000 x; }'
# shellcheck disable=SC2016 # nginx's variables
BUSY='if ($one_in_20) { return 503; } '$OK
{
	site 80 "" "$OK"
	site 81 "" "$OK"
	site 82 "" "$BUSY"
	site 83 "" "$OK"
	site 443 ssl 'location / { echo_sleep 0.1; echo ok; }'
	site 444 ssl "$LONG"
	site 84 "" "$OK"
	site 85 "" "$OK"
} | nginx s1 v1
{
	site 80 "" "$BUSY"
	# shellcheck disable=SC2016
	site 81 "" 'if ($one_in_20) { return 404; } '"$OK"
	site 82 "" "$BUSY"
	# shellcheck disable=SC2016
	site 83 "" 'if ($one_in_25) { rewrite ^ /slow; } location = /slow { echo_sleep 0.3; echo ok; } '"$OK"
	site 443 ssl 'location / { echo_sleep 0.2; echo ok; }'
	site 444 ssl "$LONG"
	site 84 "" "$OK"
	site 85 "" "if (-f $LAB_DIR/aged) { rewrite ^ /slow; } location = /slow { echo_sleep 0.15; echo ok; } $OK"
} | nginx s2 v2
in_ns s2 sysctl -qw net.netfilter.nf_conntrack_acct=1
in_ns s2 nft -f - <<-END
	table ip faults {
		chain in {
			type filter hook input priority 0
			tcp dport 84 tcp flags & (syn | ack) == syn drop
			tcp dport 444 ct reply bytes > 60000 reject with tcp reset
		}
	}
END
# clients over TLS have many addresses too
in_ns c nft -f - <<-END
	table ip many {
		chain out {
			type nat hook postrouting priority 100
			tcp dport 443-444 snat to numgen inc mod 64 map {
				$(for i in {1..63}; do echo "$i : 10.1.7.$i,"; done) 0 : 10.1.7.64
			}
		}
	}
END
start_perchd

# load PORT SECONDS
load() {
	lab_spawn c "$LAB_DIR/load-$1" "$TOOLS/shortconn" -H -t "$2" -r 60 -j 600 -w 8000 -s 10.1.1.0 -m 2000 "$VIP4" "$1"
}
BEGAN=$SECONDS
for port in 80 81 82 83 84; do
	load $port $LOAD
done
load 85 $((LATE + 90))
# tls PORT CONNECTIONS
tls() {
	lab_spawn c "$LAB_DIR/load-$1" wrk -t 1 -c "$2" -d ${LOAD}s --timeout 5s -H 'Connection: close' "https://$VIP4:$1/"
}
tls 443 6
tls 444 3
sleep 8		# waits of stable, of which edges are made

for name in busy missing alike tail secret halfway dark ages; do
	perch rollout start $name > /dev/null || die "no rollout of $name"
done

test_one_answer_in_20_is_503() {
	goes_back busy "^gate http_5xx: .* of canary's .*, E .* >= 100" 150
}

test_one_answer_in_20_is_404() {
	goes_back missing "^gate http_4xx: .* of canary's .*, E .* >= 100" 150
}

test_statuses_are_counted() {
	local page
	page=$(in_ns lb curl -sSf http://127.0.0.1:9911/metrics)
	expect grep -Eq '^perch_http_responses_total\{service="busy",version="v2",code_class="5xx"\} [1-9]' <<< "$page"
	expect grep -Eq '^perch_http_responses_total\{service="busy",version="v1",code_class="5xx"\} 0$' <<< "$page"
	expect grep -Eq '^perch_http_responses_total\{service="busy",version="v1",code_class="2xx"\} [1-9]' <<< "$page"
	expect refused grep -q '^perch_http_responses_total{service="tail"' <<< "$page"
}

test_as_many_503_as_stable_are_no_reason() {
	expect wait_for 70 is alike .phase Succeeded
	expect is alike '.compared[] | select(.name == "http_5xx") | .canary.bad > 0 and .stable.bad > 0' true
}

test_a_slow_tail_goes_back() {
	goes_back tail "^gate response_time: .* long waits of canary's" 150
}

test_twice_as_slow_over_tls_goes_back() {
	goes_back secret "^gate response_time: .* long waits of canary's" 150
}

test_half_an_answer_over_tls_goes_back() {
	goes_back halfway "^gate (reset|no_response): .* of canary's" 150
}

test_a_canary_that_swallows_connects_goes_back() {
	goes_back dark "^10 failed connects in a row|^gate connect_failure: " 150
}

test_one_that_gets_slow_after_three_minutes_goes_back() {
	local left=$((LATE - (SECONDS - BEGAN)))
	[ "$left" -le 0 ] || sleep "$left"
	expect is ages .phase Progressing
	expect is ages '.compared[] | select(.name == "response_time") | .canary.of > 1000' true
	touch "$LAB_DIR/aged"
	goes_back ages "^gate response_time: .* long waits of canary's" 80
}

run test_one_answer_in_20_is_503 test_one_answer_in_20_is_404 test_statuses_are_counted test_as_many_503_as_stable_are_no_reason \
	test_a_slow_tail_goes_back test_twice_as_slow_over_tls_goes_back test_half_an_answer_over_tls_goes_back \
	test_a_canary_that_swallows_connects_goes_back test_one_that_gets_slow_after_three_minutes_goes_back
finish
