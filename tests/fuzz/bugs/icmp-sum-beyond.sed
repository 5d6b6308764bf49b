# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: a checksum is changed that was not quoted
s/sum + sizeof(u16) <= last ? sum : 0;/sum + sizeof(u16) <= last + 40 ? sum : 0;/
