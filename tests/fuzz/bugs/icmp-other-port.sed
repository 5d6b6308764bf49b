# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: the port of the other end is turned
s/port\[reply\] = p->new_port;/port[!reply] = p->new_port;/
