# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/pick.h: a pin leads to the canary after a rollback
s/return !(epoch & 1);/return true;/
