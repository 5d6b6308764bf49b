# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/fragments.h: replies in pieces look their next hop up each time
s/else if (p->way == WAY_REPLY \&\& p->via != p->flow.via)/else if (0)/
