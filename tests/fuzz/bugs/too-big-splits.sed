# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/toobig.h: what must not be fragmented goes up to be
s/if (fragment \& bpf_htons(0x4000))/if (fragment \& bpf_htons(0x2000))/
