# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse.h: a datagram is as long as it says
s/return p->gso || (length >= sizeof(\*u) && (length <= room || p->piece == PIECE_FIRST));/return length >= sizeof(*u) || p->gso;/
