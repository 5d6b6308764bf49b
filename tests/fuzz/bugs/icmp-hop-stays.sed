# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: forwarding costs no hop
s/if (!write_ip(ip, end, p, address, hop))/if (!write_ip(ip, end, p, address, false))/
