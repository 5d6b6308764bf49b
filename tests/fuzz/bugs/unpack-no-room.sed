# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/unpack.h: an outer length that ends before its header is believed
s/ || room > p->ip_length)/)/
