# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/pick.h: the plan before a rollback is looked for under the twin's epoch
s/^\t\tepoch--;$//
