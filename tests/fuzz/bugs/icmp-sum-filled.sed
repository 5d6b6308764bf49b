# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: a datagram without a checksum is quoted with one
s/^\t\tif (old) {/\t\tif (1) {/
