# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/track.h: any ACK of the client is proof
s/^\t\t p->ack == p->flow.backend_next)$/\t\t true)/
