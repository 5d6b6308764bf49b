# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: a listener that is handed back takes new connections
s/^\tif (l->leaving)$/\tif (l->leaving > 1)/
