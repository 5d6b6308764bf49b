# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: a backend on this host gets packets from a source of this host
s/return k->forward == PERCH_FULLNAT \&\& !k->local;/return k->forward == PERCH_FULLNAT;/
