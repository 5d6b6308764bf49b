# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/forward.h: a MAC is written in part
s/^\tfrom\[2\] = mac\[2\];$//
