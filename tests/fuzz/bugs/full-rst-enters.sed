# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/commit.h: a RST that begins nothing goes on without a source
s/return p->both ? PERCH_R_NOT_OURS : GO;/return GO;/
