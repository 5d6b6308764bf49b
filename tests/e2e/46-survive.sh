#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# modes: tc
# Rollouts outlive their agent: killed at random moments of them, started again,
# and the rollout goes on where it was.  No step is taken twice, no failure is
# forgotten, a rejected canary stays out, and agent, kernel and store agree, with
# the canary compared by all that is seen.
# ROLLOUTS=N has more of them (two side by side each time), SEED=N repeats an
# order of kills.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=kept.sh
. "$(dirname "$0")/kept.sh"

ROLLOUTS=${ROLLOUTS:-8}
KILLS=3			# in each pair of rollouts
SEED=${SEED:-$((RANDOM * 32768 + RANDOM))}
lab_up 2
PINS=$LAB_DIR/bpf/perch
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
lab_namesrv s2 bad 7001

# One connection in four to the bad canary is refused: far more than of stable,
# too few in a row for the reflex.
in_ns s2 nft -f - <<-END || die "no nftables"
	table inet bad {
		chain in {
			type filter hook input priority 0
			tcp dport 7001 tcp flags & (syn | ack) == syn numgen random mod 4 == 0 reject with tcp reset
		}
	}
END
perch_config tc <<-END
	  - name: good
	    listen: ["$VIP4:80/tcp"]
	    affinity: connection
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: v2, role: canary, backends: ["10.2.0.12:7000"] }
	    rollout: { steps: [10, 20, 40, 60, 80, 100], interval: 600ms, minConnections: 5, watch: 0s }
	  - name: bad
	    listen: ["$VIP4:81/tcp"]
	    affinity: connection
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: v2, role: canary, backends: ["10.2.0.12:7001"] }
	    rollout: { steps: [5, 10, 100], interval: 60s, watch: 0s }
END
start_perchd
RANDOM=$((SEED % 32768))
lab_spawn c "$LAB_DIR/load-good" "$TOOLS/shortconn" -t 900 -j 8 -r 200 -s 10.1.1.0 -m 2000 "$VIP4" 80
GOOD=$SPAWNED
lab_spawn c "$LAB_DIR/load-bad" "$TOOLS/shortconn" -t 900 -j 8 -r 100 -s 10.1.1.0 -m 2000 "$VIP4" 81

# state SERVICE: "PHASE STEP BAD", STEP 99 when it succeeded.
state() {
	field "$(perch -j rollout show "$1")" '"\(.phase) \(if .phase == "Succeeded" then 99 else .step end) \([.compared[] | select(.name == "connect_failure") | .canary.bad][0])"'
}

# begun SERVICE: a rollout begins, however the last one ended.
begun() {
	case $(field "$(perch -j rollout show "$1")" .phase) in
	Succeeded) perch rollback "$1" > /dev/null && perch rollout retry "$1" > /dev/null ;;
	RolledBack) perch rollout retry "$1" > /dev/null ;;
	*) perch rollout start "$1" > /dev/null ;;
	esac
}

is_over() {
	[ "$(field "$(perch -j rollout show "$1")" .phase)" = "$2" ]
}

# no_less SERVICE PHASE STEP BAD PHASE STEP BAD: nothing is lost of what was.
no_less() {
	if [ "$2" = RolledBack ]; then
		[ "$5" = RolledBack ]
	elif [ "$5" = RolledBack ]; then
		[ "$1" = bad ]
	else
		[ "$6" -ge "$3" ] && { [ "$6" = 99 ] || [ "$7" -ge "$4" ]; }
	fi && return 0
	echo "$1 was $2 step $3 with $4 failures, and is $5 step $6 with $7"
	return 1
}

# steps_once SERVICE SINCE: the steps of its events since then only grow.
steps_once() {
	field "$(perch -j event show service "$1" limit 1000)" \
		"[.[] | select(.time >= $2 and .kind == \"step\") | .to | tonumber] | . == (unique) | tostring"
}

pause_random() {
	sleep "$(awk -v n=$((RANDOM % 1000)) -v most="$1" 'BEGIN { printf "%.3f", most * n / 1000 }')"
}

one_pair() {
	local before_good before_bad since i
	since=$(date +%s.%N)
	expect begun good
	expect begun bad
	for ((i = 0; i < KILLS; i++)); do
		pause_random 1.5
		before_good=$(state good)
		before_bad=$(state bad)
		lab_kill KILL "$PERCHD"
		pause_random 0.3
		start_perchd
		# shellcheck disable=SC2046,SC2086 # words
		expect no_less good $before_good $(state good)
		# shellcheck disable=SC2046,SC2086
		expect no_less bad $before_bad $(state bad)
	done
	expect wait_for 60 is_over good Succeeded
	expect wait_for 60 is_over bad RolledBack
	expect [ "$(field "$(perch -j rollout show bad)" '.reason | test("^gate connect_failure")')" = true ]
	expect [ "$(steps_once good "$since")" = true ]
	expect [ "$(steps_once bad "$since")" = true ]
	expect wait_for 10 agree_on good
	expect wait_for 10 agree_on bad
}

test_rollouts_survive_their_agent() {
	local pair seen
	for ((pair = 0; pair < (ROLLOUTS + 1) / 2; pair++)); do
		one_pair
	done
	lab_kill TERM "$GOOD"
	seen=$(cat "$LAB_DIR/load-good")
	expect [ "$(field "$seen" .failed)" = 0 ] || echo "$seen"
	expect [ "$(count "$seen" v2)" -gt 0 ]
	say "SEED=$SEED: $((pair * 2)) rollouts, $((pair * KILLS)) kills, $(field "$seen" .ok) connections of the healthy service, 0 failed"
}

run test_rollouts_survive_their_agent
finish
