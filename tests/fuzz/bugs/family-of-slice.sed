# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/pick.h: IPv6 is led to IPv4's backends
s/u64 slice = READ(v->slice\[v6\]);/u64 slice = READ(v->slice[PERCH_IPV4]);/
