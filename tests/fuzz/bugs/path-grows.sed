# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/path.h: a larger MTU is believed at once
s/if (was < now || mtu <= perch_path_mtu(was))/if (was != 1)/
