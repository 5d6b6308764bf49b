# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: an error about a flow that is unknown goes to a backend that can not know it
s/return p->both \&\& !p->found ? PERCH_R_PROTOCOL : GO;/return GO;/
