# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/flow.h: an alias leads to whatever flow has the client's port now
s/p->flow.translated == port \&\& p->flow.backend == backend \&\&/(p->flow.translated == port || port) \&\& p->flow.backend == backend \&\&/
