# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/parse.h: a second tag is not looked through
s/if ((void \*)(type + 1) <= end \&\& is_tag(\*type))/if (0)/
