# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/flow.h: an alias leads to a flow that has its port at another source
s/perch_flow_source(p->flow.flags) == source;/source <= 7;/
