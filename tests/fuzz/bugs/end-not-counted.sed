# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/flow.h: a victim's end is not counted
s/^\t\tflow_ended(READ(f->backend));$/\t\t;/
