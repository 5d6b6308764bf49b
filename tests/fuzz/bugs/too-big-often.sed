# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/toobig.h: one more is told a second
s/bpf_ktime_get_ns(), PERCH_TOO_BIG_RATE)/bpf_ktime_get_ns(), PERCH_TOO_BIG_RATE + 1)/
