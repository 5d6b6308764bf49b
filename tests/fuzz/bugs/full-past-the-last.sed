# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/source.h: the last port of the range is not the last
s/valid \&= 0xff >> (SOURCE_PORTS - 1 - /valid \&= 0xff >> (SOURCE_PORTS - 2 - /
