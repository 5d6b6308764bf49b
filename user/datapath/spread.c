/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns how a version's connections are spread over its backends: the Maglev
 * table of each family.  All that the version names have their places in it,
 * those that are up or not; what is not up leaves its places to the rest until
 * it comes back, so that nobody else's clients move. */
#include "elements.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "../core/maglev.h"

/* A backend's place in the table depends on its address and port alone, so
 * that every host that knows it puts it there.  FNV-1a with a final mix. */
static __u64 maglev_key(const struct perch_backend *b)
{
	__u8 bytes[sizeof(b->address) + sizeof(b->port)];
	__u64 h = 0xcbf29ce484222325ull;

	memcpy(bytes, &b->address, sizeof(b->address));
	memcpy(bytes + sizeof(b->address), &b->port, sizeof(b->port));
	for (size_t i = 0; i < sizeof(bytes); i++)
		h = (h ^ bytes[i]) * 0x100000001b3ull;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdull;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53ull;
	return h ^ h >> 33;
}

/* Tunnels carry packets of either family. */
static bool is_member(const struct tables *t, __u32 id, __u32 version, enum perch_family family, bool committed)
{
	const struct perch_backend *b = &t->m->backends[id];
	const struct backend_note *note = &t->backend[id];

	return b->version == version &&
	       (committed ? note->wanted : note->round == t->round) &&
	       (perch_tunnels(b->forward) || address_family(&b->address) == family);
}

/* From all members to those that are up; their entries are free to take. */
static size_t keep_up(const struct tables *t, struct maglev_member *member, size_t n, __u16 *table, size_t size)
{
	size_t up = 0;

	for (size_t i = 0; i < size; i++)
		if (t->m->backends[table[i]].held)
			table[i] = 0;
	for (size_t i = 0; i < n; i++)
		if (!t->m->backends[member[i].id].held)
			member[up++] = member[i];
	return up;
}

static int spread_fill(const struct tables *t, struct maglev_member *member, size_t n, struct spread *s)
{
	size_t up;
	int err = maglev_fill(member, n, s->table, s->size);

	if (err)
		return err;
	up = keep_up(t, member, n, s->table, s->size);
	if (up)
		return up < n ? maglev_mend(member, up, s->table, s->size) : 0;
	s->size = 0;
	return 0;
}

int spread_make(const struct tables *t, __u32 version, enum perch_family family, bool committed, struct spread *ret)
{
	unsigned service = version / PERCH_SLOTS;
	struct maglev_member *member;
	size_t n = 0;
	int err = -ENOMEM;

	*ret = (struct spread){ 0 };
	for_each_backend(t, service, id)
		n += is_member(t, id, version, family, committed);
	if (!n)
		return 0;
	member = calloc(n, sizeof(*member));
	if (!member)
		return err;
	n = 0;
	for_each_backend(t, service, id)
		if (is_member(t, id, version, family, committed))
			member[n++] = (struct maglev_member){
				.key = maglev_key(&t->m->backends[id]),
				.weight = committed ? t->backend[id].weight : t->backend[id].asked,
				.id = id,
			};
	ret->size = maglev_size(member, n);
	ret->table = ret->size ? malloc(ret->size * sizeof(*ret->table)) : NULL;
	if (!ret->size || ret->table)
		err = ret->size ? spread_fill(t, member, n, ret) : 0;
	free(member);
	return err;
}
