# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/unpack.h: every interface unpacks
s/!d || !d->decap || /!d || /
