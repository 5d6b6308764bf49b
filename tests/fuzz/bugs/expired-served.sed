# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: an expired entry is used
s/^\tif (flow_expired(p->tag, p->now)) {$/\tif (flow_expired(p->tag, p->now) \&\& !forward) {/
