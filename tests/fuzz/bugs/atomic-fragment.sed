# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse_odd.h: an atomic fragment is a fragment
s/offset & 1 ? PIECE_FIRST : PIECE_WHOLE;/PIECE_FIRST;/
