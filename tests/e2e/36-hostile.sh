#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What may befall living connections: neighbours that are forgotten, segments in
# their name from somebody else, a backend that is taken out, a rollback under
# flows of datagrams.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=living.sh
. "$(dirname "$0")/living.sh"

LIVE=200
DRAIN=4
SOURCE=(-s 10.1.1.0 -m "$LIVE" -P 5000)
lab_up 3
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
lab_namesrv s3 v1b 7000

# services STABLE-BACKENDS
services() {
	local service
	for service in web:80 cut:81; do
		cat <<-END
			  - name: ${service%:*}
			    listen: ["$VIP4:${service#*:}/tcp", "$VIP4:${service#*:}/udp", "[$VIP6]:${service#*:}/udp"]
			    affinity: connection
			    rollback: { established: keep, drainTimeout: ${DRAIN}s }
			    versions:
			      - { name: v1, role: stable, backends: [$1, "[fd02::11]:7000"] }
			      - { name: v2, role: canary, backends: ["10.2.0.12:7000", "[fd02::12]:7000"] }
		END
	done
}
BOTH='"10.2.0.11:7000", "10.2.0.13:7000"'
services "$BOTH" | perch_config "$MODE"
start_perchd
# what goes up the stack is seen by connection tracking, and dropped when it is
# from the middle of something
in_ns lb nft -f - <<-END
	table inet filter {
		counter invalid { }
		chain forward { type filter hook forward priority 0; ct state invalid counter name invalid drop; }
		chain input { type filter hook input priority 0; ct state invalid counter name invalid drop; }
	}
END

test_forgotten_neighbours_lose_no_datagram() {
	expect perch weight set service web canary 50
	expect perch weight set service cut canary 50
	ask datagrams -u -n "$LIVE" -e 1000 "${SOURCE[@]}" "$VIP4" 81
	flush_neighbours c s1 s2 s3
	answered_since
	untouched
	lab_kill TERM "$LONG"
	ask datagrams6 -u -n "$LIVE" -e 1000 -s fd01::1 -m "$LIVE" -P 5000 "$VIP6" 81
	flush_neighbours c s1 s2 s3
	answered_since
	untouched
	lab_kill TERM "$LONG"
	expect [ "$(nft_counter lb invalid)" = 0 ]
}

test_forgotten_neighbours_break_no_connection() {
	ask streams -n "$LIVE" -e 500 "${SOURCE[@]}" "$VIP4" 80
	flush_neighbours c s1 s2 s3
	answered_since
	untouched
	expect [ "$(nft_counter lb invalid)" = 0 ]
}

# The connections of the test before go on.  Their backends know the true
# sequence numbers (RFC 5961), and neither a SYN nor a RST makes perch choose anew.
test_segments_in_their_name_change_nothing() {
	local kind
	expect perch weight set service web canary 0
	for kind in syn ack rst; do
		expect in_ns c "$TOOLS/spoof" -f "$kind" -n 20 -m "$LIVE" 10.1.1.0 5000 "$VIP4" 80
	done
	answered_since
	untouched
	answered_since
	untouched
	expect [ "$(field "$(long_state)" .names.v2.open)" -gt $((LIVE / 5)) ]
}

removed() {
	[ "$(field "$(perch -j backend show service web)" '[.[] | select(.address == "10.2.0.13:7000")] | length')" = 0 ]
}

# Whom it has, it keeps to their end; nobody new gets there.
test_backend_that_is_taken_out_keeps_its_connections() {
	local there
	there=$(field "$(long_state)" .names.v1b.open)
	expect [ "$there" -gt $((LIVE / 20)) ]
	services '"10.2.0.11:7000"' | perch_config "$MODE"
	expect wait_for 10 nobody_new_there
	answered_since
	untouched
	expect [ "$(field "$(long_state)" .names.v1b.open)" = "$there" ]
	lab_kill TERM "$LONG"
	expect wait_for 30 removed
	services "$BOTH" | perch_config "$MODE"
	expect wait_for 10 somebody_new_there
}

nobody_new_there() {
	[ "$(count "$(short -n 200 -s 10.1.4.0 -m 200 "$VIP4" 80)" v1b)" = 0 ]
}

somebody_new_there() {
	[ "$(count "$(short -n 200 -s 10.1.4.0 -m 200 "$VIP4" 80)" v1b)" -gt 0 ]
}

canary_answers() {
	field "$(long_state)" '.names.v2.answers // 0'
}

# As QUIC's: a flow is its addresses and ports, and it keeps its backend through a
# rollback until the drain ends it; then it is decided anew, and nothing is lost.
test_datagrams_outlive_a_rollback_until_the_drain() {
	local before
	expect perch weight set service web canary 50
	ask quic -u -n "$LIVE" -e 250 "${SOURCE[@]}" "$VIP4" 80
	expect [ "$(field "$(long_state)" .names.v2.open)" -gt $((LIVE / 5)) ]
	expect perch rollback web keep
	before=$(canary_answers)
	answered_since
	untouched
	expect [ "$(canary_answers)" -gt "$before" ]
	expect perch rollback web drain
	sleep $((DRAIN + 1))
	before=$(canary_answers)
	answered_since
	expect [ "$(canary_answers)" = "$before" ]
	expect [ "$(field "$(long_state)" .open)" = "$LIVE" ]
	expect [ "$(field "$(long_state)" .lost)" = 0 ]
	lab_kill TERM "$LONG"
}

test_severed_datagrams_are_decided_anew_at_once() {
	local before
	ask severed -u -n "$LIVE" -e 250 -s 10.1.2.0 -m "$LIVE" -P 5000 "$VIP4" 81
	expect [ "$(field "$(long_state)" .names.v2.open)" -gt $((LIVE / 5)) ]
	expect perch rollback cut sever
	answered_since
	before=$(canary_answers)
	answered_since
	expect [ "$(canary_answers)" = "$before" ]
	expect [ "$(field "$(long_state)" .lost)" = 0 ]
	lab_kill TERM "$LONG"
}

run test_forgotten_neighbours_lose_no_datagram test_forgotten_neighbours_break_no_connection \
	test_segments_in_their_name_change_nothing test_backend_that_is_taken_out_keeps_its_connections \
	test_datagrams_outlive_a_rollback_until_the_drain test_severed_datagrams_are_decided_anew_at_once
finish
