# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: a new connection passes as one from before
s/p->protocol == IPPROTO_TCP && !(p->tcp & TCP_SYN) && bpf_ktime_get_ns/p->protocol == IPPROTO_TCP \&\& bpf_ktime_get_ns/
