# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: the old address enters the checksum without its complement
s/u64 s = (u64)(u32)~old->word\[3\] + new->word\[3\];/u64 s = (u64)old->word[3] + new->word[3];/
