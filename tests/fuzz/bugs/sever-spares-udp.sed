# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: datagrams go on when their version is severed
s/^\tif (steer_severed(p, k->version) && /\tif (p->protocol == IPPROTO_TCP \&\& steer_severed(p, k->version) \&\& /
