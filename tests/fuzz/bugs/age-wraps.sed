# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/flow.h: a tick ahead of ours is an old one
s/return age & (0 - ((age - FLOW_AHEAD) >> 63));/return age;/
