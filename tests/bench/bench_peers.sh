#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bench_peers.sh [-j]: perch and what people use in its place, on one topology,
# in one run, contenders in turns: packets, connections, rollbacks.  BENCH_QUICK=1
# takes seconds: it sees that everything runs, its figures mean nothing.
#
# Every run is checked, the quick one too: what was sent arrived, the canary
# got its share, no connection failed.  What is not so is an error, no figure.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=../../scripts/lab
. "$HERE/../../scripts/lab"
# shellcheck source=peers/packets.sh
. "$HERE/peers/packets.sh"
# shellcheck source=peers/connections.sh
. "$HERE/peers/connections.sh"
# shellcheck source=peers/rollback.sh
. "$HERE/peers/rollback.sh"

case ${1:-} in
'' | -j) ;;
*) die "usage: bench_peers.sh [-j]" ;;
esac
for program in conntrack haproxy nft nginx wrk jq; do
	command -v $program >/dev/null || die "$program is not installed: scripts/install-deps test bench"
done
QUICK=${BENCH_QUICK:-}
# shellcheck disable=SC2034 # for perch_config
FLOW_TABLE=1048576
PORT=7000	# of the backends
PEERS=$BUILD/tests/bench/bench_peers

# note PART CONTENDER JSON [KEY VALUE...]: a result, as a line of $LAB_DIR/PART.
note() {
	local part=$1 contender=$2 json=$3
	shift 3
	jq -c --arg contender "$contender" --argjson more "$(jq -nc '[$ARGS.positional | _nwise(2) | {(.[0]): (.[1] | tonumber)}] | add // {}' --args "$@")" \
		'{contender: $contender} + $more + .' <<< "$json" >> "$LAB_DIR/$part"
}

# mac NS DEVICE
mac() {
	in_ns "$1" ip -j link show "$2" | jq -r '.[0].address'
}

# balance_perch MODE CANARY: the canary gets so many percent of new connections.
balance_perch() {
	perch_config "$1" <<-END
		  - name: web
		    healthCheck: { type: none }
		    listen: ["$VIP4:80/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:$PORT"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:$PORT"] }
	END
	start_perchd
	perch weight set web v2 "$2" > /dev/null || die "no weight for perch's canary"
}

unbalance_perch() {
	stop_perchd TERM
	in_ns lb "$BUILD/perchd" -c "$LAB_DIR/perch.yaml" --detach 2>> "$LAB_DIR/perchd.err" || die "perchd --detach"
}

# nft_elements CANARY: of the map, for so many percent.  The key's type is that
# of a number modulo 100; nft 1.0 falls over `typeof jhash`.
nft_elements() {
	[ "$1" -gt 0 ] || { echo "0-99 : 10.2.0.11 . $PORT" && return; }
	echo "0-$((99 - $1)) : 10.2.0.11 . $PORT, $((100 - $1))-99 : 10.2.0.12 . $PORT"
}

# balance_nft CANARY [CHAIN]
balance_nft() {
	in_ns lb nft -f - <<-END || die "nft"
		table ip bench {
			map split { typeof numgen inc mod 100 : ip daddr . tcp dport; flags interval; elements = { $(nft_elements "$1") }; }
			chain in {
				type nat hook prerouting priority dstnat;
				ip daddr $VIP4 tcp dport 80 dnat ip addr . port to jhash ip saddr . tcp sport mod 100 map @split
			}
			${2:-}
		}
	END
}

# What the kernel remembers outlives the table: connections would go on where
# they went.
unbalance_nft() {
	in_ns lb nft delete table ip bench
	in_ns lb conntrack -F 2>> "$LAB_DIR/conntrack.err" || die "conntrack -F"
}

# For the sums.
MEDIAN='def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
	def round2: . * 100 | round / 100;'

# tell_bars PART: reached or missed.
tell_bars() {
	jq -r --arg part "$1" '.bars[] | select(.part == $part)
		| "  \(.name): \(.value | tostring) (\(.bound) \(.bar))  \(if .reached then "reached" else "MISSED" end)"' "$LAB_DIR/sum"
}

# attach_sinks, detach_sinks: the backends and the client, in the kernel.
attach_sinks() {
	attach c eth0 client
	attach s1 eth0 sink_stable
	attach s2 eth0 sink_canary
}

detach_sinks() {
	attach c eth0
	attach s1 eth0
	attach s2 eth0
}

# attach NS DEVICE [PROGRAM]: at XDP, nothing without a program.
attach() {
	if [ $# = 3 ]; then
		in_ns "$1" ip link set dev "$2" xdpdrv pinned "$PINS/$3" || die "no $3 on $2 of $1"
	else
		in_ns "$1" ip link set dev "$2" xdpdrv off
	fi
}

lab_up 2
PINS=$LAB_DIR/bpf/bench
mkdir "$PINS"
"$PEERS" load "$PINS" || exit 1
lab_nginx s1 v1 $PORT
lab_nginx s2 v2 $PORT
packets_run
rollback_run
connections_run
{
	packets_sum
	connections_sum
	rollback_sum
} | jq -sc 'add + {bars: [.[].bars[]]}' > "$LAB_DIR/sum"
if [ "${1:-}" = -j ]; then
	cat "$LAB_DIR/sum"
else
	[ -z "$QUICK" ] || echo "QUICK: these figures mean nothing"
	packets_tell
	connections_tell
	rollback_tell
fi
