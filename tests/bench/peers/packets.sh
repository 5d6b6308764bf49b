# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What a packet of an established connection costs: live frames from the client
# to the backends' sinks, all on one CPU, minus the same frames dropped where
# they enter the balancer.  For bench_peers.sh.

declare -A PACKETS_NAME=(
	[generator]="generator alone (subtracted)"
	[redirect_xdp]="bare redirect, XDP"
	[redirect_tc]="bare redirect, TC"
	[route]="plain route"
	[nft]="nftables DNAT"
	[perch_xdp]="perch, XDP"
	[perch_tc]="perch, TC"
)
PACKETS_ORDER=(generator redirect_xdp redirect_tc route nft perch_xdp perch_tc)

packets_run() {
	local flows round rounds=5 contender
	FRAMES=300000
	PACKETS_FLOWS=(1 65536)
	[ -z "$QUICK" ] || { rounds=1 FRAMES=20000 && PACKETS_FLOWS=(1 4096); }
	LB_MAC=$(mac lb c)
	in_ns lb "$PEERS" redirect "$PINS" s1 "$(mac s1 eth0)" || die "redirect"
	attach_sinks
	for ((round = 1; round <= rounds; round++)); do
		for contender in "${PACKETS_ORDER[@]}"; do
			"packets_begin_$contender"
			for flows in "${PACKETS_FLOWS[@]}"; do
				packets_measure "$contender" "$flows"
			done
			"packets_end_$contender"
		done
	done
	detach_sinks
}

packets_send() {
	in_ns c "$PEERS" send "$PINS" -i eth0 -M "$LB_MAC" "$@" "$VIP4" 80
}

packets_measure() {
	local contender=$1 flows=$2 seen
	case $contender in
	nft | perch_*)
		seen=$(packets_send -s -f "$flows" -n "$flows") || exit 1
		[ "$(jq .client_first <<< "$seen")" -ge $((flows * 999 / 1000)) ] ||
			die "$contender: not every handshake came back: $seen"
		;;
	esac
	# caches, and neighbours that nobody has asked for yet
	packets_send -f "$flows" -n $((flows > 1000 ? flows : 1000)) > /dev/null
	seen=$(packets_send -f "$flows" -n "$FRAMES") || exit 1
	jq -e --arg c "$contender" '(if $c == "generator" then .drop else .stable + .canary end) >= .sent * 0.999' \
		<<< "$seen" > /dev/null || die "$contender: not everything arrived: $seen"
	case $contender in
	nft | perch_*)
		[ "$flows" = 1 ] || jq -e '.canary / .sent | . > 0.035 and . < 0.065' <<< "$seen" > /dev/null ||
			die "$contender: the canary has not its 5 %: $seen"
		;;
	esac
	note packets "$contender" "$seen" flows "$flows"
}

packets_begin_generator() { attach lb c drop; }
packets_end_generator() { attach lb c; }
packets_begin_redirect_xdp() { attach lb c redirect_xdp; }
packets_end_redirect_xdp() { attach lb c; }
packets_begin_redirect_tc() {
	in_ns lb tc qdisc add dev c clsact
	in_ns lb tc filter add dev c ingress bpf da object-pinned "$PINS/redirect_tc" || die "tc"
}
packets_end_redirect_tc() { in_ns lb tc qdisc del dev c clsact; }
packets_begin_route() { :; }
packets_end_route() { :; }
packets_begin_nft() { balance_nft 5; }
packets_end_nft() { unbalance_nft; }
packets_begin_perch_xdp() { balance_perch xdp 5; }
packets_end_perch_xdp() { unbalance_perch; }
packets_begin_perch_tc() { balance_perch tc 5; }
packets_end_perch_tc() { unbalance_perch; }

# Per contender and number of flows, over the rounds: ns without the generator's
# of the same round, and what one CPU carries, the generator on it.
packets_sum() {
	jq -sc "$MEDIAN"'
		def per: (.stable + .canary + .drop) as $n | {ns: (.cpu_ns / $n), mpps: (1000 * $n / .wall_ns)};
		[group_by([.flows, .contender])[] | {contender: .[0].contender, flows: .[0].flows, rounds: map(per)}] as $all
		| [$all[] | . as $one
			| ($all[] | select(.contender == "generator" and .flows == $one.flows) | .rounds) as $base
			| [.rounds | keys[] | $one.rounds[.].ns - (if $one.contender == "generator" then 0 else $base[.].ns end)] as $ns
			| {contender, flows, ns: ($ns | median | round2), low: ($ns | min | round2), high: ($ns | max | round2),
			   mpps: ([.rounds[].mpps] | median | round2)}] as $sum
		| {packets: $sum, bars: [$sum | group_by(.flows)[]
			| (map(select(.contender == "perch_xdp" or .contender == "perch_tc").ns) | min) as $perch
			| (map(select(.contender == "nft"))[0].ns) as $nft
			| {part: "packets", name: "CPU per packet, perch in its better mode / nftables, flows: \(.[0].flows)",
			   value: ($perch / $nft | round2), bound: "at most", bar: 0.4, reached: ($perch / $nft <= 0.4)}]}' "$LAB_DIR/packets"
}

packets_tell() {
	local contender flows figures
	echo "ns of CPU per packet of an established connection: median, lowest and highest round"
	echo "(Mpps: what one CPU carries, with the generator on it)"
	printf '  %-32s' ""
	for flows in "${PACKETS_FLOWS[@]}"; do
		printf '%26s %5s' "$flows flow$([ "$flows" = 1 ] || echo s)" Mpps
	done
	echo
	for contender in "${PACKETS_ORDER[@]}"; do
		printf '  %-32s' "${PACKETS_NAME[$contender]}"
		for flows in "${PACKETS_FLOWS[@]}"; do
			mapfile -t figures < <(jq --arg c "$contender" --argjson f "$flows" \
				'.packets[] | select(.contender == $c and .flows == $f) | .ns, .low, .high, .mpps' "$LAB_DIR/sum")
			printf '%10.0f  %6.0f ..%6.0f %5.2f' "${figures[@]}"
		done
		echo
	done
	tell_bars packets
}
