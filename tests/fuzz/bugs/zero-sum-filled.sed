# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: a datagram without a checksum gets one
s/^\t\tif (u->check)\t.*$/\t\tif (true)/
