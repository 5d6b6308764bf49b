# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/commit.h: the alias of a flow that did not go in stays
s/if (r != FLOW_INSERTED \&\& p->alias_tag)/if (0)/
