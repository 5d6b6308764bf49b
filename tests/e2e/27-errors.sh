#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What people get wrong at the command line, over the API and in the
# configuration: each mistake is named, with what would be right, by exit code
# and HTTP status as documented, and changes nothing.  The mistakes are a table
# in 27-errors.txt.
# modes: tc
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

TABLE=$(dirname "$0")/27-errors.txt
lab_up 2

# service NAME PORT ROLLOUT
service() {
	cat <<-END
		  - name: $1
		    listen: ["$VIP4:$2/tcp"]
		    affinity: connection
		    healthCheck: { type: none }
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
		    rollout: { $3 }
	END
}

good() {
	service web 80 "steps: [5, 100], interval: 20m"
	service shop 81 "steps: [5, 100], interval: 20m"	# a rollout is under way
	service bad 82 "steps: [5, 100], interval: 20m"	# its canary was rejected
}

# nothing listens there but the API
port() {
	echo $((20000 + $$ % 20000))
}

good | perch_config tc
sed -i "s/^agent:/&\n  listen: 127.0.0.1:$(port)/" "$LAB_DIR/perch.yaml"
cp "$LAB_DIR/perch.yaml" "$LAB_DIR/good.yaml"
start_perchd
cat > "$LAB_DIR/app.yaml" <<-END
	name: app
	listen: ["$VIP4:90/tcp"]
	versions:
	  - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	  - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
END
sed 's/name: app/name: web/' "$LAB_DIR/app.yaml" > "$LAB_DIR/web.yaml"
sed '/^name/d' "$LAB_DIR/app.yaml" > "$LAB_DIR/nameless.yaml"
sed 's/tcp/sctp/; s/app/new/' "$LAB_DIR/app.yaml" > "$LAB_DIR/sctp.yaml"
sed 's/:90/:80/; s/app/new/' "$LAB_DIR/app.yaml" > "$LAB_DIR/taken.yaml"
sed 's/:90/:91/; s/app/new/; s/stable/baseline/' "$LAB_DIR/app.yaml" > "$LAB_DIR/unstable.yaml"
printf 'status quiet\nweight set web canary 1 2\n' > "$LAB_DIR/batch"
{
	perch service apply "$LAB_DIR/app.yaml"
	perch weight set service web canary 7
	perch rollout start shop
	perch rollout start bad
	perch rollback bad comment "pages do not load"
} > "$LAB_DIR/before" 2>&1

# what a mistake must not change
state() {
	perch -j service show | jq -c '.[] | {name, listen, affinity, phase, epoch, rolledBack,
		versions: [.versions[] | {name, role, weight, rejected, doors, labels,
			backends: [.backends[] | {address, state, held, weight}]}]}'
	perch -j pin show
	perch -j event show limit 1 | jq .[0].id
	perch -j config show | jq -c '{ok, error, files, pending}'
	cmp "$LAB_DIR/perch.yaml" "$LAB_DIR/good.yaml"
}

# holds TEXT PART...: every one of them.
holds() {
	local text=$1 part
	shift
	for part in "$@"; do
		[[ $text == *"$part"* ]] && continue
		echo "no '$part' in: $text"
		return 1
	done
}

