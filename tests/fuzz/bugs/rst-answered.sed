# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/commit.h: a RST is answered with a RST
s/^\tif (p->tcp & TCP_RST)$/\tif (p->tcp \& TCP_RST \& TCP_FIN)/
