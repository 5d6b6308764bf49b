# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/source.h: the port of a flow that its client ended does not rest
s/^\tif (p->alias_tag)$/\tif (0)/
