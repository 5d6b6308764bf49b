/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The model's reading of ICMP errors (RFC 792, RFC 4443): what they quote, and
 * the packet that would answer it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "parts.h"

#define FARTHEST (255 - 8 - 60 - 20)	/* of ICMP's header: all that may follow lies below 256 */

/* Unreachable, too big, hops that ran out, a bad header: what a translator
 * passes on.  "Fragmentation needed" is an unreachable of somebody who is there. */
static bool is_error(struct seen *p, __u8 type, __u8 code)
{
	p->refuses = p->v6 ? type == 1 : type == 3 && code != 4;
	return p->v6 ? type >= 1 && type <= 4 : type == 3 || type == 11 || type == 12;
}

/* Its own ends must be those of what it quotes. */
static int quote_ends(struct seen *p, const __u8 *from, const __u8 *to)
{
	struct perch_address sender = { { 0, 0, htonl(0xffff), 0 } }, receiver = sender;
	unsigned n = p->v6 ? 16 : 4;

	memcpy((__u8 *)&sender + 16 - n, from, n);
	memcpy((__u8 *)&receiver + 16 - n, to, n);
	if (!same_address(&sender, &p->destination))
		return PERCH_R_NOT_OURS;
	p->from_end = same_address(&receiver, &p->source);
	p->source = receiver;
	return UNDERSTOOD;
}

/* *end: where the quoted packet ended, in the frame. */
static int quote_ip(const struct model_run *r, struct seen *p, __u32 *end)
{
	const __u8 *ip = r->in->byte + p->quote;

	if (p->quote + (p->v6 ? 40 : 20) > p->length || ip[0] >> 4 != (p->v6 ? 6 : 4))
		return PERCH_R_MALFORMED;
	if (p->v6) {
		p->protocol = ip[6];
		p->quoted = p->quote + 40;
		*end = p->quoted + read_number(ip + 4, 2);
		return quote_ends(p, ip + 8, ip + 24);
	}
	if ((ip[0] & 15) < 5)
		return PERCH_R_MALFORMED;
	if (read_number(ip + 6, 2) & 0x1fff)
		return PERCH_R_FRAGMENT;
	p->protocol = ip[9];
	p->quoted = p->quote + (ip[0] & 15) * 4;
	*end = p->quote + read_number(ip + 2, 2);
	return quote_ends(p, ip + 12, ip + 16);
}

static int quote_ports(const struct model_run *r, struct seen *p, __u32 end)
{
	const __u8 *at = r->in->byte + p->quoted;
	__u32 last = p->ip + p->ip_length, sum;

	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP)
		return PERCH_R_PROTOCOL;
	last = last < end ? last : end;
	if (p->quoted + 8 > p->length || p->quoted + 8 > last)
		return PERCH_R_MALFORMED;
	memcpy(&p->destination_port, at, 2);
	memcpy(&p->source_port, at + 2, 2);
	p->seq = read_number(at + 4, 4);
	p->flags = is_tcp(p) ? TCP_ACK : 0;
	p->payload = 0;
	sum = p->quoted + (is_tcp(p) ? 16 : 6);
	p->quoted_sum = sum + 2 <= last ? sum : 0;
	return UNDERSTOOD;
}

static int read_quote(struct model *m, struct seen *p)
{
	const struct model_run *run = m->run;
	const __u8 *icmp = run->in->byte + p->transport;
	__u32 end = 0;
	int r;

	if (p->transport > FARTHEST)
		return PERCH_R_IP_OPTIONS;
	if (p->transport + 8 > p->length)
		return PERCH_R_MALFORMED;
	if (!is_error(p, icmp[0], icmp[1]))
		return PERCH_R_PROTOCOL;
	p->quote = p->transport + 8;
	r = quote_ip(run, p, &end);
	if (r == UNDERSTOOD)
		r = quote_ports(run, p, end);
	if (r != UNDERSTOOD)
		return r;
	return read_is_ours(m, p) ? UNDERSTOOD : PERCH_R_NOT_OURS;
}

/* Of what has no address of ours nothing else is told. */
int quote_read(struct model *m, struct seen *p)
{
	bool ours = p->to_listener || p->from_backend;
	int r = read_quote(m, p);

	return r == UNDERSTOOD || ours ? r : PERCH_R_NOT_OURS;
}
