# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: a later fragment is read for its ports
s/if (ip->frag_off & bpf_htons(0x1fff))/if (0)/
