#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Real applications, each in two versions: PostgreSQL, Redis, an HTTPS site and
# DNS over UDP go through a ramp and a rollback with drain under load, with
# long sessions and with short ones, and nobody notices.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

LOAD=26				# seconds that it lasts
LEAST=10000			# operations of each application
PG=/usr/lib/postgresql/15/bin
SERVICES=(pg redis site dns)
lab_up 2
chmod 711 "$LAB_DIR"

# as_nobody CMD...: PostgreSQL refuses root
as_nobody() {
	setpriv --reuid nobody --regid nogroup --clear-groups -- "$@"
}

postgres_make() {
	local dir=$LAB_DIR/pg
	mkdir "$dir" && chown nobody:nogroup "$dir"
	as_nobody "$PG/initdb" -D "$dir/data" -U perch -A trust -N --no-instructions > "$dir.log" 2>&1 ||
		die "initdb: $(cat "$dir.log")"
}

# postgres NS VERSION
postgres() {
	local dir=$LAB_DIR/pg-$2
	cp -a "$LAB_DIR/pg" "$dir"
	lab_spawn "$1" "$dir.out" setpriv --reuid nobody --regid nogroup --clear-groups -- "$PG/postgres" -D "$dir/data" \
		-k "$dir" -c listen_addresses='*' -c fsync=off -c max_connections=60 -c shared_buffers=32MB
	# who may come from elsewhere
	wait_for 20 in_ns "$1" psql -h "$dir" -U perch -d postgres -c "create table version as select '$2'::text as name" ||
		die "postgres $2 does not start: $(cat "$dir.out.err")"
	in_ns "$1" pgbench -h "$dir" -U perch -i -q -s 1 postgres > "$dir.init" 2>&1 || die "pgbench -i: $(cat "$dir.init")"
}

# redis NS VERSION
redis() {
	lab_spawn "$1" "$LAB_DIR/redis-$2" redis-server --port 6379 --protected-mode no --save '' --appendonly no \
		--dir "$LAB_DIR" --tcp-backlog 1024
	wait_for 10 in_ns "$1" redis-cli set version "$2" || die "redis $2 does not start: $(cat "$LAB_DIR/redis-$2")"
}

# site NS VERSION
site() {
	local dir=$LAB_DIR/site-$2
	mkdir -p "$dir/body"
	cat > "$dir/nginx.conf" <<-END
		user root;
		worker_processes 1;
		daemon off;
		pid $dir/pid;
		events { worker_connections 4096; }
		http {
			access_log off;
			$(lab_nginx_paths "$dir")
			keepalive_requests 1000000;
			ssl_certificate $LAB_DIR/cert.pem;
			ssl_certificate_key $LAB_DIR/key.pem;
			server {
				listen 443 ssl backlog=4096;
				default_type text/plain;
				location / { return 200 "$2\n"; }
			}
		}
	END
	lab_spawn "$1" "$dir/log" nginx -p "$dir" -c "$dir/nginx.conf" -e "$dir/error.log"
	wait_for 10 in_ns "$1" curl -skf -o /dev/null https://127.0.0.1/ || die "nginx $2: $(cat "$dir/error.log")"
}

# dns NS VERSION
dns() {
	lab_spawn "$1" "$LAB_DIR/dns-$2" dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --no-resolv \
		--no-hosts --pid-file= --cache-size=0 --dns-forward-max=1000 --address=/www.example/192.0.2.80 \
		--txt-record="version.example,$2"
	wait_for 10 in_ns "$1" dig +short +time=1 @127.0.0.1 txt version.example || die "dnsmasq: $(cat "$LAB_DIR/dns-$2.err")"
}

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=www.example \
	-addext "subjectAltName=IP:$VIP4" -keyout "$LAB_DIR/key.pem" -out "$LAB_DIR/cert.pem" 2> "$LAB_DIR/openssl.err" ||
	die "openssl: $(cat "$LAB_DIR/openssl.err")"
echo "www.example A" > "$LAB_DIR/queries"
postgres_make
for server in postgres redis site dns; do
	$server s1 v1
	$server s2 v2
done

