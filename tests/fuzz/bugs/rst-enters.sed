# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/commit.h: a RST begins a flow
s/if (!c || (tcp && (p->tcp & TCP_RST)))/if (!c)/
