/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The programs.  perch_xdp and perch_tc_in steer what comes in; what XDP can't
 * finish (no neighbour, a device that takes no redirected frames, a checksum
 * yet to be filled in, too big) it passes unmodified, and TC does it.
 * perch_tc_out turns the replies of backends on this host.  perch_tick arms
 * the clockwork; it is run, never attached.
 */
#include "answer.h"
#include "carry.h"
#include "clockwork.h"
#include "commit.h"
#include "http.h"
#include "icmp.h"
#include "parse.h"
#include "parse_odd.h"
#include "path.h"
#include "toobig.h"
#include "trace.h"
#include "unpack.h"

/* The scratch packet of this CPU and hook, ready for parse. */
static __always_inline struct packet *packet_begin(u32 hook, u32 bits, u32 length, u32 ifindex)
{
	struct packet *p = element(scratch, hook);

	if (!p)
		return NULL;
	p->hook = hook;
	p->to_listener = bits & OURS_TO_LISTENER;
	p->from_backend = bits & OURS_FROM_BACKEND;
	p->length = length;
	p->ifindex = ifindex;
	p->segments = 1;
	p->gso = 0;
	p->piece = PIECE_WHOLE;
	p->tags = 0;
	p->scattered = 0;
	p->service = PERCH_NO_SERVICE;
	return p;
}

static __always_inline bool reason_drops(u32 reason)
{
	return reason == PERCH_R_SEVERED_DROP || reason == PERCH_R_STABLE_DOWN_DROP || reason == PERCH_R_NO_SOURCE ||
	       reason == PERCH_R_TOO_BIG_DROP || reason == PERCH_R_REWRITE_FAILED;
}

/* Does the filter know an address of p?  If not, p is an ICMP error at best. */
static __always_inline bool packet_named(const struct packet *p)
{
	return p->to_listener | p->from_backend;
}

static __always_inline bool packet_is_icmp(const struct packet *p)
{
	return p->protocol == (p->v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
}

static __always_inline int xdp_pass(u32 reason)
{
	reason_count(PERCH_HOOK_XDP, reason);
	return reason_drops(reason) ? XDP_DROP : XDP_PASS;
}

/* Not steered: out of its tunnel first, if it is in one that ends here. */
static __always_inline int xdp_leave(struct xdp_md *ctx, struct packet *p, u32 reason)
{
	if (unlikely(unpack_asked(p, reason)))
		reason = unpack_xdp(ctx, p, reason);
	return xdp_pass(reason);
}

/* The device that p leaves by, NULL: up the stack.  GO, or the reason to leave
 * it to TC. */
static __always_inline int xdp_device(struct xdp_md *ctx, struct packet *p, struct perch_device **ret)
{
	u32 reason;
	int r;

	*ret = NULL;
	if (!p->via) {
		r = via_look_up(ctx, p);
		if (r)
			return r < 0 ? -r : PERCH_R_NO_NEIGHBOUR;
	}
	if (via_up(p->via))
		return GO;
	*ret = via_device(p, &reason);
	return *ret ? GO : reason;
}

static __always_inline int xdp_next_hop(struct xdp_md *ctx, struct packet *p, struct perch_device **ret)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (p->answer) {
		*ret = device_by_index(p->ifindex);
		return *ret && (*ret)->xmit ? GO : PERCH_R_NO_XMIT;
	}
	if (p->piece == PIECE_WHOLE && sum_missing(data, end, p))
		return PERCH_R_NO_CHECKSUM;
	return xdp_device(ctx, p, ret);
}

/* What parse did not take: an ICMP error may be about a packet that is ours. */
static __always_inline int xdp_other(struct xdp_md *ctx, struct packet *p, int r)
{
	struct perch_device *d = NULL;

	if (r != PERCH_R_PROTOCOL || !packet_is_icmp(p))
		return xdp_leave(ctx, p, packet_named(p) ? r : PERCH_R_NOT_OURS);
	r = icmp_read_xdp(ctx, p);
	if (r == PARSED)
		r = icmp_find(p);
	if (r == GO)
		r = xdp_device(ctx, p, &d);
	if (r != GO)
		return xdp_pass(r);
	icmp_commit(p);
	reason_count(PERCH_HOOK_XDP, PERCH_R_ICMP);
	/* what replies are not turned of is not turned either */
	if (!(perch_one_sided(p->forward) ? carry_xdp(ctx, p, d) : icmp_write_xdp(ctx, p, d != NULL))) {
		reason_count(PERCH_HOOK_XDP, PERCH_R_REWRITE_FAILED);
		return XDP_DROP;
	}
	return d ? bpf_redirect(d->ifindex, 0) : XDP_PASS;
}

