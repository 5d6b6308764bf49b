# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/reflex.h: one client alone pulls the reflex
s/^\t       bits_of(r.clients) >= REFLEX_CLIENTS;$/\t       bits_of(r.clients) >= 1;/
