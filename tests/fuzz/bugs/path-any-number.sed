# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/path.h: what fits a tunnel is believed of a segment that nobody sent
/client_next - p->seq - 1 >= PATH_WINDOW/s/>= PATH_WINDOW/>= ~0u/
