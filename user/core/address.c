/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Addresses as text.  There is one text for each address: what is formatted
 * parses to the same bytes, and a result is untouched when parsing fails.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "address.h"

static int v4_parse(const char *text, struct perch_address *ret)
{
	struct in_addr in;

	if (inet_pton(AF_INET, text, &in) != 1)
		return -EINVAL;
	*ret = (struct perch_address){ .word = { 0, 0, htonl(0xffff), in.s_addr } };
	return 0;
}

static int v6_parse(const char *text, struct perch_address *ret)
{
	struct in6_addr in;

	if (inet_pton(AF_INET6, text, &in) != 1)
		return -EINVAL;
	memcpy(ret->word, &in, sizeof(ret->word));
	return 0;
}

/* The `length` bytes at text as a string; -EINVAL when they are too many for
 * any address. */
static int cut(const char *text, size_t length, char out[ADDRESS_TEXT])
{
	if (length >= ADDRESS_TEXT)
		return -EINVAL;
	memcpy(out, text, length);
	out[length] = 0;
	return 0;
}

static int port_parse(const char *text, __be16 *ret)
{
	__u32 port = 0;
	size_t n = strlen(text);

	/* a leading 0 would be a second text for the same port */
	if (!n || n > 5 || (n > 1 && text[0] == '0'))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		port = port * 10 + (*text - '0');
	}
	if (port > 0xffff)
		return -EINVAL;
	*ret = htons(port);
	return 0;
}

/* "[address]" and what follows the bracket. */
static int bracket_parse(const char *text, struct perch_address *ret, const char **ret_rest)
{
	const char *end = strchr(text, ']');
	char inner[ADDRESS_TEXT];

	if (!end || cut(text + 1, end - text - 1, inner) || v6_parse(inner, ret))
		return -EINVAL;
	*ret_rest = end + 1;
	return 0;
}

int address_parse(const char *text, struct perch_address *ret)
{
	struct perch_address a;
	const char *rest = "";
	int err;

	if (text[0] == '[')
		err = bracket_parse(text, &a, &rest);
	else
		err = strchr(text, ':') ? v6_parse(text, &a) : v4_parse(text, &a);
	if (err || *rest)
		return -EINVAL;
	*ret = a;
	return 0;
}

bool address_is_v4(const struct perch_address *a)
{
	return !a->word[0] && !a->word[1] && a->word[2] == htonl(0xffff);
}

bool address_is_none(const struct perch_address *a)
{
	return !(a->word[0] | a->word[1] | a->word[2] | a->word[3]);
}

enum perch_family address_family(const struct perch_address *a)
{
	return address_is_v4(a) ? PERCH_IPV4 : PERCH_IPV6;
}

const char *address_format(const struct perch_address *a, char out[ADDRESS_TEXT])
{
	if (address_is_v4(a))
		inet_ntop(AF_INET, &a->word[3], out, ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, a->word, out, ADDRESS_TEXT);
	return out;
}

/* *ret_port_text is what follows the colon, NULL without one. */
static int host_parse(const char *text, struct perch_address *ret, const char **ret_port_text)
{
	const char *rest = "", *colon = strchr(text, ':');
	char host[ADDRESS_TEXT];
	int err;

	if (text[0] == '[') {
		err = bracket_parse(text, ret, &rest);
	} else if (colon && strchr(colon + 1, ':')) {
		err = v6_parse(text, ret);
	} else {
		rest = colon ? colon : "";
		err = cut(text, colon ? (size_t)(colon - text) : strlen(text), host);
		if (!err)
			err = v4_parse(host, ret);
	}
	if (err || (*rest && *rest != ':'))
		return -EINVAL;
	*ret_port_text = *rest ? rest + 1 : NULL;
	return 0;
}

int address_port_parse(const char *text, struct perch_address *ret, __be16 *ret_port)
{
	const char *port_text;
	struct perch_address a;
	__be16 port = 0;

	if (host_parse(text, &a, &port_text) || (port_text && port_parse(port_text, &port)))
		return -EINVAL;
	*ret = a;
	*ret_port = port;
	return 0;
}

