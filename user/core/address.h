/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Addresses, ports and endpoints as text and as the contract's bytes. */
#ifndef PERCH_CORE_ADDRESS_H
#define PERCH_CORE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include <perch/abi.h>

#define ADDRESS_TEXT 64		/* room for any of the forms below */

/* "192.0.2.1", "2001:db8::1", "[2001:db8::1]".  0 or -EINVAL. */
int address_parse(const char *text, struct perch_address *ret);
bool address_is_v4(const struct perch_address *a);
/* All zero: no address of any family. */
bool address_is_none(const struct perch_address *a);
enum perch_family address_family(const struct perch_address *a);
const char *address_format(const struct perch_address *a, char out[ADDRESS_TEXT]);

/* "10.0.1.2", "10.0.1.2:80", "[::1]:80".  *ret_port is 0 without a port (or
 * with port 0), in network order.  0 or -EINVAL. */
int address_port_parse(const char *text, struct perch_address *ret, __be16 *ret_port);
/* Always with the port unless it is 0: "10.0.1.2:80", "[2001:db8::1]:80". */
const char *address_port_format(const struct perch_address *a, __be16 port, char out[ADDRESS_TEXT]);

/* "10.9.0.0/16", "10.9.1.1", "2001:db8::/32": *ret_prefix counts bits of the
 * 128, so an IPv4 /16 is 112 and an address alone is 128.  0, -EINVAL, or -EDOM
 * when bits behind the prefix are set; then it is masked, and what it gave. */
int prefix_parse(const char *text, struct perch_address *ret, __u32 *ret_prefix);
const char *prefix_format(const struct perch_address *a, __u32 prefix, char out[ADDRESS_TEXT]);
/* Zeroes the bits behind the prefix. */
void address_mask(struct perch_address *a, __u32 prefix);

/* "192.0.2.10:80/tcp".  0, -EINVAL, or -EPROTONOSUPPORT. */
int endpoint_parse(const char *text, struct perch_endpoint *ret);
const char *endpoint_format(const struct perch_endpoint *e, char out[ADDRESS_TEXT]);

#endif
