# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: ICMPv6's pseudo header is forgotten
s/ + sum + (v6 ? address : 0));/ + sum);/
