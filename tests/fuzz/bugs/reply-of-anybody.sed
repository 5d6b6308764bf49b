# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/flow.h: a reply need not come from the flow's backend
s/!address_equal(&k->address, &p->source) || //
