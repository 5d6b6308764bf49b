# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/answer.h: a RST does not acknowledge the SYN
s/ + !!(p->tcp & TCP_SYN) + / + /
