# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: a later fragment of a severed flow is answered
s/ \&\& p->piece != PIECE_LATER \&\&/ \&\&/