# rows KIND: calls mistake_KIND with the cells of each row of the table, $DIR,
# $VIP and $PORT put in; what it does must leave the state alone.
rows() {
	local line cells before after n=0
	before=$(state)
	while IFS= read -r line; do
		[[ $line == "$1 | "* ]] || continue
		# shellcheck disable=SC2016 # what stands in the table
		line=${line//'$DIR'/$LAB_DIR} line=${line//'$VIP'/$VIP4} line=${line//'$PORT'/$(port)}
		mapfile -t cells <<< "${line// | /$'\n'}"
		"mistake_$1" "${cells[@]:1}" || { EXPECTED=1 && echo "mistake: $line"; }
		after=$(state)
		[ "$before" = "$after" ] || { EXPECTED=1 && echo "changed by: $line"$'\n'"$after"; }
		before=$after
		n=$((n + 1))
	done < "$TABLE"
	ROWS=$((${ROWS:-0} + n))
	say "$n mistakes"
}

# cli | EXIT | WORDS | PART...: the same for people and as JSON.
mistake_cli() {
	local code=$1 words said got
	eval "words=($2)"
	shift 2
	said=$(perch "${words[@]}" 2>&1 < /dev/null)
	got=$?
	[ "$got" = "$code" ] || { echo "exit $got: $said" && return 1; }
	[[ $said == "perch: "* && $said != *$'\n'* ]] || { echo "not one line: $said" && return 1; }
	holds "$said" "$@" || return 1
	said=$(perch -j "${words[@]}" 2>/dev/null < /dev/null)
	got=$?
	[ "$got" = "$code" ] || { echo "-j: exit $got: $said" && return 1; }
	holds "$(field "$said" 'if type == "array" then last else . end | .error')" "$@"
}

# api | STATUS | METHOD | PATH | BODY | PART...; a BODY of @FILE is that file.
mistake_api() {
	local status=$1 said got
	said=$(in_ns lb curl -s -m 5 -w '\n%{http_code}' --unix-socket "$LAB_DIR/perch.sock" -X "$2" \
		${4:+--data-binary "$4"} "http://perch$3")
	shift 4
	got=${said##*$'\n'}
	[ "$got" = "$status" ] || { echo "status $got: $said" && return 1; }
	holds "$(field "${said%$'\n'*}" .error)" "$@"
}

# config | SED-SCRIPT | PART...: refused by whoever reads it.
mistake_config() {
	local wrong=$LAB_DIR/wrong.yaml said
	sed "$1" "$LAB_DIR/good.yaml" > "$wrong"
	shift
	! cmp -s "$wrong" "$LAB_DIR/good.yaml" || { echo "the script changes nothing" && return 1; }
	mistake_cli 1 "config check $wrong" "wrong.yaml:" "$@" || return 1
	mistake_api 400 PUT /v1/config "@$wrong" "$@"
}

# tcp | STATUS | PATH | PART...: over the TCP listener.
mistake_tcp() {
	local said
	said=$(in_ns lb curl -s -m 5 -w '\n%{http_code}' "http://127.0.0.1:$(port)$2")
	[ "${said##*$'\n'}" = "$1" ] || { echo "$said" && return 1; }
	shift 2
	holds "$said" "$@"
}

test_mistakes_at_the_command_line_are_told_and_change_nothing() {
	rows cli
}

test_mistakes_over_the_api_are_told_and_change_nothing() {
	head -c 70000 /dev/zero | tr '\0' ' ' > "$LAB_DIR/big"
	rows api
	rows tcp
}

test_mistakes_in_the_configuration_are_told_and_change_nothing() {
	rows config
}

test_nobody_at_the_socket_is_told_with_its_path() {
	local said
	said=$(perch --socket "$LAB_DIR/none" status quiet 2>&1)
	expect [ $? = 1 ]
	expect holds "$said" "perchd does not answer at $LAB_DIR/none" "not running" "--socket"
	said=$(perch --socket "$LAB_DIR/none" --bpffs "$LAB_DIR/none" rollback web 2>&1)
	expect [ $? = 1 ]
	expect holds "$said" "no datapath is pinned at $LAB_DIR/none"
}

test_there_are_at_least_fifty_of_them() {
	expect [ "$ROWS" -ge 50 ]
	expect phase_is shop Progressing
	expect phase_is bad RolledBack
	expect [ "$(version web v2 .weight)" = 7 ]
}

run test_mistakes_at_the_command_line_are_told_and_change_nothing \
	test_mistakes_over_the_api_are_told_and_change_nothing \
	test_mistakes_in_the_configuration_are_told_and_change_nothing \
	test_nobody_at_the_socket_is_told_with_its_path test_there_are_at_least_fifty_of_them
finish
