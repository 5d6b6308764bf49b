#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What perch is told from outside: values that are pushed, over the socket and
# with a token over TCP, and gates that look at them, at a real Prometheus that
# scrapes perchd, and at a URL.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
TOKEN=$LAB_DIR/token
echo 'token-of-the-test' > "$TOKEN"
chmod 600 "$TOKEN"

# service NAME PORT-OF-CANARY GATE...: one with gates from outside.
service() {
	local name=$1 port=$2 address=$3
	shift 3
	cat <<-END
		  - name: $name
		    listen: ["192.0.2.$address:80/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:$port"] }
		    rollout:
		      steps: [40, 60]
		      interval: 3s
		      minConnections: 1
		      watch: 0s
		      reflex: { connectFailures: 0 }
		      gates:
	END
	printf '        - { %s }\n' "$@"
}

# shellcheck disable=SC2016 # perchd puts them in
BAD='sum(rate(perch_connect_failures_total{service=\"$service\",version=\"$version\"}[5s]))'
# shellcheck disable=SC2016
ALL='sum(rate(perch_connections_total{service=\"$service\",version=\"$version\"}[5s]))'
{
	service web 7000 10 "name: rate, metric: rate, min: 98, threshold: 2, checkInterval: 1s, maxAge: 5s"
	service shop 7009 11 "name: errors, prometheus: 'http://127.0.0.1:9090/', query: \"$BAD / $ALL\", max: 0.2, threshold: 2, checkInterval: 1s"
	service mail 7000 12 "name: quality, url: 'http://127.0.0.1:9400/\$version.json', pointer: /result/0/score, min: 0.9, checkInterval: 1s, maxAge: 2s, action: hold"
	service news 7000 13 "name: wait, metric: wait, compare: mannWhitney, direction: increase, checkInterval: 1s, action: rollback"
	service safe 7000 14 "name: score, url: 'https://127.0.0.1:9443/', pointer: /score, min: 1, checkInterval: 1s, caFile: $LAB_DIR/tls.pem, headers: { Authorization: { file: $LAB_DIR/score.token } }"
	service slow 7000 15 "name: hung, url: 'http://127.0.0.1:9600/', min: 1, checkInterval: 6s"
} | perch_config "$MODE"
sed -i "s|^agent:|agent:\n  listen: 127.0.0.1:9911\n  metricsTokenFile: $TOKEN|" "$LAB_DIR/perch.yaml"
start_perchd

# pushed NAME FILTER: of the series of that name.
pushed() {
	field "$(perch -j metric show web)" ".[] | select(.name == \"$1\") | $2"
}