service() {
	cat <<-END
		  - name: $1
		    listen: ["$VIP4:$2"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: [10.2.0.11] }
		      - { name: v2, role: canary, backends: [10.2.0.12] }
		    rollback: { established: drain, drainTimeout: 60s }
		    rollout: { steps: [20, 50, 90], interval: 4s, minConnections: 1, watch: 1h }
	END
}
for data in pg-v1/data pg-v2/data; do
	echo "host all all 0.0.0.0/0 trust" >> "$LAB_DIR/$data/pg_hba.conf"
	kill -HUP "$(head -n 1 "$LAB_DIR/$data/postmaster.pid")"
done
{
	service pg 5432/tcp
	service redis 6379/tcp
	service site 443/tcp
	service dns 53/udp
} | perch_config "$MODE"
start_perchd

# load NAME CMD...: as long as the load lasts, its output in $LAB_DIR/load-NAME
declare -A LOADS
load() {
	local name=$1
	shift
	in_ns c timeout $((LOAD + 20)) "$@" > "$LAB_DIR/load-$name" 2>&1 &
	LOADS[$name]=$!
}

# over and over for as long as the load lasts; stops at the first failure
again() {
	local until=$((SECONDS + LOAD)) n=0
	while [ "$SECONDS" -lt "$until" ]; do
		"$@" || { echo "failed after $n rounds"; return 1; }
		n=$((n + 1))
	done
	echo "rounds: $n"
}

redis_round() {
	redis-benchmark -h "$VIP4" -c 10 -n 500 -k "$1" -t set,get -q --csv 2>&1 | grep -ci error && return 1
	return 0
}
# new sockets each time: to perch they are new clients
dns_round() {
	dnsperf -s "$VIP4" -d "$LAB_DIR/queries" -n 300 -c 30 -q 20 2>&1 | grep -q 'Queries lost: *0 '
}
export -f again redis_round dns_round
export LOAD VIP4 LAB_DIR

begin_load() {
	load pg-long pgbench -h "$VIP4" -U perch -n -S -c 6 -T "$LOAD" postgres
	load pg-short pgbench -h "$VIP4" -U perch -n -S -C -c 2 -T "$LOAD" postgres
	load redis-short bash -c 'again redis_round 0'
	load redis-long redis-cli -h "$VIP4" -r $((LOAD * 40)) -i 0.02 get version
	load site-long wrk -t 1 -c 10 -d "${LOAD}s" "https://$VIP4/"
	load site-short wrk -t 1 -c 4 -d "${LOAD}s" -H 'Connection: close' "https://$VIP4/"
	load dns-long dnsperf -s "$VIP4" -d "$LAB_DIR/queries" -c 20 -l "$LOAD" -q 20 -Q 1000
	load dns-short bash -c 'again dns_round'
}

# what perch counted as the canary's connections
canaries() {
	version "$1" v2 .connections
}

rolled_back() {
	phase_is "$1" RolledBack
}

test_load_goes_through_a_ramp_and_a_rollback() {
	local s
	begin_load
	sleep 1
	for s in "${SERVICES[@]}"; do
		expect perch rollout start "$s"
	done
	# 20, 50 and 90 percent, 4 s each
	for s in "${SERVICES[@]}"; do
		expect wait_for 20 weight_is "$s" 90
	done
	sleep 3
	for s in "${SERVICES[@]}"; do
		expect [ "$(canaries "$s")" -gt 0 ]
		say "$s: the canary had $(canaries "$s") connections"
	done
	expect perch rollback all drain
	for s in "${SERVICES[@]}"; do
		expect rolled_back "$s"
	done
}

weight_is() {
	[ "$(version "$1" v2 '.weight | floor')" = "$2" ]
}

# same NAME CMD...: a hundred new sessions, each with stable
same() {
	local name=$1 answers
	shift
	answers=$(for ((i = 0; i < 100; i++)); do in_ns c "$@"; done 2>&1 | tr -d '" \n' | sed 's/v1//g')
	[ -z "$answers" ] && return 0
	echo "$name: $answers"
	return 1
}

