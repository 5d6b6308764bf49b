# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/flow.h: a reply is led to an entry that has expired
s/ || flow_expired(p->tag, p->now));/);/
