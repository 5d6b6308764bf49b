/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Client tuples that share their first set and their fingerprint in the flow
 * table: one in a billion pairs, so they are looked for.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "fuzz.h"

#define TUPLES (1u << 17)
#define PORT 30000

struct tuple {
	__u32 look;		/* fingerprint and set, as one number */
	__u32 n;
};
static struct tuple twin[FUZZ_TWINS];
static unsigned twins;

static int by_look(const void *a, const void *b)
{
	const struct tuple *x = a, *y = b;

	return x->look < y->look ? -1 : x->look > y->look;
}

static void tuple_of(__u32 n, struct perch_address *client, __u16 *port)
{
	*client = lab_client(false, n % 4096);
	*port = PORT + n / 4096;
}

void twins_find(const struct model *m)
{
	struct tuple *t = calloc(TUPLES, sizeof(*t));

	if (!t)
		abort();
	for (__u32 n = 0; n < TUPLES; n++) {
		struct perch_address client;
		struct model_place at;
		__u16 port;

		tuple_of(n, &client, &port);
		at = model_place(m, &client, htons(port), IPPROTO_TCP);
		t[n] = (struct tuple){ at.fingerprint << 7 | (at.set[0] & 127), n };
	}
	qsort(t, TUPLES, sizeof(*t), by_look);
	for (__u32 i = 1; i < TUPLES && twins + 2 <= FUZZ_TWINS; i++)
		if (t[i].look == t[i - 1].look) {
			twin[twins++] = t[i - 1];
			twin[twins++] = t[i];
		}
	free(t);
}

bool twins_get(unsigned i, struct perch_address *client, __u16 *port)
{
	if (i >= twins)
		return false;
	tuple_of(twin[i].n, client, port);
	return true;
}
