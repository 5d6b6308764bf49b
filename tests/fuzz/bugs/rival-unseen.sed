# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/enter.h: two connections of one client port share it towards one backend
s/ == p->new_port;$/ == p->new_port \&\& port == 0;/
