# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/path.h: what fits the way to another backend is believed of this one
s/ || !address_equal(&k->address, &p->new_address))/)/
