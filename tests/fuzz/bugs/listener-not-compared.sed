# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/flow.h: a flow is anybody's who has its port
s/return l && address_equal(&l->address, &p->destination);/return l;/
