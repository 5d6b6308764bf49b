// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns what an address of a service may be: its listeners, its versions'
 * doors, and where packets may go at all.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "../core/address.h"
#include "parts.h"
#include "values.h"

const char *endpoint_refused(const struct perch_address *a)
{
	const struct perch_address unspecified = {}, loopback = { { 0, 0, 0, htonl(1) } };
	const __u8 *byte = (const __u8 *)a;
	__u32 v4 = ntohl(a->word[3]);

	if (address_is_v4(a)) {
		if (v4 >> 24 == 127)
			return "is a loopback address, which no packet from outside reaches; give an address of an interface";
		if (v4 >> 24 == 0)
			return "is an unspecified address; give the one that clients or servers use";
		if (v4 >> 28 == 0xe)
			return "is a multicast address; only unicast is split";
		return v4 == 0xffffffff ? "is the broadcast address; only unicast is split" : NULL;
	}
	if (!memcmp(a, &loopback, sizeof(*a)))
		return "is a loopback address, which no packet from outside reaches; give an address of an interface";
	if (!memcmp(a, &unspecified, sizeof(*a)))
		return "is an unspecified address; give the one that clients or servers use";
	if (byte[0] == 0xff)
		return "is a multicast address; only unicast is split";
	if (byte[0] == 0xfe && (byte[1] & 0xc0) == 0x80)
		return "is a link-local address, which has no route; give a global or unique local one";
	return NULL;
}

int listener_read(struct reader *r, yaml_node_t *node, void *element)
{
	static const char what[] = "ADDRESS:PORT/PROTOCOL, like 192.0.2.10:80/tcp or \"[2001:db8::10]:443/udp\" in quotes";
	struct perch_endpoint *e = element;
	const char *text, *refused;
	int err;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	err = endpoint_parse(text, e);
	if (err == -EPROTONOSUPPORT)
		return reader_fail(r, node, "%s names a protocol that perch does not split; use tcp or udp",
				   value_quote(text).text);
	if (err)
		return schema_misread(r, node, what);
	refused = endpoint_refused(&e->address);
	if (refused)
		return reader_fail(r, node, "%s %s", value_quote(text).text, refused);
	return reader_place(r, e, reader_line(node));
}

int door_read(struct reader *r, yaml_node_t *node, void *element)
{
	const struct perch_endpoint *e = element;
	int err = listener_read(r, node, element);

	if (!err && !e->port)
		return reader_fail(r, node, "a door is one port, not every port; name the port");
	return err;
}
