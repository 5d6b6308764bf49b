#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# /metrics as a scraper sees it: the format, the documented names with their
# types and labels, and values that are those of the traffic.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
perch_config "$MODE" <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp"]
	    affinity: connection
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: v2, role: canary, backends: ["10.2.0.12:7000", "10.2.0.12:7009"] }
	    rollout:
	      steps: [40, 100]
	      interval: 20m
	      reflex: { connectFailures: 0 }
	      gates: [{ signal: connect_failure, max: 90 }, { signal: response_time, quantile: 0.99, max: 500ms }]
END
sed -i 's/^agent:/agent:\n  listen: 127.0.0.1:9911/' "$LAB_DIR/perch.yaml"
start_perchd
PAGE=$LAB_DIR/metrics

scrape() {
	in_ns lb curl -sSf -D "$LAB_DIR/head" -o "$PAGE" http://127.0.0.1:9911/metrics
}

# value SERIES: as written on the page.
value() {
	awk -v series="$1" 'index($0, series " ") == 1 { print $NF }' "$PAGE"
}

# The text format, version 0.0.4: HELP and TYPE once and before the samples,
# samples of a family together and each series once, buckets that only rise.
well_formed() {
	awk '
		function bad(what) { print NR ": " what ": " $0; wrong = 1 }
		/^# HELP / { if (help[$3]++ || NF < 4) bad("HELP"); next }
		/^# TYPE / {
			if (type[$3] || !help[$3] || $4 !~ /^(counter|gauge|histogram)$/) bad("TYPE")
			if ($4 == "counter" && $3 !~ /_total$/) bad("counter without _total")
			type[now = $3] = $4
			next
		}
		!/^perch_[a-z_]+([{][a-z]+="[^"\\]*"(,[a-z]+="[^"\\]*")*[}])? [-+0-9.eInfNa]+$/ { bad("sample"); next }
		{
			name = $0; sub(/[{ ].*/, "", name)
			if (type[now] == "histogram") sub(/_(bucket|sum|count)$/, "", name)
			if (name != now) bad("not with its family")
			series = $0; sub(/ [^ ]*$/, "", series)
			if (seen[series]++) bad("twice")
		}
		/_bucket[{]/ {
			of = series; sub(/,le=.*/, "", of)
			if (of == last && $NF < count) bad("bucket falls")
			last = of; count = $NF
		}
		/_count[{]/ { if ($NF != count) bad("count is not that of the last bucket") }
		END { exit wrong }' "$PAGE"
}

# documented NAME TYPE LABELS: every sample of the family has these labels.
documented() {
	local suffix='' labels
	grep -q "^# TYPE $1 $2\$" "$PAGE" || { echo "$1 is no $2"; return 1; }
	[ "$2" != histogram ] || suffix=_count
	labels=$(grep -E "^$1${suffix}[{ ]" "$PAGE" | sed 's/"[^"]*"//g; s/^[^{]*{\([^}]*\)} .*/\1/; s/^[^ ]* [^ ]*$//; s/=//g' | sort -u)
	[ "$labels" = "$3" ] && grep -qE "^$1${suffix}[{ ]" "$PAGE" && return 0
	echo "$1 has labels '$labels', not '$3'"
	return 1
}

test_page_is_well_formed_and_has_what_is_documented() {
	local name type labels
	expect perch rollout start web
	short -n 1000 -s 10.1.1.0 -m 1000 "$VIP4" 80 > "$LAB_DIR/seen"
	sleep 1.5
	expect scrape
	expect grep -qi '^content-type: text/plain; version=0.0.4' "$LAB_DIR/head"
	expect well_formed
	while read -r name type labels; do
		expect documented "$name" "$type" "$labels"
	done <<-END
		perch_connections_total counter service,version,backend
		perch_active_connections gauge service,version,backend
		perch_packets_total counter service,version,backend
		perch_bytes_total counter service,version,backend
		perch_connect_failures_total counter service,version,backend
		perch_resets_total counter service,version,backend
		perch_no_response_total counter service,version
		perch_retransmits_total counter service,version
		perch_backend_up gauge service,version,backend
		perch_connect_seconds histogram service,version
		perch_response_seconds histogram service,version
		perch_weight_ratio gauge service,version
		perch_actual_share_ratio gauge service,version
		perch_rollout_phase gauge service,phase
		perch_rollbacks_total counter service,reason
		perch_gate_log_e gauge service,gate
		perch_webhook_failures_total counter service
		perch_packets_passed_total counter reason
		perch_packets_dropped_total counter reason
		perch_packets_noted_total counter reason
		perch_samples_lost_total counter
		perch_events_lost_total counter
		perch_flow_table_entries gauge
		perch_flow_table_capacity gauge
		perch_config_last_reload_success gauge
		perch_build_info gauge version
	END
	if command -v promtool > /dev/null; then
		expect promtool check metrics < "$PAGE"
	else
		say "promtool (package prometheus) is not installed: the page was checked by the test's own rules"
	fi
}

sum_of() {
	awk -v family="$1" 'index($0, family "{") == 1 { n += $NF } END { print n + 0 }' "$PAGE"
}

test_values_are_those_of_the_traffic() {
	local seen v2='service="web",version="v2"'
	seen=$(cat "$LAB_DIR/seen")
	expect [ "$(sum_of perch_connections_total)" = 1000 ]
	expect [ "$(sum_of perch_connect_failures_total)" = "$(field "$seen" .failed)" ]
	expect [ "$(value "perch_connect_failures_total{$v2,backend=\"10.2.0.12:7009\"}")" = "$(field "$seen" .failed)" ]
	expect [ "$(value "perch_connections_total{$v2,backend=\"10.2.0.12:7000\"}")" = "$(count "$seen" v2)" ]
	expect [ "$(value 'perch_connect_seconds_count{service="web",version="v1"}')" = "$(count "$seen" v1)" ]
	expect [ "$(value 'perch_response_seconds_count{service="web",version="v1"}')" = "$(count "$seen" v1)" ]
	expect [ "$(value "perch_weight_ratio{$v2}")" = 0.4 ]
	expect within "$(value "perch_actual_share_ratio{$v2}" | awk '{ print int($1 * 100) }')" 33 47
	expect [ "$(value 'perch_rollout_phase{service="web",phase="Progressing"}')" = 1 ]
	expect [ "$(sum_of perch_rollout_phase)" = 1 ]
	expect [ "$(value perch_events_lost_total)" -ge 0 ]
	expect [ "$(value perch_flow_table_capacity)" = 65536 ]
	expect [ "$(value perch_config_last_reload_success)" = 1 ]
	expect [ "$(sum_of perch_build_info)" = 1 ]
	expect [ "$(value 'perch_packets_passed_total{reason="not_ours"}')" -gt 0 ]
}

entries_are() {
	scrape
	[ "$(value perch_flow_table_entries)" -ge "$1" ]
}

active_are() {
	scrape
	within "$(sum_of perch_active_connections)" "$1" "$2"
}

test_values_follow_what_happens() {
	start_long long -n 300 -i 300 -s 10.1.1.0 -m 300 "$VIP4" 80
	expect wait_for 15 entries_are 300
	# entries of connections that closed count there, and here they do not
	expect wait_for 15 active_are 150 300
	expect perch rollback web keep
	expect scrape
	expect [ "$(value 'perch_rollbacks_total{service="web",reason="command"}')" = 1 ]
	expect [ "$(value 'perch_weight_ratio{service="web",version="v2"}')" = 0 ]
	expect [ "$(value 'perch_rollout_phase{service="web",phase="RolledBack"}')" = 1 ]
	echo "nonsense: 1" >> "$LAB_DIR/perch.yaml"
	expect wait_for 5 reload_failed
	lab_kill TERM "$LONG"
}

reload_failed() {
	scrape
	[ "$(value perch_config_last_reload_success)" = 0 ]
}

# Counters go on where they were: the kernel has them.
test_counters_outlive_the_agent() {
	local before
	sed -i '/^nonsense/d' "$LAB_DIR/perch.yaml"
	before=$(sum_of perch_packets_total)
	stop_perchd KILL
	start_perchd
	sleep 1.5
	expect scrape
	expect well_formed
	expect [ "$(sum_of perch_packets_total)" -ge "$before" ]
	expect [ "$(value 'perch_connect_seconds_count{service="web",version="v1"}')" -gt 400 ]
}

run test_page_is_well_formed_and_has_what_is_documented test_values_are_those_of_the_traffic \
	test_values_follow_what_happens test_counters_outlive_the_agent
finish
