# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: the packet's own length is not held against the quote
s/ || p->quoted + QUOTE_LEAST > last)/)/
