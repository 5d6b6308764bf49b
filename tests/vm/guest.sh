#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What runs in a machine of scripts/vm-test: each test of /perch/list, on a line
# "NAME LIMIT alone|beside COMMAND", as many side by side as there are CPUs.
# Everything goes to the second serial line, where scripts/vm-test tells the
# tests apart by lines that begin with "@@".
set -u
cd /perch || exit 1
stty -F /dev/ttyS1 raw -echo
exec > /dev/ttyS1 2>&1 < /dev/null

# say CMD...: nobody else in between
say() {
	(flock 8 && "$@") 8> /tmp/says
}

run_test() {
	local log=/tmp/$1.log status began=$SECONDS
	timeout --kill-after=10 "$2" env CMOCKA_MESSAGE_OUTPUT=tap "$3" > "$log" 2>&1
	status=$?
	# what came before may have ended without a line feed
	[ $status != 124 ] || printf '\n# timed out after %s s' "$2" >> "$log"
	printf '\n@@ end %s %s %s\n' "$1" $status $((SECONDS - began)) >> "$log"
	say cat "$log"
}

# room N: until fewer than N run
room() {
	while [ "$(jobs -rp | wc -l)" -ge "$1" ]; do
		wait -n
	done
}

# A machine that hangs is told from a test that takes its time.  No job of this shell.
(while sleep 10; do say echo "@@ alive"; done &)

say echo "@@ kernel $(uname -r)"
while read -r name limit company command; do
	most=1
	[ "$company" = alone ] || most=$(nproc)
	room "$most"
	say echo "@@ begin $name"
	run_test "$name" "$limit" "$command" &
	[ "$company" = beside ] || room 1
done < list
room 1
say echo "@@ done"
