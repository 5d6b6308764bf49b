# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: an error about a severed connection is dropped
s/if (r == PERCH_R_SEVERED_DROP || r == PERCH_R_STABLE_DOWN_DROP)/if (0)/
