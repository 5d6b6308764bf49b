# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# How long it takes to take the canary out, and until the last new connection
# that reaches it, under a steady load of them.  For bench_peers.sh.

rollback_run() {
	local rounds=100 flush
	[ -z "$QUICK" ] || rounds=3
	attach_sinks
	LB_MAC=$(mac lb c)
	# the agent would have its own opinion of a word that goes to and fro
	balance_perch xdp 50
	stop_perchd TERM
	rollback_measure $rounds segments perch "$LAB_DIR/bpf/perch" web "$BUILD/perch"
	in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach 2>> "$LAB_DIR/perchd.err" || die "perchd --detach"
	balance_nft 50
	# 20,000 connections a second that nobody ends would fill the kernel's table
	lab_spawn lb "$LAB_DIR/flush" sh -c 'while sleep 3; do conntrack -F; done'
	flush=$SPAWNED
	rollback_measure $rounds segments nft "$(nft_elements 50)" "$(nft_elements 0)" "$LAB_DIR/rollback.nft"
	lab_kill TERM "$flush"
	unbalance_nft
	haproxy_start 50
	rollback_measure $rounds connections haproxy "$LAB_DIR/haproxy.sock"
	lab_kill TERM "$HAPROXY"
	# what it takes is no matter of luck
	rollback_measure $((rounds / 5 + 1)) nothing ring
	detach_sinks
}

# rollback_measure ROUNDS LOAD WAY...: handshakes of spoofed clients, or, where
# a proxy must accept them, connections of real ones.
rollback_measure() {
	local rounds=$1 load=$2
	shift 2
	case $load in
	segments) lab_spawn c "$LAB_DIR/load" "$PEERS" send "$PINS" -s -f 1048576 -r 20000 -n 1000000 -i eth0 -M "$LB_MAC" "$VIP4" 80 ;;
	connections) lab_spawn c "$LAB_DIR/load" "$TOOLS/shortconn" -H -t 600 -r 2000 10.0.0.1 81 ;;
	esac
	in_ns lb "$PEERS" rollback "$PINS" "$rounds" "$@" >> "$LAB_DIR/rollback" || exit 1
	[ "$load" = nothing ] || lab_kill TERM "$SPAWNED"
}

rollback_sum() {
	jq -sc "$MEDIAN"'{rollback: ., bars: [.[] | select(.contender == "perch: the word") | {part: "rollback",
		name: "us, the write of a rollback", value: (.write[0] / 1000 | round2), bound: "at most", bar: 1,
		reached: (.write[0] <= 1000)}]}' "$LAB_DIR/rollback"
}

rollback_tell() {
	echo "rollback: us for the write, and until the last new connection that reached the canary"
	echo "(a SYN each 50 us; through HAProxy one each 500 us; the ring is written, nobody reads it)"
	printf '  %-36s %10s %10s %10s %10s\n' "" p50 p99 "last p50" p99
	jq -r '.rollback[] | [.contender, (.write[] / 1000), (if .last then .last[] / 1000 else "-" end)] | @tsv' "$LAB_DIR/sum" |
		awk -F'\t' '{ printf "  %-36s %10.2f %10.2f", $1, $2, $3; if (NF > 4) printf " %10.0f %10.0f", $4, $5; print "" }'
	tell_bars rollback
}
