# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/track.h: a SYN with data must be quoted whole
s/(p->flow.request_at ? SYN_DATA_MAX : 0)/0/
