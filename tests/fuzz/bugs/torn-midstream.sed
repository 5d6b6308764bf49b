# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/pick.h: a torn plan sends connections of before to the canary
s/slot = whole ? pick_ambiguous/slot = true ? pick_ambiguous/
