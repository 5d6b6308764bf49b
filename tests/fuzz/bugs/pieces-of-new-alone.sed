# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/commit.h: a first fragment of a known connection leaves no entry
s/unlikely(p->reason == PERCH_R_NEW || p->piece == PIECE_FIRST)/unlikely(p->reason == PERCH_R_NEW)/
