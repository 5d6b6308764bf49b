# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/toobig.h: a backend hears of it from its client
s/bool listener = p->way == WAY_REPLY \&\& !p->both;/bool listener = false;/
