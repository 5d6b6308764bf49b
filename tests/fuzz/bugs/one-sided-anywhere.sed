# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/track.h: any ACK makes a one-sided flow one that stays
s/ == TCP_ACK && near ? PERCH_ONE_SIDED : class;/ == TCP_ACK ? PERCH_ONE_SIDED : class;/