test_new_sessions_under_load_are_all_with_stable() {
	expect same pg psql -h "$VIP4" -U perch -d postgres -Atc 'select name from version'
	expect same redis redis-cli -h "$VIP4" get version
	expect same site curl -sS --cacert "$LAB_DIR/cert.pem" "https://$VIP4/"
	# from an address that had no flow before: a port that comes again is one
	expect same dns dig -b 10.1.9.9 +short +time=2 +tries=1 "@$VIP4" txt version.example
}

# done_well NAME: ended by itself, without a failure
done_well() {
	local status=0
	wait "${LOADS[$1]}" || status=$?
	cat "$LAB_DIR/load-$1"
	[ "$status" = 0 ]
}

# at_least NAME OPERATIONS
at_least() {
	say "$1: $2 operations"
	[ "$2" -ge "$LEAST" ]
}

number() {
	sed -nE "s/$2/\1/p" "$LAB_DIR/load-$1" | head -n 1
}

test_postgresql_had_no_error() {
	local long short
	for l in pg-long pg-short; do
		expect done_well "$l"
		expect [ "$(number "$l" '^number of failed transactions: ([0-9]+).*')" = 0 ]
	done
	long=$(number pg-long '^number of transactions actually processed: ([0-9]+).*')
	short=$(number pg-short '^number of transactions actually processed: ([0-9]+).*')
	expect at_least "pg, long sessions" "$long"
	say "pg, a session each: $short operations"
	expect [ "$short" -gt 100 ]
	expect refused grep -iE 'error|fatal|could not|aborted' "$LAB_DIR/load-pg-long" "$LAB_DIR/load-pg-short"
}

test_redis_had_no_error() {
	for l in redis-long redis-short; do
		expect done_well "$l"
		expect refused grep -iE 'error|refused|reset|closed' "$LAB_DIR/load-$l"
	done
	expect at_least "redis, a session each" $(($(number redis-short '^rounds: ([0-9]+)') * 1000))
	# the long session had one server for all of its life
	expect [ "$(sort -u "$LAB_DIR/load-redis-long" | wc -l)" = 1 ]
	expect [ "$(wc -l < "$LAB_DIR/load-redis-long")" = $((LOAD * 40)) ]
}

test_the_https_site_had_no_error() {
	for l in site-long site-short; do
		expect done_well "$l"
		expect refused grep -E 'Socket errors|Non-2xx' "$LAB_DIR/load-$l"
	done
	expect at_least "https, long sessions" "$(number site-long '^ *([0-9]+) requests in .*')"
	say "https, a session each: $(number site-short '^ *([0-9]+) requests in .*') operations"
	expect [ "$(number site-short '^ *([0-9]+) requests in .*')" -gt 1000 ]
}

test_dns_lost_no_query() {
	local completed
	for l in dns-long dns-short; do
		expect done_well "$l"
	done
	completed=$(number dns-long '^ *Queries completed: *([0-9]+).*')
	expect at_least "dns, long-lived clients" "$completed"
	expect [ "$(number dns-long '^ *Queries lost: *([0-9]+).*')" = 0 ]
	expect [ "$(number dns-long '^ *Response codes: *NOERROR ([0-9]+).*')" = "$completed" ]
	say "dns, new clients: $(($(number dns-short '^rounds: ([0-9]+)') * 300)) operations"
	expect [ "$(number dns-short '^rounds: ([0-9]+)')" -gt 10 ]
}

# by the servers' own word
test_the_canary_served_some_of_each() {
	expect [ "$(in_ns s2 psql -h "$LAB_DIR/pg-v2" -U perch -d postgres -Atc \
		"select seq_scan + idx_scan from pg_stat_user_tables where relname = 'pgbench_accounts'")" -gt 100 ]
	expect [ "$(in_ns s2 redis-cli info stats | tr -d '\r' | sed -n 's/^total_commands_processed://p')" -gt 100 ]
	for s in "${SERVICES[@]}"; do
		expect [ "$(canaries "$s")" -gt 0 ]
	done
}

run test_load_goes_through_a_ramp_and_a_rollback test_new_sessions_under_load_are_all_with_stable \
	test_postgresql_had_no_error test_redis_had_no_error test_the_https_site_had_no_error test_dns_lost_no_query \
	test_the_canary_served_some_of_each
finish
