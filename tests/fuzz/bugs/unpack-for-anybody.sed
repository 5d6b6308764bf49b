# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/unpack.h: what is inside may be for others
s/return is_local(\&p->destination) ? PERCH_R_UNPACKED : PERCH_R_NOT_UNPACKED;/return PERCH_R_UNPACKED;/
