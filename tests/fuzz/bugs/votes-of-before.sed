# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/witness.h: connections from before the rollout vote
s/ && (s32)(f->epoch - w->observed->since_epoch) >= 0;/;/
