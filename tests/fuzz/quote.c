/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The model's reading of ICMP errors (RFC 792, RFC 4443): what they quote, and
 * the packet that would answer it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "parts.h"

#define FARTHEST (255 - 8 - 60 - 20)	/* of ICMP's header: all that may follow lies below 256 */
#define FARTHEST_TUNNEL (255 - 40 - 8 - 60 - 8)	/* the same of what a tunnel's error quotes */

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
	if (r != UNDERSTOOD) {
		p->quoted = 0;
		return r;
	}
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

/* Where what is in a tunnel of our kind begins; 0: in none. */
static __u32 inside(const struct seen *p)
{
	if (!p->quoted || p->quoted != p->quote + (p->v6 ? 40 : 20) || p->quote > FARTHEST_TUNNEL)
		return 0;
	if (p->protocol == IPPROTO_IPIP || p->protocol == IPPROTO_IPV6)
		return p->quoted;
	if (p->protocol != IPPROTO_UDP || ntohs(p->source_port) != PERCH_GUE_PORT || ntohs(p->destination_port) < 49152)
		return 0;
	return p->quoted + 8;
}

/* The packet in the tunnel, as from its sender. */
static bool read_inside(const struct model_run *run, struct seen *p)
{
	const __u8 *ip = run->in->byte + p->quote;
	struct perch_address client = { { 0, 0, htonl(0xffff), 0 } };
	__u8 outer = p->protocol;
	__be16 port;
	__u32 end;

	if (p->quote + 20 > p->length)
		return false;
	p->v6 = ip[0] >> 4 == 6;
	if (outer != IPPROTO_UDP && outer != (p->v6 ? IPPROTO_IPV6 : IPPROTO_IPIP))
		return false;
	if (p->quote + (p->v6 ? 40 : 20) > p->length)
		return false;
	memcpy((__u8 *)&client + (p->v6 ? 0 : 12), ip + (p->v6 ? 8 : 12), p->v6 ? 16 : 4);
	p->destination = client;
	if (quote_ip(run, p, &end) != UNDERSTOOD || quote_ports(run, p, end) != UNDERSTOOD)
		return false;
	port = p->destination_port;
	p->destination = p->source;
	p->destination_port = p->source_port;
	p->source = client;
	p->source_port = port;
	return true;
}

/* The backend of the flow that p was sent in, if it is there and its segment on
 * the way. */
static struct perch_backend *backend_inside(struct model *m, struct seen *p)
{
	const struct perch_flow *f;
	struct slot s;

	p->place = model_place(m, &p->source, p->source_port, p->protocol);
	s = table_forward(m, p);
	if (!s.set || tag_expired(m, *slot_tag(s)))
		return NULL;
	f = slot_flow(s);
	if (is_tcp(p) && (p->seq == f->client_next || f->client_next - p->seq > 4u << 20))
		return NULL;
	return f->backend < MODEL_BACKENDS ? &m->t.backend[f->backend] : NULL;
}

/* TC hears of its own tunnels: what fits, in which case that is kept. */
int quote_tunnel(struct model *m, struct seen *p, int reason)
{
	struct perch_address from = p->destination, to = p->source;
	const __u8 *icmp = m->run->in->byte + p->transport;
	__u32 at = m->run->hook == PERCH_HOOK_TC_IN ? inside(p) : 0, mtu;
	bool v6 = p->v6, gue = p->protocol == IPPROTO_UDP;
	const struct perch_service *s;
	struct perch_backend *k;

	if (!at)
		return reason;
	p->quote = at;
	k = read_inside(m->run, p) ? backend_inside(m, p) : NULL;
	if (!k || k->forward != (gue ? PERCH_GUE : PERCH_IPIP) || !same_address(&k->address, &to))
		return PERCH_R_TUNNEL_DOUBT;
	s = &m->t.service[k->service];
	if (v6 ? !same_address(&from, &s->tunnel6) : from.word[3] != s->tunnel4)
		return PERCH_R_TUNNEL_DOUBT;
	if (icmp[0] != (v6 ? 2 : 3) || (!v6 && icmp[1] != 4))
		return PERCH_R_TUNNEL_ERROR;
	mtu = v6 ? read_number(icmp + 4, 4) : read_number(icmp + 6, 2);
	mtu = v6 && mtu < 1280 ? 1280 : mtu > 0xffff ? 0xffff : mtu;
	if (!mtu)
		return PERCH_R_TUNNEL_DOUBT;
	if (!k->path || mtu < perch_path_mtu(k->path))
		k->path = perch_path(~0ull, mtu);
	return PERCH_R_PATH_MTU;
}