SEC("xdp.frags")
int perch_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct perch_device *d = NULL;
	struct packet *p;
	u32 bits = 0;
	int r;

	r = ours(data, end, &bits);
	if (r != PARSED)
		return xdp_pass(r);
	p = packet_begin(PERCH_HOOK_XDP, bits, end - data, ctx->ingress_ifindex);
	if (!p)
		return XDP_PASS;
	r = parse(data, end, p);
	if (unlikely(r != PARSED))
		r = parse_odd_xdp(ctx, p);
	if (unlikely(r != PARSED))
		return xdp_other(ctx, p, r);
	r = steer_find(p);
	if (r == GO)
		r = xdp_next_hop(ctx, p, &d);
	if (r == GO)
		r = steer_commit(p);
	if (r == GO && unlikely(p->moved))
		r = xdp_next_hop(ctx, p, &d);
	trace(p, r == GO ? p->reason : (u32)r);
	if (r != GO)
		return xdp_leave(ctx, p, r);
	reason_count(PERCH_HOOK_XDP, p->reason);
	if (!(p->answer ? answer_xdp(ctx, p) : carry_xdp(ctx, p, d))) {
		reason_count(PERCH_HOOK_XDP, PERCH_R_REWRITE_FAILED);
		return XDP_DROP;
	}
	if (unlikely(p->responds))
		http_read_xdp(ctx, p);
	if (!d)
		return XDP_PASS;
	/* never XDP_TX: a veth whose peer has GRO but no program lets it lie */
	return bpf_redirect(d->ifindex, 0);
}

static __always_inline int tc_pass(u32 hook, u32 reason)
{
	reason_count(hook, reason);
	return reason_drops(reason) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

static __always_inline int tc_leave(struct __sk_buff *skb, struct packet *p, u32 reason)
{
	if (unlikely(unpack_asked(p, reason)))
		reason = unpack_tc(skb, p, reason);
	return tc_pass(PERCH_HOOK_TC_IN, reason);
}

/* PARSED with *ret, or the reason to pass it.  Headers may lie outside the
 * linear part: then they are pulled in. */
static __always_inline int tc_parse(struct __sk_buff *skb, u32 hook, struct packet **ret)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct packet *p;
	u32 bits = 0;
	int r;

	if (unlikely(end - data < HEADERS_IP && (u32)(end - data) < skb->len)) {
		if (bpf_skb_pull_data(skb, skb->len < HEADERS_IP ? skb->len : HEADERS_IP))
			return PERCH_R_MALFORMED;
		data = (void *)(long)skb->data;
		end = (void *)(long)skb->data_end;
	}
	r = ours(data, end, &bits);
	if (r != PARSED)
		return r;
	p = packet_begin(hook, bits, skb->len, skb->ifindex);
	if (!p)
		return PERCH_R_NOT_OURS;
	*ret = p;
	p->segments = skb->gso_segs ? skb->gso_segs : 1;
	p->gso_size = skb->gso_size;
	p->gso = p->gso_size > 0;
	p->tags = skb->vlan_present;
	r = parse(data, end, p);
	return likely(r == PARSED) ? r : parse_odd_tc(skb, p);
}

/* The route is known, the neighbour or the device's MAC is not: the kernel's
 * own output resolves it. */
static __always_inline int tc_redirect_neighbour(const struct bpf_fib_lookup *fib)
{
	struct bpf_redir_neigh next = { .nh_family = fib->family };

	__builtin_memcpy(next.ipv6_nh, fib->ipv6_dst, 16);
	return bpf_redirect_neigh(fib->ifindex, &next, sizeof(next), 0);
}

/* No next hop, for this reason; but what may be fragmented goes up. */
static __always_inline int tc_too_big(struct __sk_buff *skb, struct packet *p, u32 reason)
{
	return reason == PERCH_R_TOO_BIG && too_big_splits(skb, p) ? GO : (int)reason;
}

/* Next hop of p: GO with its device, or with NULL when the neighbour is for
 * the kernel to resolve or it goes up the stack; or the reason to pass it. */
static __always_inline int tc_next_hop(struct __sk_buff *skb, struct packet *p, struct perch_device **ret)
{
	u32 reason = PERCH_R_NO_ROUTE;
	int r;

	*ret = NULL;
	if (!p->via) {
		r = via_look_up(skb, p);
		if (r < 0)
			return tc_too_big(skb, p, -r);
	}
	if (!p->via)
		return via_fits(p, via_mtu(p, ~0u)) ? GO : PERCH_R_TOO_BIG;
	if (via_up(p->via))
		return GO;
	*ret = via_device(p, &reason);
	return *ret ? GO : tc_too_big(skb, p, reason);
}

/* What the next hop takes, of a packet that it did not. */
static __always_inline u32 tc_mtu(struct packet *p)
{
	struct perch_device *d = p->via ? element(devices, perch_via_device(p->via)) : NULL;
	u32 mtu = d ? d->mtu : p->fib.mtu_result;

	return via_mtu(p, mtu ? mtu : ~0u);	/* the path alone, if no neighbour was known */
}

/* A packet that goes nowhere by us: back, away, or as it came up the stack. */
static __always_inline int tc_without(struct __sk_buff *skb, struct packet *p, u32 reason)
{
	if (reason != PERCH_R_TOO_BIG_TOLD)
		return tc_leave(skb, p, reason);
	reason_count(PERCH_HOOK_TC_IN, reason);
	return bpf_redirect(skb->ifindex, 0);
}

