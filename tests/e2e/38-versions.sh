#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Several versions of one service: canary and baseline beside stable, a fourth
# behind its door (of those that could be the canary the last one is), and backends of unequal weights.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s1 v3 7001
lab_namesrv s2 v2 7000
lab_namesrv s2 v4 7001
config() {
	perch_config "$MODE" <<-END
		  - name: web
		    listen: ["$VIP4:80/tcp"]
		    affinity: connection
		    versions:
		      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
		      - { name: v4, door: ["$VIP4:8004/tcp"], backends: ["10.2.0.12:7001"] }
		      - { name: v3, role: baseline, backends: ["10.2.0.11:7001"] }
		      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
		$1
		  - name: weights
		    listen: ["$VIP4:81/tcp"]
		    affinity: connection
		    versions:
		      - name: v1
		        role: stable
		        backends:
		          - { address: "10.2.0.11:7000", weight: 1 }
		          - { address: "10.2.0.11:7001", weight: 2 }
		          - { address: "10.2.0.12:7000", weight: 5 }
	END
}
config ""
start_perchd

# shares PORT N NAME LEAST MOST...: of N connections.
shares() {
	local port=$1 n=$2 seen
	shift 2
	seen=$(short -n "$n" -j 64 -s 10.1.1.0 -m 2000 "$VIP4" "$port")
	SEEN=$(field "$seen" '[.names | to_entries[] | "\(.key): \(.value.count)"] | join(", ")')
	[ "$(field "$seen" .failed)" = 0 ] || return 1
	while [ $# -gt 0 ]; do
		within "$(count "$seen" "$1")" "$2" "$3" || return 1
		shift 3
	done
}

# A sound split misses 3 sigma once in 370 times: a miss is drawn once again.
shares_or_again() {
	shares "$@" || shares "$@"
}

test_canary_and_baseline_have_their_shares() {
	expect perch weight set service web canary 20 baseline 10
	# 3 sigma of 20,000 draws: 170 at 20 %, 127 at 10 %, 194 at 70 %
	expect shares_or_again 80 20000 v2 3830 4170 v3 1873 2127 v1 13806 14194
	say "canary v2 20 %, baseline v3 10 %, of 20,000: $SEEN"
	expect [ "$(version web v1 .weight)" = 70 ]
}

test_third_share_is_refused() {
	local said
	said=$(perch weight set service web canary 5 baseline 5 v4 5 2>&1) && expect false
	expect grep -q "version 'v4' is not in use" <<< "$said"
	said=$(perch weight set service web canary 60 baseline 50 2>&1) && expect false
	expect grep -q 'add up to 110 percent' <<< "$said"
	expect [ "$(version web v2 .weight)" = 20 ]
	expect [ "$(version web v3 .weight)" = 10 ]
}

test_fourth_is_behind_its_door_alone() {
	expect shares 8004 500 v4 500 500
	expect [ "$(version web v4 .weight)" = 0 ]
}

test_fifth_is_refused() {
	local said
	config "      - { name: v5, backends: [\"10.2.0.12:7002\"] }"
	said=$(perch config check "$LAB_DIR/perch.yaml" 2>&1) && expect false
	expect grep -qE 'versions: has 5 versions; it must have from 1 to 4' <<< "$said"
	config ""
}

test_next_agent_keeps_both_shares() {
	stop_perchd KILL
	start_perchd
	expect [ "$(version web v2 .weight)" = 20 ]
	expect [ "$(version web v3 .weight)" = 10 ]
}

test_rollback_takes_canary_and_baseline_to_stable() {
	expect perch rollback web
	expect shares 80 5000 v1 5000 5000
	expect [ "$(version web v2 .weight)" = 0 ]
	expect [ "$(version web v3 .weight)" = 0 ]
	# a baseline is stable by another name: nothing speaks against it
	expect [ "$(version web v2 '.rejected != null')" = true ]
	expect [ "$(version web v3 '.rejected != null')" = false ]
	expect perch weight set service web baseline 50
	expect shares_or_again 80 10000 v3 4850 5150
}

test_backends_share_by_weight() {
	# 3 sigma of 16,000 draws, and 1 % of the lightest for rounding
	expect shares_or_again 81 16000 v1 1855 2145 v3 3816 4184 v2 9796 10204
	say "weights 1, 2 and 5 of 16,000: $SEEN"
}

run test_canary_and_baseline_have_their_shares test_third_share_is_refused test_fourth_is_behind_its_door_alone \
	test_fifth_is_refused test_next_agent_keeps_both_shares test_rollback_takes_canary_and_baseline_to_stable \
	test_backends_share_by_weight
finish
