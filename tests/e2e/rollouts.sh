# shellcheck shell=bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# What rollouts say of themselves.

# show NAME FILTER: a part of what rollout show says.
show() {
	field "$(perch -j rollout show "$1")" "$2"
}

# is NAME FILTER VALUE: that part is this.
is() {
	[ "$(show "$1" "$2")" = "$3" ] && return 0
	echo "$1: $2 is '$(show "$1" "$2")', not '$3' ($(show "$1" .reason); $(show "$1" .blockedBy))"
	return 1
}

# goes_back NAME REASON SECONDS: rolled back, for that.
goes_back() {
	expect wait_for "$3" is "$1" .phase RolledBack
	expect is "$1" ".reason | test(\"$2\")" true
	say "$1: $(show "$1" .reason)"
}
