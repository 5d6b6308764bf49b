# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/pick.h: the edge of the canary's share is one too far
s/if (v < plan->low_end)/if (v <= plan->low_end)/
