# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/source.h: a search begins where the last one began
s/if (s.tried)/if (0)/
