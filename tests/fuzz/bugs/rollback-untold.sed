# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rollback.h: the host does not hear that the kernel severed or drained
s/^\trollback_tell(now);$//
