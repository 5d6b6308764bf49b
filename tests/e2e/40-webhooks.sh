#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Webhooks: a real receiver that checks the signature, a real Alertmanager, one
# that says no and then yes, one that is not there, and one that is asked before
# each step; and that the dashboard and the alert rules ask for what is served.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
HOOKS=$LAB_DIR/hooks
DEPLOY=$(dirname "$0")/../../deploy
mkdir "$HOOKS"
echo 'sign-with-this' > "$HOOKS/secret"
echo 'http://127.0.0.1:9401/services/T0/secret-path' > "$LAB_DIR/slack.url"
: > "$HOOKS/log"

# service NAME ADDRESS WEBHOOK...
service() {
	local name=$1 address=$2
	shift 2
	cat <<-END
		  - name: $name
		    listen: ["192.0.2.$address:80/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
		    rollout:
		      steps: [40, 60]
		      interval: 1s
		      minConnections: 1
		      watch: 0s
		      reflex: { connectFailures: 0 }
		      gates: [{ signal: connect_failure, max: 50 }]
		      webhooks:
	END
	printf '        - { %s }\n' "$@"
}

{
	# shellcheck disable=SC2016 # perchd puts them in
	service web 10 "url: 'http://127.0.0.1:9401/json/\$service/\$version', secretFile: $HOOKS/secret" \
		"urlFile: $LAB_DIR/slack.url, format: slack, events: [rollback, promote]" \
		"url: 'http://127.0.0.1:9093/api/v2/alerts', format: alertmanager, events: [rollback]"
	service shop 11 "url: 'http://127.0.0.1:9401/gate', gate: step, secretFile: $HOOKS/secret"
	service mail 12 "url: 'http://127.0.0.1:9409/', retries: 1, timeout: 1s"
} | perch_config "$MODE"
sed -i "s|^agent:|agent:\n  listen: 127.0.0.1:9911|" "$LAB_DIR/perch.yaml"
start_perchd

answer() {
	echo "$1" > "$HOOKS/status"
}

start_receiver() {
	answer 200
	lab_spawn lb "$LAB_DIR/receiver" python3 "$TOOLS_SRC/receiver.py" 9401 "$HOOKS"
	wait_for 20 in_ns lb curl -s -o /dev/null http://127.0.0.1:9401/
}
TOOLS_SRC=$(dirname "$0")/tools

start_alertmanager() {
	printf 'route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n' > "$LAB_DIR/alertmanager.yaml"
	lab_spawn lb "$LAB_DIR/alertmanager" prometheus-alertmanager --config.file="$LAB_DIR/alertmanager.yaml" \
		--storage.path="$LAB_DIR/alerts" --cluster.listen-address= --web.listen-address=127.0.0.1:9093
	wait_for 30 in_ns lb curl -sf -o /dev/null http://127.0.0.1:9093/-/ready
}

# alerted FILTER: has Alertmanager an alert for which it is true?
alerted() {
	in_ns lb curl -s http://127.0.0.1:9093/api/v2/alerts | jq -e "any(.[]; $1)" > /dev/null
}

# heard FILTER: is there a request in the log for which it is true?
heard() {
	jq -es "any(.[]; $1)" "$HOOKS/log" > /dev/null
}

knock() {
	short -n 40 -s 10.1.1.0 -m 40 "192.0.2.$1" 80 > "$LAB_DIR/knock"
}

knock_until() {
	local end=$((SECONDS + 30))
	while [ "$SECONDS" -lt "$end" ]; do
		phase_is "$1" "$3" && return 0
		is_gone "$PERCHD" && return 1
		knock "$2"
	done
	return 1
}

test_events_are_told_in_every_format() {
	expect start_receiver
	expect start_alertmanager
	expect perch rollout start web
	expect wait_for 10 heard '.path == "/json/web/v2" and .event == "step" and .signed == "yes" and .body.event == "step" and
		.body.service == "web" and .body.to == "40"'
	expect perch rollback web comment 'a <b> & c'
	expect wait_for 10 heard '.path == "/json/web/v2" and .event == "rollback" and .signed == "yes" and .body.comment == "a <b> & c"'
	expect wait_for 10 heard '.path == "/services/T0/secret-path" and .signed == "no" and
		(.body.text | startswith("web: rollback v2 -&gt; v1")) and (.body.text | endswith("a &lt;b&gt; &amp; c"))'
	expect wait_for 10 alerted '.labels.alertname == "perch" and .labels.event == "rollback" and .labels.service == "web" and
		.labels.severity == "critical" and (.annotations.summary | startswith("web: rollback v2 -> v1")) and
		.status.state == "active"'
	expect refused heard '.path == "/services/T0/secret-path" and (.body.text | test("step"))'
	expect refused grep -r 'secret-path\|sign-with-this' "$LAB_DIR/perchd.err"
	expect refused grep -q 'secret-path\|sign-with-this' <(perch -j config show; perch -j status; perch -j rollout show web)
}

test_messages_are_tried_again() {
	: > "$HOOKS/log"
	answer 503
	expect perch rollout retry web
	expect wait_for 10 heard '.event == "step" and .status == 503'
	answer 200
	expect wait_for 20 heard '.event == "step" and .status == 200 and .signed == "yes"'
	expect knock_until web 10 Succeeded
	expect wait_for 10 heard '.path == "/services/T0/secret-path" and (.body.text | startswith("web: promote v1 -&gt; v2"))'
}

failures() {
	in_ns lb curl -s http://127.0.0.1:9911/metrics | awk '$1 == "perch_webhook_failures_total{service=\"mail\"}" { print $2 }'
}

gave_up() {
	[ "$(failures)" -ge 1 ]
}

# Nobody listens there; the rollout does not mind.
test_a_receiver_that_is_gone_is_counted_and_stops_nothing() {
	expect [ "$(failures)" = 0 ]
	expect perch rollout start mail
	expect knock_until mail 12 Succeeded
	expect wait_for 20 gave_up
	expect wait_for 10 grep -q 'a message to a webhook was given up' <(perch status)
	expect [ "$(field "$(perch -j status)" '[.alarms[] | select(.kind == "webhook")] | length')" = 1 ]
}

blocked() {
	perch -j rollout show shop | jq -r .blockedBy | grep -q "$1"
}

test_a_gate_is_asked_before_each_step() {
	: > "$HOOKS/log"
	answer 403
	expect perch rollout start shop
	expect wait_for 10 blocked '^webhook before a step answered 403$'
	expect [ "$(version shop v2 .weight)" = 0 ]
	expect heard '.path == "/gate" and .event == "gate" and .signed == "yes" and .body.step == 1 and .body.from == 0 and .body.to == 40'
	expect no_canary 192.0.2.11 80 v2 200
	answer 200
	expect knock_until shop 11 Succeeded
	expect heard '.path == "/gate" and .status == 200 and .body.step == 2 and .body.from == 40 and .body.to == 60'
	expect [ "$(jq -s '[.[] | select(.path == "/gate" and .status == 200)] | length' "$HOOKS/log")" = 2 ]
}

served() {
	local name=${1%_bucket}
	grep -q "^# TYPE $name " "$LAB_DIR/metrics" && return 0
	echo "$1 is not served"
	return 1
}

test_dashboard_and_rules_ask_for_what_is_served() {
	local name n=0
	expect promtool check rules "$DEPLOY/prometheus/perch.rules.yaml"
	expect in_ns lb curl -sSf -o "$LAB_DIR/metrics" http://127.0.0.1:9911/metrics
	expect jq -e '[.panels[].targets[].expr] | length > 15' "$DEPLOY/grafana/perch.json"
	for name in $( (jq -r '.panels[].targets[].expr, .templating.list[].query.query?' "$DEPLOY/grafana/perch.json" 2> /dev/null
		sed -n 's/^ *expr: //p' "$DEPLOY/prometheus/perch.rules.yaml") | grep -oE 'perch_[a-z_]+' | sort -u); do
		expect served "$name"
		n=$((n + 1))
	done
	expect [ "$n" -ge 18 ]
	# and they are queries
	# shellcheck disable=SC2016
	jq -r '.panels[].targets[].expr' "$DEPLOY/grafana/perch.json" | sed 's/\$service/web/g; s/\$__rate_interval/1m/g' |
		jq -Rs '{ groups: [{ name: "panels", rules: (split("\n") | map(select(. != "")) | to_entries |
			map({ record: "p\(.key)", expr: .value })) }] }' > "$LAB_DIR/panels.yaml"
	expect promtool check rules "$LAB_DIR/panels.yaml"
}

run test_events_are_told_in_every_format test_messages_are_tried_again \
	test_a_receiver_that_is_gone_is_counted_and_stops_nothing test_a_gate_is_asked_before_each_step \
	test_dashboard_and_rules_ask_for_what_is_served
finish
