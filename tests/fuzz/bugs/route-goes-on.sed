# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse_odd.h: a packet with a route that leads on is taken for one that arrived
s/ && (!\*type || \*left))/ \&\& (!*type || (*left \&\& !*type)))/
