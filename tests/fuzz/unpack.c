/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's end of tunnels: IP in IP (RFC 2003, RFC 2473) and GUE variant 1,
 * that come by an interface which unpacks, to an address of this host, with one
 * inside.  All else that is in a tunnel passes as it came.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "parts.h"

static bool is_local(const struct model *m, const struct perch_address *a)
{
	for (unsigned i = 0; i < m->n_local; i++)
		if (same_address(&m->local[i], a))
			return true;
	return false;
}

static bool is_asked(const struct model *m, const struct seen *p, int reason)
{
	if (m->run->hook == PERCH_HOOK_TC_OUT || p->first || p->later || p->tags)
		return false;
	if (reason == PERCH_R_PROTOCOL)
		return p->protocol == IPPROTO_IPIP || p->protocol == IPPROTO_IPV6;
	return (reason == PERCH_R_NO_LISTENER || reason == PERCH_R_NOT_OUR_REPLY) && p->protocol == IPPROTO_UDP &&
	       ntohs(p->destination_port) == PERCH_GUE_PORT;
}

static bool ends_here(const struct model *m, const struct seen *p)
{
	for (__u32 i = 1; i < PERCH_DEVICES; i++)
		if (m->t.device[i].in_use && m->t.device[i].ifindex == m->run->ifindex)
			return m->t.device[i].decap && is_local(m, &p->destination);
	return false;
}

/* Is what the packet inside says of its length in what the outer one does? */
static bool has_room(const struct model *m, const struct seen *p, __u32 at, __u32 length)
{
	if (at - p->ip + length > p->ip_length)
		return false;
	return length || m->run->gso_size;	/* BIG TCP */
}

/* Where what is inside goes to; false: it is none that can be read. */
static bool read_inside(const struct model *m, const struct seen *p, __u32 at, struct seen *ret)
{
	const __u8 *ip = m->run->in->byte + at;
	__u32 header = ret->v6 ? 40 : 20, length;
	bool ports = at + header + 4 <= p->length;

	if (at + header > p->length || ip[0] >> 4 != (ret->v6 ? 6 : 4))
		return false;
	ret->protocol = ip[ret->v6 ? 6 : 9];
	if (ret->v6) {
		length = read_number(ip + 4, 2);
		length += length ? header : 0;
		memcpy(&ret->destination, ip + 24, 16);
	} else {
		length = read_number(ip + 2, 2);
		if ((ip[0] & 15) < 5)
			return false;
		ports &= (ip[0] & 15) == 5 && !(read_number(ip + 6, 2) & 0x1fff);
		ret->destination.word[2] = htonl(0xffff);
		memcpy(&ret->destination.word[3], ip + 16, 4);
	}
	if (ports)
		memcpy(&ret->destination_port, ip + header + 2, 2);
	return has_room(m, p, at, length) && (!ret->v6 || !is_v4(&ret->destination));
}

static void take_out(struct model *m, __u32 at, bool v6)
{
	const struct packet *in = m->run->in;
	__u8 *byte = m->out.byte;

	m->out.length = ETH_HLEN + in->length - at;
	memcpy(byte, in->byte, 2 * ETH_ALEN);
	byte[12] = v6 ? ETH_P_IPV6 >> 8 : ETH_P_IP >> 8;
	byte[13] = v6 ? ETH_P_IPV6 & 255 : ETH_P_IP & 255;
	memcpy(byte + ETH_HLEN, in->byte + at, in->length - at);
}

int unpack(struct model *m, const struct seen *p, int reason)
{
	__u32 at = p->transport + (p->protocol == IPPROTO_UDP ? 8 : 0);
	struct seen in = { .service = PERCH_NO_SERVICE };

	if (!is_asked(m, p, reason) || !ends_here(m, p))
		return reason;
	if (at >= p->length)
		return PERCH_R_NOT_UNPACKED;
	in.v6 = m->run->in->byte[at] >> 4 == 6;
	if (p->protocol != IPPROTO_UDP && p->protocol != (in.v6 ? IPPROTO_IPV6 : IPPROTO_IPIP))
		return PERCH_R_NOT_UNPACKED;
	if (!read_inside(m, p, at, &in) || !is_local(m, &in.destination))
		return PERCH_R_NOT_UNPACKED;
	/* or TC would steer what is inside once more */
	if (m->run->hook == PERCH_HOOK_XDP && listener_of(m, &in))
		return PERCH_R_LEFT_WRAPPED;
	take_out(m, at, in.v6);
	return PERCH_R_UNPACKED;
}
