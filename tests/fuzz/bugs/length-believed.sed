# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse.h: a packet shorter than it says is steered
s/ && p->ip_length + p->ip <= p->length ? PARSED/ ? PARSED/
