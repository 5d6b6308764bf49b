#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What perch is told from outside: values that are pushed, over the socket and
# with a token over TCP.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
TOKEN=$LAB_DIR/token
echo 'token-of-the-test' > "$TOKEN"
chmod 600 "$TOKEN"
perch_config "$MODE" <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp"]
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
END
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

run test_values_are_pushed_and_shown test_tcp_takes_values_with_the_token_alone test_token_is_shown_nowhere
finish
