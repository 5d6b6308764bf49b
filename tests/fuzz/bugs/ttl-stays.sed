# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: a router that does not count hops
s/^\t\tip->ttl -= hop;$//
