# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: a SYN with another number goes on with the old flow
s/ || (class == PERCH_EMBRYONIC && p->seq + 1 != p->flow.client_next);/;/