/* As xdp_other. */
static __always_inline int tc_other(struct __sk_buff *skb, struct packet *p, int r)
{
	struct perch_device *d = NULL;

	if (!p)
		return tc_pass(PERCH_HOOK_TC_IN, r);
	if (r != PERCH_R_PROTOCOL || !packet_is_icmp(p))
		return tc_leave(skb, p, packet_named(p) ? r : PERCH_R_NOT_OURS);
	r = icmp_read_tc(skb, p);
	if (r == PARSED)
		r = icmp_find(p);
	if (r == GO)
		r = tc_next_hop(skb, p, &d);
	if (r != GO)
		return tc_pass(PERCH_HOOK_TC_IN, path_learn(skb, p, r));
	icmp_commit(p);
	reason_count(PERCH_HOOK_TC_IN, PERCH_R_ICMP);
	if (!(perch_one_sided(p->forward) ? carry_tc(skb, p, d) : icmp_write_tc(skb, p, !via_up(p->via)))) {
		reason_count(PERCH_HOOK_TC_IN, PERCH_R_REWRITE_FAILED);
		return TC_ACT_SHOT;
	}
	if (via_up(p->via))
		return TC_ACT_UNSPEC;
	return d ? bpf_redirect(d->ifindex, 0) : tc_redirect_neighbour(&p->fib);
}

SEC("tc")
int perch_tc_in(struct __sk_buff *skb)
{
	struct perch_device *d = NULL;
	struct packet *p = NULL;
	int r;

	r = tc_parse(skb, PERCH_HOOK_TC_IN, &p);
	if (r != PARSED || !p)
		return tc_other(skb, p, r);
	r = steer_find(p);
	if (r == GO && !p->answer)
		r = tc_next_hop(skb, p, &d);
	if (r == GO)
		r = steer_commit(p);
	if (r == GO && unlikely(p->moved))
		r = tc_next_hop(skb, p, &d);
	if (unlikely(r == PERCH_R_TOO_BIG))
		r = too_big_tell(skb, p, tc_mtu(p), p->overhead);
	trace(p, r == GO ? p->reason : (u32)r);
	if (r != GO)
		return tc_without(skb, p, r);
	reason_count(PERCH_HOOK_TC_IN, p->reason);
	if (p->answer)
		return answer_tc(skb, p);
	if (!carry_tc(skb, p, d)) {
		reason_count(PERCH_HOOK_TC_IN, PERCH_R_REWRITE_FAILED);
		return TC_ACT_SHOT;
	}
	if (unlikely(p->responds))
		http_read_tc(skb, p);
	if (via_up(p->via))
		return TC_ACT_UNSPEC;
	return d ? bpf_redirect(d->ifindex, 0) : tc_redirect_neighbour(&p->fib);
}

/* As tc_other, of what this host's stack says about packets that it got
 * rewritten, or hands on. */
static __always_inline int tc_out_other(struct __sk_buff *skb, struct packet *p, int r)
{
	if (!p || r != PERCH_R_PROTOCOL)
		return tc_pass(PERCH_HOOK_TC_OUT, !p || packet_named(p) ? r : PERCH_R_NOT_OURS);
	r = icmp_read_tc(skb, p);
	if (r == PARSED)
		r = icmp_find(p);
	if (r != GO)
		return tc_pass(PERCH_HOOK_TC_OUT, r);
	icmp_commit(p);
	reason_count(PERCH_HOOK_TC_OUT, PERCH_R_ICMP);
	if (icmp_write_tc(skb, p, false))
		return TC_ACT_UNSPEC;
	reason_count(PERCH_HOOK_TC_OUT, PERCH_R_REWRITE_FAILED);
	return TC_ACT_SHOT;
}

SEC("tc")
int perch_tc_out(struct __sk_buff *skb)
{
	struct packet *p = NULL;
	int r;

	r = tc_parse(skb, PERCH_HOOK_TC_OUT, &p);
	if (r != PARSED || !p)
		return tc_out_other(skb, p, r);
	r = steer_find(p);
	if (r == GO)
		r = steer_commit(p);
	trace(p, r == GO ? p->reason : (u32)r);
	if (r != GO)
		return tc_pass(PERCH_HOOK_TC_OUT, r);
	reason_count(PERCH_HOOK_TC_OUT, p->reason);
	if (p->answer)
		return TC_ACT_SHOT;	/* its sender is this host; the sweep tells it */
	if (!rewrite_tc(skb, p, NULL, false)) {
		reason_count(PERCH_HOOK_TC_OUT, PERCH_R_REWRITE_FAILED);
		return TC_ACT_SHOT;
	}
	if (unlikely(p->responds))
		http_read_tc(skb, p);
	return TC_ACT_UNSPEC;
}

SEC("xdp")
int perch_tick(struct xdp_md *ctx)
{
	return clockwork_arm() ? XDP_ABORTED : XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
