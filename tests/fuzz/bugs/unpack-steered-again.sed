# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/unpack.h: TC steers once more what XDP takes out
s/if (steer_listener(p))/if (0)/
