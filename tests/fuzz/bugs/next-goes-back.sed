# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/track.h: an old segment takes the sequence number back
s/if (!syn && (s32)(track_end(p) - p->flow.client_next) > 0)/if (!syn)/
