# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/enter.h: a live established flow gives way to a flood
s/if (rank > RANK_LAST || (rank > 1 && age < FLOW_REST))/if (rank > 1 \&\& age < FLOW_REST)/
