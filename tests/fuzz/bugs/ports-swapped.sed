# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: the new port of a datagram goes to the wrong end
s/\*(reply ? &u->source : &u->dest) = p->new_port;/*(reply ? \&u->dest : \&u->source) = p->new_port;/
