# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: flows stay with a backend that is down
s/k->state == PERCH_BACKEND_DOWN || k->state == PERCH_BACKEND_NONE || //
