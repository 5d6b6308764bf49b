# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: a drain that is due ends nobody
s/return created < READ(v->drain_before) && bpf_ktime_get_ns() >= READ(v->drain_at);/return false;/
