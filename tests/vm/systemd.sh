#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# perchd as make install leaves it, started by systemd with all of the unit's
# sandbox, in a machine of scripts/vm-test.  Its balancer is the machine itself:
# the service has the host's devices, /sys/fs/bpf and directories.
# alone
[ -e /perch/list ] || { echo "this installs into /: only in a machine of scripts/vm-test" >&2; exit 1; }
# shellcheck source=../e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

lab_namespace() {
	if [ "$1" = lb ]; then
		mkdir -p /run/netns
		ip netns attach "p$$-lb" 1 || die "can't name the machine's own network namespace"
	else
		ip netns add "p$$-$1" || die "no network namespaces"
		LAB_NAMESPACES+=("p$$-$1")
	fi
	lab_settings "$1"
}

perch() {
	/usr/bin/perch "$@"
}

pid() {
	systemctl show -P MainPID perchd
}

# status FIELD: of perchd's process
status() {
	sed -n "s/^$1:[[:space:]]*//p" "/proc/$(pid)/status"
}

answer() {
	in_ns c curl -s -m 5 "http://$VIP4/"
}

ready() {
	systemctl -q is-active perchd && perch status
}

restarted() {
	[ "$(pid)" != "$1" ] && ready
}

lab_up 2
lab_nginx s1 v1 8080
lab_nginx s2 v2 8080
cp -a /perch/install/. /
systemd-sysusers perch.conf
cat > /etc/perch/perch.yaml <<END
schema: 1
interfaces: [{ name: c }, { name: "s*" }]
services:
  - name: web
    listen: ["$VIP4:80/tcp"]
    affinity: connection
    versions:
      - { name: v1, role: stable, backends: ["10.2.0.11:8080"] }
      - { name: v2, role: canary, backends: ["10.2.0.12:8080"] }
END
systemctl daemon-reload

test_unit_starts_and_is_ready() {
	expect systemctl start perchd
	expect wait_for 120 ready
	expect [ "$(systemctl show -P StatusText perchd | grep -ci fail)" = 0 ]
	perch status
}

test_sandbox_is_in_force() {
	expect [ "$(status NoNewPrivs)" = 1 ]
	expect [ "$(status Seccomp)" = 2 ]
	# CAP_SYS_BOOT is among those that it lacks
	expect [ $((0x$(status CapBnd) >> 22 & 1)) = 0 ]
}

# TC has links since Linux 6.6; filters of clsact do it before.
test_programs_are_attached_in_the_way_of_this_kernel() {
	local pin major minor
	IFS=.- read -r major minor _ <<< "$(uname -r)"
	pin=clsact
	[ $((major * 1000 + minor)) -lt 6006 ] || pin=tc-in
	expect [ -e /sys/fs/bpf/perch/links/c-"$pin" ]
	expect [ -e /sys/fs/bpf/perch/links/s1-"$pin" ]
	say "$(cd /sys/fs/bpf/perch/links && echo *)"
}

test_a_weight_and_a_rollback_move_connections() {
	expect [ "$(answer)" = v1 ]
	expect perch weight set service web canary 100
	expect [ "$(answer)" = v2 ]
	expect perch rollback web
	expect [ "$(answer)" = v1 ]
	expect wait_for 20 through web 0	# the agent tells once a second, this machine is slow
}

test_killed_it_is_started_again_and_steers_meanwhile() {
	local old
	old=$(pid)
	expect systemctl kill --kill-whom=main --signal=KILL perchd
	expect [ "$(answer)" = v1 ]
	expect wait_for 120 restarted "$old"
	expect [ "$(answer)" = v1 ]
	expect refused perch rollout start web
}

test_stopped_it_leaves_the_programs_and_detached_nothing() {
	expect systemctl stop perchd
	expect [ "$(answer)" = v1 ]
	expect perchd --detach
	expect [ ! -e /sys/fs/bpf/perch/maps ]
	expect refused answer
}

run test_unit_starts_and_is_ready test_sandbox_is_in_force test_programs_are_attached_in_the_way_of_this_kernel \
	test_a_weight_and_a_rollback_move_connections test_killed_it_is_started_again_and_steers_meanwhile \
	test_stopped_it_leaves_the_programs_and_detached_nothing
finish
