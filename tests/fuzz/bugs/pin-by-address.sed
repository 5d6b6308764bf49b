# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/pick.h: a pin of IPv6 is not the /64's
s/key.client.word\[2\] = key.client.word\[3\] = 0;/key.client.word[3] = key.client.word[3];/
