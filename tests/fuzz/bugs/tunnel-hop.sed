# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/tunnel.h: no hop is counted inside a tunnel
s/^\twrite_hop(ip, v6);$//
