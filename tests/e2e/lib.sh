# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What the end-to-end tests share: TAP, expectations, and how they ask perch.
# A test file sources this, builds its lab, and ends with
#
#   run test_a test_b ...
#   finish
#
# A test is a function: it fails when one of its expectations does, and then
# its output is shown.  A file that dies prints no plan, which is a failure.

set -u
MODE=${1:-tc}
case $MODE in
xdp | tc) ;;
*) echo "usage: $0 [xdp|tc]" >&2; exit 2 ;;
esac
# A veth hands XDP packets without checksums, which XDP leaves to TC: without
# this nothing would go through XDP.  05-bytes goes both ways.
[ "$MODE" = tc ] || export LAB_TX=${LAB_TX:-off}
# shellcheck source=../../scripts/lab
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lab"

TESTS=0
FAILURES=0

# expect CMD...: the test goes on, but fails when CMD does.
expect() {
	"$@" && return 0
	EXPECTED=1
	echo "expected: $*"
	return 1
}

# refused CMD...: CMD must fail.
refused() {
	if "$@"; then
		echo "was not refused: $*"
		return 1
	fi
}

# within VALUE LEAST MOST
within() {
	[ "$1" -ge "$2" ] && [ "$1" -le "$3" ] && return 0
	echo "$1 is not within $2 and $3"
	return 1
}

skip() {
	SKIPPED=$*
}

# say TEXT: a line for the reader of a test that passes, too.
say() {
	SAID+="# $*"$'\n'
}

run() {
	local test out=$LAB_DIR/output began
	for test in "$@"; do
		EXPECTED=0 SKIPPED='' SAID='' began=$SECONDS
		TESTS=$((TESTS + 1))
		declare -F "$test" > /dev/null || EXPECTED=1	# a mistyped name is no test that passed
		"$test" > "$out" 2>&1
		if [ -n "$SKIPPED" ]; then
			echo "ok $TESTS - $MODE: $test # SKIP $SKIPPED"
		elif [ $EXPECTED = 0 ]; then
			echo "ok $TESTS - $MODE: $test ($((SECONDS - began)) s)"
		else
			FAILURES=$((FAILURES + 1))
			echo "not ok $TESTS - $MODE: $test"
			sed 's/^/#   /' "$out"
			tail -n 20 "$LAB_DIR/perchd.err" 2>/dev/null | sed 's/^/#   perchd: /'
			perch reason show 2>&1 | awk '$(NF > 6 ? 6 : 1) != 0 { print "#   " $0 }'
		fi
		printf %s "$SAID"
	done
}

finish() {
	if grep -hsE 'Sanitizer|runtime error' "$LAB_DIR"/*.err; then
		echo "# a sanitizer had something to say of perchd or a tool"
		FAILURES=$((FAILURES + 1))
	fi
	echo "1..$TESTS"
	[ $FAILURES = 0 ]
	exit
}

# field JSON FILTER
field() {
	jq -r "$2" <<< "$1"
}

# short OPTION... ADDRESS PORT: shortconn from the client, its JSON.
short() {
	in_ns c "$TOOLS/shortconn" "$@"
}

# count JSON NAME: connections that NAME answered.
count() {
	field "$1" ".names[\"$2\"].count // 0"
}

# start_long LOG OPTION... ADDRESS PORT; the process is in $LONG.
start_long() {
	local log=$LAB_DIR/$1
	shift
	lab_spawn c "$log" "$TOOLS/longconn" "$@"
	LONG=$SPAWNED
	LONG_LOG=$log
	wait_for 10 grew "$log" 0
}

# The state of longconn now.
long_state() {
	local had
	had=$(wc -l < "$LONG_LOG")
	kill -USR1 "$LONG"
	wait_for 10 grew "$LONG_LOG" "$had"
	tail -n 1 "$LONG_LOG"
}

grew() {
	[ "$(wc -l < "$1")" -gt "$2" ]
}

long_ready() {
	[ "$(field "$(long_state)" .ready)" = true ]
}

monotonic() {
	"$TOOLS/monotonic"
}

# version SERVICE VERSION FILTER: of perch's own view.
version() {
	field "$(perch -j service show "$1")" ".[0].versions[] | select(.name == \"$2\") | $3"
}

phase() {
	field "$(perch -j service show "$1")" '.[0].phase'
}

phase_is() {
	[ "$(phase "$1")" = "$2" ]
}

knows_version() {
	[ -n "$(version "$1" "$2" .name)" ]
}

# upload_and_download ADDRESS [VERSION]: $LAB_DIR/sent to lab_nginx and back.
upload_and_download() {
	local url=http://$1/up/file kept=$LAB_DIR/nginx-${2:-v1}/up/file speed
	rm -f "$kept" "$LAB_DIR/got"
	speed=$(in_ns c curl -sSf -m 60 -T "$LAB_DIR/sent" -w '%{speed_upload}' "$url")
	expect cmp "$LAB_DIR/sent" "$kept"
	speed+=" $(in_ns c curl -sSf -m 60 -o "$LAB_DIR/got" -w '%{speed_download}' "$url")"
	expect cmp "$LAB_DIR/sent" "$LAB_DIR/got"
	say "$1: up and down at ${speed// /, } bytes a second"
}

# through SERVICE BYTES: it was perch that carried them.
through() {
	[ "$(version "$1" v1 .bytes)" -gt "$2" ]
}

# no_checksum_errors NS...: none since the namespace was made.
no_checksum_errors() {
	local ns
	for ns in "$@"; do
		expect [ "$(in_ns "$ns" nstat -saz | awk '/InCsumErrors/ { n += $2 } END { print n }')" = 0 ]
	done
}

# files_are_identical ADDRESS SERVICE: $MEGABYTES each way, by perch's hands.
files_are_identical() {
	upload_and_download "$1"
	expect wait_for 3 through "$2" $((2 * MEGABYTES * 1000000))
	no_checksum_errors c lb s1
}

# nft_counter NS NAME: what a named counter of the table `inet filter` says.
nft_counter() {
	in_ns "$1" nft -j list counter inet filter "$2" | jq '.nftables[] | select(.counter) | .counter.packets'
}

# no_canary SERVICE-ADDRESS PORT CANARY [CONNECTIONS]: nobody new gets there.
no_canary() {
	local seen
	seen=$(short -n "${4:-2000}" -j 32 -s 10.1.1.0 -m 2000 "$1" "$2")
	[ "$(field "$seen" .failed)" = 0 ] && [ "$(count "$seen" "$3")" = 0 ] && return 0
	echo "$seen"
	return 1
}
