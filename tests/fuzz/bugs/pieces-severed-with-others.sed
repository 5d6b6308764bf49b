# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/fragments.h: an entry is as old as the first connection that left it
s/if (f \&\& READ(f->created) < p->flow.created)/if (0)/
