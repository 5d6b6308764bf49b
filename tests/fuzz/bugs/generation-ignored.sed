# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: a next hop of before a route change is used
s/ && perch_via_generation(via) == (c->route_generation & 0xff) ? via : 0;/ ? via : 0;/
