# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/enter.h: a lock is not released when the table is full
s/^\t__sync_lock_test_and_set(&stripe->lock, 0);$/\tif (r != FLOW_FULL)\n\t\t__sync_lock_test_and_set(\&stripe->lock, 0);/
