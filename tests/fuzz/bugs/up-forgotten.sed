# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: a reply leaves by itself though its request went up the stack
s/if (!forward && p->hook != PERCH_HOOK_TC_OUT && (p->flow.flags & PERCH_FLOW_UP))/if (!forward \&\& p->hook == PERCH_HOOK_TC_OUT \&\& !p)/
