# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/unpack.h: a first fragment is taken out
s/if (p->piece != PIECE_WHOLE)/if (p->piece == PIECE_LATER)/
