# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: a datagram whose checksum comes to 0 has none
s/return udp && !r ? 0xffff : r;/return r;/