# post STATUS BODY [HEADER]: over TCP.
post() {
	local got
	got=$(in_ns lb curl -sS -m 10 -o "$LAB_DIR/answer" -D "$LAB_DIR/head" -w '%{http_code}' ${3:+-H "$3"} -d "$2" \
		http://127.0.0.1:9911/v1/metrics)
	[ "$got" = "$1" ] && return 0
	echo "$2: $got, not $1: $(cat "$LAB_DIR/answer")"
	return 1
}

VALUE='{"service":"web","version":"canary","name":"rate","value":97.5}'

test_values_are_pushed_and_shown() {
	expect perch metric push service web version canary name rate value 98.5
	expect perch metric push service web version v2 name rate value 99.25
	expect perch -- metric push service web version v1 name rate value -1e-3
	expect [ "$(pushed rate 'select(.version == "v2") | "\(.value) \(.count)"')" = "99.25 2" ]
	expect [ "$(pushed rate 'select(.version == "v1") | .value')" = "-0.001" ]
	expect [ "$(pushed rate 'select(.version == "v1") | .age < 60')" = true ]
	expect refused perch metric push service web version v9 name rate value 1
	expect refused perch metric push service other version v1 name rate value 1
	expect refused perch metric push service web version v1 name 'a b' value 1
	expect refused perch metric push service web version v1 name rate value nan
}

test_tcp_takes_values_with_the_token_alone() {
	expect post 401 "$VALUE"
	expect grep -qi '^www-authenticate: bearer' "$LAB_DIR/head"
	expect post 403 "$VALUE" 'Authorization: Bearer wrong'
	expect post 403 "$VALUE" 'Authorization: Basic token-of-the-test'
	expect post 200 "$VALUE" 'Authorization: Bearer token-of-the-test'
	expect [ "$(pushed rate 'select(.version == "v2") | .value')" = 97.5 ]
	expect post 400 '{"service":"web","version":"v2","name":"rate"}' 'Authorization: Bearer token-of-the-test'
	echo 'another' > "$TOKEN"
	expect post 403 "$VALUE" 'Authorization: Bearer token-of-the-test'
	expect post 200 "$VALUE" 'Authorization: Bearer another'
	rm "$TOKEN"
	expect post 503 "$VALUE" 'Authorization: Bearer another'
	# nothing but the values
	expect [ "$(in_ns lb curl -sS -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer another' http://127.0.0.1:9911/v1/metrics)" = 403 ]
	expect [ "$(in_ns lb curl -sS -o /dev/null -w '%{http_code}' -H 'Authorization: Bearer another' http://127.0.0.1:9911/v1/status)" = 403 ]
}

test_token_is_shown_nowhere() {
	expect refused grep -rE 'token-of-the-test|another' "$LAB_DIR/perchd.err"
	expect refused grep -qE 'token-of-the-test|another' <(perch -j config show; perch -j status; perch -j event show)
}

start_prometheus() {
	cat > "$LAB_DIR/prometheus.yaml" <<-END
		global: { scrape_interval: 1s, scrape_timeout: 1s }
		scrape_configs: [{ job_name: perch, static_configs: [{ targets: ["127.0.0.1:9911"] }] }]
	END
	lab_spawn lb "$LAB_DIR/prometheus" prometheus --config.file="$LAB_DIR/prometheus.yaml" --storage.tsdb.path="$LAB_DIR/tsdb" \
		--web.listen-address=127.0.0.1:9090
	expect wait_for 30 in_ns lb curl -sf -o /dev/null http://127.0.0.1:9090/-/ready
}

# outside SERVICE FILTER: of its gate.
outside() {
	field "$(perch -j rollout show "$1")" ".outside[0] | $2"
}

rollout_is() {
	field "$(perch -j rollout show "$1")" "$2" | grep -qE -- "$3"
}

knock() {
	short -n 60 -s 10.1.1.0 -m 60 "192.0.2.$1" 80 > "$LAB_DIR/knock-$1"
}

# until_phase SERVICE ADDRESS PHASE: with connections all the time.
until_phase() {
	local end=$((SECONDS + 40))
	while [ "$SECONDS" -lt "$end" ]; do
		phase_is "$1" "$3" && return 0
		knock "$2"
		[ -z "${EACH:-}" ] || $EACH
	done
	perch rollout why "$1"
	return 1
}

push_rate() {
	perch metric push service web version canary name rate value "$RATE" > "$LAB_DIR/pushed"
}

test_pushed_values_roll_back_and_promote() {
	local RATE=91.5 EACH=push_rate
	expect perch rollout start web
	expect until_phase web 10 RolledBack
	expect rollout_is web .reason '^gate rate: 91.5 is below min 98, [2-9] checks failed in a row$'
	expect [ "$(outside web '"\(.verdict) \(.value) \(.underAlpha)"')" = "fail 91.5 false" ]
	RATE=99
	expect perch rollout retry web
	expect until_phase web 10 Succeeded
}

# The canary's port is closed, and only Prometheus tells: no gate is on signals.
test_prometheus_rolls_back() {
	start_prometheus
	expect perch rollout start shop
	expect until_phase shop 11 RolledBack
	expect rollout_is shop .reason '^gate errors: (1|0.[0-9]*) is above max 0.2, '
	expect [ "$(outside shop .source)" = prometheus ]
	say "$(perch rollout why shop | tail -n 1)"
}

write_score() {
	mkdir -p "$LAB_DIR/scores"
	echo "{\"result\":[{\"score\":\"$1\"}]}" > "$LAB_DIR/scores/v2.json.new"
	mv "$LAB_DIR/scores/v2.json.new" "$LAB_DIR/scores/v2.json"
}

start_scores() {
	lab_spawn lb "$LAB_DIR/scores.log" python3 -m http.server -d "$LAB_DIR/scores" -b 127.0.0.1 9400
	SCORES=$SPAWNED
	wait_for 20 in_ns lb curl -sf -o /dev/null http://127.0.0.1:9400/v2.json
}

blocked() {
	knock 12
	rollout_is mail .blockedBy "$1"
}

test_url_holds_while_it_is_silent_or_bad() {
	write_score 0.95
	expect perch rollout start mail
	expect wait_for 20 blocked "^gate quality: .*(refused|connect)"
	expect [ "$(outside mail .verdict)" = inconclusive ]
	expect start_scores
	expect wait_for 20 rollout_is mail .step '^2$'
	write_score 0.5
	expect wait_for 10 blocked '^gate quality: 0.5 is below min 0.9, [12] of 3 checks failed'
	expect until_phase mail 12 Holding
	expect rollout_is mail .reason '^gate quality: 0.5 is below min 0.9'
	write_score 0.97
	expect until_phase mail 12 Succeeded
	lab_kill TERM "$SCORES"
}

# Answers only to who has the token.
start_secure() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=score \
		-addext subjectAltName=IP:127.0.0.1 -keyout "$LAB_DIR/tls.key" -out "$LAB_DIR/tls.pem" 2> "$LAB_DIR/openssl"
	lab_spawn lb "$LAB_DIR/secure" python3 -c '
import http.server, ssl, sys
class Score(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.headers.get("Authorization") == "Bearer sesame"
        self.send_response(200 if known else 401)
        self.end_headers()
        self.wfile.write(b"{\"score\": 1}")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 9443), Score)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/tls.pem", sys.argv[1] + "/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()' "$LAB_DIR"
	SECURE=$SPAWNED
	wait_for 20 in_ns lb curl -s --cacert "$LAB_DIR/tls.pem" -o /dev/null https://127.0.0.1:9443/
}

