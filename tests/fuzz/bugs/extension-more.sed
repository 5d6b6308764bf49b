# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse_odd.h: five extension headers are taken
s/^#define EXTENSIONS 4$/#define EXTENSIONS 5/
