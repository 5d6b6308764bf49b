# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/pick.h: the canary takes all when stable is down, unasked
s/sv->stable_down == PERCH_DOWN_CANARY && now.plan.low_end/now.plan.low_end/
