# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/enter.h: an unproven flow gives way before it had its time
s/if (rank > RANK_LAST || (rank > 1 && age < FLOW_REST))/if (rank > RANK_LAST)/