test_headers_come_from_files_and_trust_too() {
	echo 'Bearer wrong' > "$LAB_DIR/score.token"
	expect start_secure
	cp "$LAB_DIR/tls.pem" "$LAB_DIR/tls.right"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=other \
		-keyout "$LAB_DIR/other.key" -out "$LAB_DIR/tls.pem" 2> "$LAB_DIR/openssl"
	expect perch rollout start safe
	expect wait_for 20 rollout_is safe .blockedBy 'gate score: SSL certificate problem'
	cp "$LAB_DIR/tls.right" "$LAB_DIR/tls.pem"
	expect wait_for 20 rollout_is safe .blockedBy 'gate score: the answer has status 401'
	echo 'Bearer sesame' > "$LAB_DIR/score.token"
	expect until_phase safe 14 Succeeded
	expect refused grep -q 'sesame' "$LAB_DIR/perchd.err" <(perch -j config show; perch -j rollout show safe)
	lab_kill TERM "$SECURE"
}

# It takes connections, and requests, and never answers.
start_hung() {
	lab_spawn lb "$LAB_DIR/hung" python3 -c '
import socket, time
server = socket.create_server(("127.0.0.1", 9600), backlog=64)
time.sleep(3600)'
	wait_for 20 in_ns lb grep -qi '0100007F:2580 00000000:0000 0A' /proc/net/tcp
}

# perchd beats every second and looks at rollouts ten times a second meanwhile.
test_a_server_that_hangs_blocks_its_rollout_alone() {
	local i began took most=0
	expect start_hung
	expect perch rollout start slow
	for i in 1 2 3 4 5 6 7 8 9 10; do
		began=$(monotonic)
		expect perch -j status > "$LAB_DIR/status"
		took=$(($(monotonic) - began))
		[ "$took" -le "$most" ] || most=$took
	done
	say "the slowest of 10 answers took $((most / 1000000)) ms"
	expect [ "$most" -lt 3000000000 ]	# a request takes its 6 s
	expect wait_for 30 rollout_is slow .blockedBy 'gate hung: .*[Tt]imed? ?out'
	expect [ "$(version slow v2 .weight)" = 40 ]
	expect perch rollout abort slow
}

# The agent is killed while the gate fails and comes back to silence: it goes
# on where it was, and silence passes nobody.
test_a_killed_agent_passes_nobody_without_a_value() {
	sed -i 's/interval: 3s/interval: 1s/' "$LAB_DIR/perch.yaml"
	expect perch rollback web comment 'v1 again'
	expect perch rollout retry web
	expect perch metric push service web version canary name rate value 90
	expect wait_for 10 rollout_is web .blockedBy '^gate rate: 90 is below min 98, 1 of 2 checks failed'
	stop_perchd KILL
	start_perchd
	expect perch -j metric show web
	expect knock 10
	expect wait_for 10 rollout_is web .blockedBy '^gate rate: no new rate was pushed for v2'
	sleep 2
	expect rollout_is web .step '^1$'
	expect perch metric push service web version canary name rate value 99
	local RATE=99 EACH=push_rate
	expect until_phase web 10 Succeeded
}

WAIT_N=0
push_waits() {
	WAIT_N=$(((WAIT_N + 7) % 10))
	perch metric push service news version stable name wait value "1.$WAIT_N" > "$LAB_DIR/pushed"
	perch metric push service news version canary name wait value "9.$WAIT_N" > "$LAB_DIR/pushed"
}

test_series_are_compared_at_the_end_of_a_step() {
	local EACH=push_waits
	sed -i 's/interval: 3s/interval: 7s/' "$LAB_DIR/perch.yaml"
	expect wait_for 10 took_interval
	expect perch rollout start news
	expect until_phase news 13 RolledBack
	expect rollout_is news .reason '^score 0 is below marginal \(75\): gate wait$'
	expect [ "$(outside news .test.classification)" = High ]
}

took_interval() {
	perch -j rollout plan news | jq -e '.stages[0].seconds == 7' > /dev/null
}

run test_values_are_pushed_and_shown test_tcp_takes_values_with_the_token_alone test_token_is_shown_nowhere \
	test_pushed_values_roll_back_and_promote test_prometheus_rolls_back test_url_holds_while_it_is_silent_or_bad \
	test_series_are_compared_at_the_end_of_a_step test_headers_come_from_files_and_trust_too \
	test_a_server_that_hangs_blocks_its_rollout_alone test_a_killed_agent_passes_nobody_without_a_value
finish
