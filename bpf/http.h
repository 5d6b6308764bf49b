/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Statuses of HTTP/1 (RFC 9112, 4), of services that ask for them: the first
 * bytes of a response to what was asked.  Of requests in a row without waiting
 * only the first response is read; what is encrypted says nothing.
 */
#ifndef PERCH_BPF_HTTP_H
#define PERCH_BPF_HTTP_H

#include "evidence.h"

#define HTTP_LINE 12		/* "HTTP/1.1 503" */
#define HTTP_TRIES 3		/* two CPUs may turn flags of one flow at once */

/* Where the payload is in a frame that has `length` now: tags may be gone. */
static __always_inline u32 http_offset(const struct packet *p, u32 length)
{
	return p->ip + p->ip_length - p->payload - (p->length - length);
}

/* First digit of the status, or 0. */
static __always_inline u32 http_class(const u8 line[HTTP_LINE])
{
	static const char begin[] = "HTTP/1.";
	bool same = line[8] == ' ' && line[9] >= '1' && line[9] <= '5';

#pragma unroll
	for (u32 i = 0; i < sizeof(begin) - 1; i++)
		same &= line[i] == begin[i];
	return same ? line[9] - '0' : 0;
}

/* The entry remembers the worst; true: this is it, and the connection has not
 * settled. */
static __always_inline bool http_remember(u32 *flags, u32 worst)
{
	u32 was = READ(*flags);

#pragma unroll
	for (int i = 0; i < HTTP_TRIES && perch_flow_http(was) < worst; i++) {
		u32 got = __sync_val_compare_and_swap(flags, was, perch_flow_with_http(was, worst));

		if (got == was)
			return !(was & PERCH_FLOW_SETTLED);
		was = got;
	}
	return false;
}

static __always_inline u32 http_worst(u32 class)
{
	return class == 5 ? PERCH_HTTP_SERVER_ERROR : class == 4 ? PERCH_HTTP_CLIENT_ERROR : PERCH_HTTP_GOOD;
}

GLOBAL int http_status(struct packet *p, u32 class)
{
	struct perch_flow_set *fs = p ? element(flows, p->found_set) : NULL;
	struct witness w;
	u32 i = class - 1;

	opaque(i);		/* Linux 6.1 learns nothing of a number by its sum */
	if (!fs || i >= 5 || !witness_call(&p->flow, &w) || !w.votes)
		return 0;
	w.votes->http[i]++;
	witness_tell(&w);
	if (!i)			/* the response is yet to come */
		return 0;
	if (http_remember(&fs->flow[p->found_way & (PERCH_WAYS - 1)].flags, http_worst(i + 1)) && i == 4)
		tally_outcome(&p->flow, PERCH_HTTP_5XX, true);
	return 0;
}

GLOBAL int http_read_xdp(struct xdp_md *ctx, struct packet *p)
{
	u8 line[HTTP_LINE];

	if (p && p->payload >= HTTP_LINE &&
	    !bpf_xdp_load_bytes(ctx, http_offset(p, bpf_xdp_get_buff_len(ctx)), line, HTTP_LINE))
		http_status(p, http_class(line));
	return 0;
}

GLOBAL int http_read_tc(struct __sk_buff *skb, struct packet *p)
{
	u8 line[HTTP_LINE];

	if (p && p->payload >= HTTP_LINE && !bpf_skb_load_bytes(skb, http_offset(p, skb->len), line, HTTP_LINE))
		http_status(p, http_class(line));
	return 0;
}

#endif
