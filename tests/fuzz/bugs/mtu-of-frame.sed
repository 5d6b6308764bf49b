# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/forward.h: the MTU is held against the whole frame
s/u32 size = p->length - p->ip;/u32 size = p->length;/
