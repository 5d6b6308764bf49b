# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/icmp.h: an established connection is refused
s/if (perch_tag_class(p->tag) != PERCH_EMBRYONIC || /if (/
