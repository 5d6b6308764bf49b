#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# A door always leads to its version: before the rollout, after a rollback,
# whatever the weights say; and what comes through it never votes.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

lab_up 2
lab_namesrv s1 v1 7000
lab_namesrv s2 v2 7000
perch_config "$MODE" <<-END
	  - name: web
	    listen: ["$VIP4:80/tcp"]
	    affinity: connection
	    versions:
	      - { name: v1, role: stable, backends: ["10.2.0.11:7000"] }
	      - { name: v2, role: canary, door: ["$VIP4:8080/tcp"], backends: ["10.2.0.12:7000"] }
	    rollout: { steps: [50, 100], interval: 20m }
END
start_perchd

door_leads_to() {
	expect [ "$(count "$(short -n 500 -s 10.1.1.0 -m 500 "$VIP4" 8080)" "$1")" = 500 ]
}

test_door_leads_to_the_canary_at_0_percent() {
	door_leads_to v2
	expect no_canary "$VIP4" 80 v2
}

test_door_does_not_vote() {
	expect perch rollout start web
	door_leads_to v2
	sleep 1
	expect [ "$(field "$(perch -j rollout show web)" .stepConnections)" = 0 ]
}

test_door_leads_to_the_canary_after_a_rollback() {
	expect perch rollback web
	door_leads_to v2
	expect no_canary "$VIP4" 80 v2
}

run test_door_leads_to_the_canary_at_0_percent test_door_does_not_vote test_door_leads_to_the_canary_after_a_rollback
finish
