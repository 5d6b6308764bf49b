# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/pick.h: the choice of who comes in pieces goes by ports
s/sv->fragments ? 0 : p->source_port/p->source_port/
