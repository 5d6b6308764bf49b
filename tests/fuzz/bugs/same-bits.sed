# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/pick.h: version and backend are chosen by the same bits
s/hash_mix((hash >> 32) + salt)/hash_mix((hash \& 0xffffffff) + salt)/
