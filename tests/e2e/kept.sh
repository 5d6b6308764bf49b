#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What is kept of a service: by the agent, in the pinned maps ($PINS), and in the
# store; for tests in which the agent dies.  Comes after lib.sh.

# What the agent says of a service, as `kept` says it of the others.
agent_keeps() {
	perch -j service show "$1" | jq -c '.[0] | {
		canary: ([.versions[] | select(.role == "canary") | .weight] | add // 0 | . * 100 | round),
		versions: [.versions[] | {name, role, rejected: (.rejected != null and .role != "stable")}] | sort,
		drained: [.versions[].backends[] | select(.drainedSince != null) | .address] | unique}'
}

# The same of the kernel and the store.
kept() {
	"$TOOLS/kept" "$@" | jq -c '{canary, versions: [.versions[] | {name, role,
		rejected: (.rejected and .role != "stable")}] | sort, drained: (.drained | unique)}'
}

# agree_on SERVICE: all three are of one mind.
agree_on() {
	local agent kernel store
	agent=$(agent_keeps "$1")
	kernel=$(kept kernel "$PINS" "$1")
	store=$(kept store "$LAB_DIR/state" "$1")
	if [ "$agent" != "$kernel" ] || [ "$agent" != "$store" ] ||
		[ "$(field "$("$TOOLS/kept" kernel "$PINS" "$1")" .whole)" != true ]; then
		printf '%s\nagent  %s\nkernel %s\nstore  %s\n' "$1" "$agent" "$kernel" "$store"
		return 1
	fi
}
