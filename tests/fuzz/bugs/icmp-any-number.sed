# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: an error without the SYN's number fails a connect
s/ || p->seq + 1 != p->flow.client_next ||/ ||/
