# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/tunnel.h: the outer header has the ECN bits of nobody
s/0x4500 | p->dscp << 2/0x4501 | p->dscp << 2/
