# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse.h: a TCP header shorter than one is understood
s/ || t->doff < 5 || / || /