static void with_port(const struct perch_address *a, __be16 port, char out[ADDRESS_TEXT])
{
	char host[INET6_ADDRSTRLEN];

	if (address_is_v4(a))
		snprintf(out, ADDRESS_TEXT, "%s:%u", inet_ntop(AF_INET, &a->word[3], host, sizeof(host)), ntohs(port));
	else
		snprintf(out, ADDRESS_TEXT, "[%s]:%u", inet_ntop(AF_INET6, a->word, host, sizeof(host)), ntohs(port));
}

const char *address_port_format(const struct perch_address *a, __be16 port, char out[ADDRESS_TEXT])
{
	if (!port)
		return address_format(a, out);
	with_port(a, port, out);
	return out;
}

void address_mask(struct perch_address *a, __u32 prefix)
{
	for (__u32 i = 0; i < 4; i++) {
		__u32 bits = prefix > 32 * i ? prefix - 32 * i : 0;

		if (bits < 32)
			a->word[i] &= bits ? htonl(~0u << (32 - bits)) : 0;
	}
}

/* The number after the slash: at most three digits, no leading 0. */
static int bits_parse(const char *text, __u32 most, __u32 *ret)
{
	__be16 number;

	if (port_parse(text, &number) || ntohs(number) > most)
		return -EINVAL;
	*ret = ntohs(number);
	return 0;
}

int prefix_parse(const char *text, struct perch_address *ret, __u32 *ret_prefix)
{
	const char *slash = strchr(text, '/');
	struct perch_address a, masked;
	char head[ADDRESS_TEXT];
	__u32 shift, bits;

	if (cut(text, slash ? (size_t)(slash - text) : strlen(text), head) || address_parse(head, &a))
		return -EINVAL;
	shift = strchr(head, ':') ? 0 : 96;
	bits = 128 - shift;
	if (slash && bits_parse(slash + 1, bits, &bits))
		return -EINVAL;
	masked = a;
	address_mask(&masked, shift + bits);
	*ret = masked;
	*ret_prefix = shift + bits;
	return memcmp(&masked, &a, sizeof(a)) ? -EDOM : 0;
}

const char *prefix_format(const struct perch_address *a, __u32 prefix, char out[ADDRESS_TEXT])
{
	/* ::ffff:0:0/90 begins below what is IPv4 */
	bool v4 = address_is_v4(a) && prefix >= 96;
	size_t n;

	address_format(a, out);
	n = strlen(out);
	if (prefix < 128)
		snprintf(out + n, ADDRESS_TEXT - n, "/%u", v4 ? prefix - 96 : prefix);
	return out;
}

int endpoint_parse(const char *text, struct perch_endpoint *ret)
{
	const char *slash = strchr(text, '/'), *port_text;
	struct perch_endpoint e = { 0 };
	char head[ADDRESS_TEXT];

	if (!slash || cut(text, slash - text, head) || host_parse(head, &e.address, &port_text))
		return -EINVAL;
	/* a listener on every port is too much to say by leaving something out */
	if (!port_text || port_parse(port_text, &e.port))
		return -EINVAL;
	if (!strcmp(slash + 1, "tcp"))
		e.protocol = IPPROTO_TCP;
	else if (!strcmp(slash + 1, "udp"))
		e.protocol = IPPROTO_UDP;
	else
		return slash[1] ? -EPROTONOSUPPORT : -EINVAL;
	*ret = e;
	return 0;
}

const char *endpoint_format(const struct perch_endpoint *e, char out[ADDRESS_TEXT])
{
	size_t n;

	with_port(&e->address, e->port, out);
	n = strlen(out);
	if (e->protocol == IPPROTO_TCP || e->protocol == IPPROTO_UDP)
		snprintf(out + n, ADDRESS_TEXT - n, "/%s", e->protocol == IPPROTO_TCP ? "tcp" : "udp");
	else
		snprintf(out + n, ADDRESS_TEXT - n, "/%u", e->protocol);
	return out;
}
