# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/track.h: a RST is believed wherever it is
s/return seq - expected + RST_WINDOW < 2 \* RST_WINDOW;/return true;/
