# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: an error is taken that went to somebody else
s/if (!address_equal(&p->destination, from))/if (0)/
