# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: the same over IPv6
s/^\t\tip->hop_limit -= hop;$//
