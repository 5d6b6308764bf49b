# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: a router's error comes from the listener
s/^\tif (!p->from_end) {/\tif (0) {/
