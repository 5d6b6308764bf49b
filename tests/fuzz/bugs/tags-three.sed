# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse_odd.h: a third tag is an address
s/^\t\tp->tags++;$/\t\tp->tags = 1;/
