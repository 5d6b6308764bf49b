# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse_odd.h: a first fragment is steered as if it were whole
s/p->piece = fragment & IP4_MORE ? PIECE_FIRST : PIECE_WHOLE;/p->piece = PIECE_WHOLE;/
