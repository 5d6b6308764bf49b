# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: a translated port stays in the quote
s/^\tif (p->client_port)$/\tif (0)/
