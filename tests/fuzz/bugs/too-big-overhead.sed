# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/toobig.h: what is told to fit counts the tunnel in
s/too_big_write((void \*)(long)skb->data, (void \*)(long)skb->data_end, p, mtu - overhead, sum)/too_big_write((void *)(long)skb->data, (void *)(long)skb->data_end, p, mtu, sum)/
