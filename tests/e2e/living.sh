# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# $LIVE connections or flows that go on asking, and what may have become of them.

# ask LOG OPTION...: flows that go on asking
ask() {
	start_long "$@"
	expect wait_for 15 long_ready
	expect [ "$(field "$(long_state)" .unconnected)" = 0 ]
}

untouched() {
	local state
	state=$(long_state)
	echo "$state"
	expect [ "$(field "$state" .open)" = "$LIVE" ]
	expect [ "$(field "$state" .broken)" = 0 ]
	expect [ "$(field "$state" .changed)" = 0 ]
	expect [ "$(field "$state" .lost)" = 0 ]
}

asked_again() {
	[ "$(field "$(long_state)" '[.names[].answers] | add')" -gt "$1" ]
}

# Everybody is asked, and no question waits any more.
answered_since() {
	kill -USR2 "$LONG"
	expect wait_for 10 asked_again $(($(field "$(long_state)" '[.names[].answers] | add') + LIVE))
	expect wait_for 5 none_wait
}

none_wait() {
	[ "$(field "$(long_state)" .waiting)" = 0 ]
}

# flush_neighbours DEV...: of the balancer, for two seconds.
flush_neighbours() {
	local i dev
	for ((i = 0; i < 20; i++)); do
		for dev in "$@"; do
			in_ns lb ip neigh flush dev "$dev"
		done
		sleep 0.1
	done
}
