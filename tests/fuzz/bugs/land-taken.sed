# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse.h: a packet from where it goes to is steered
s/^\t\treturn PERCH_R_LAND;$/\t\treturn PARSED;/
