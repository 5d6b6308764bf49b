# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/track.h: two FINs that crossed close nothing
s/return (p->flow.flags & both) == both && perch_tag_class(p->tag) != PERCH_CLOSING;/return (p->flow.flags \& both) == both \&\& perch_tag_class(p->tag) == PERCH_BUSY;/
