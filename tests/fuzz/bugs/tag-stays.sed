# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: a single tag stays
s/if (bpf_skb_vlan_pop(skb) || (p->tags > 1 && bpf_skb_vlan_pop(skb)))/if (p->tags > 1 \&\& (bpf_skb_vlan_pop(skb) || bpf_skb_vlan_pop(skb)))/
