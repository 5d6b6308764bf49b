/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The model's fragments (RFC 791, RFC 8200): those behind the first have no
 * ports, and go by an entry of client and listener's address that every new
 * connection and every first fragment leaves, where a service takes them.
 */
#include <string.h>

#include "parts.h"

int pieces_taken(const struct model *m, const struct seen *p, int reason)
{
	if (p->service != PERCH_NO_SERVICE)
		return m->t.service[p->service].fragments ? reason : PERCH_R_FRAGMENT;
	return p->later ? PERCH_R_FRAGMENT : reason;
}

struct perch_listener *pieces_listener(struct model *m, const struct perch_address *address, __u8 protocol)
{
	for (unsigned i = 0; i < m->n_pieces; i++) {
		struct perch_listener *l = &m->t.listener[m->pieces[i]];

		if (l->protocol == protocol && same_address(&l->address, address))
			return l;
	}
	return NULL;
}

void pieces_follow(struct model *m, struct seen *p)
{
	struct perch_flow *f = slot_flow(p->at);

	if (p->reply)
		f->via = p->via;
	else
		f->flags = (f->flags & ~PERCH_FLOW_UP) | (hop_up(p->via) ? PERCH_FLOW_UP : 0);
	table_touch(m, p->at, PERCH_FRAGMENTS);
}

/* What p's flow leaves for its fragments; false: its service does not take them. */
static bool pieces_entry(struct model *m, const struct seen *p, struct perch_flow *ret)
{
	const struct perch_listener *l = pieces_listener(m, p->reply ? &p->new_address : &p->destination, p->protocol);

	if (!m->t.service[p->service].fragments || !l)
		return false;
	*ret = p->flow;
	ret->key = (struct perch_flow_key){
		.client = p->flow.key.client, .listener = l - m->t.listener, .protocol = p->protocol | PERCH_KEY_FRAGMENTS,
	};
	ret->translated = 0;
	ret->flags &= PERCH_FLOW_UP;
	ret->via = p->reply ? p->via : 0;
	return true;
}

void pieces_expect(struct model *m, const struct seen *p)
{
	struct perch_flow f;

	if (pieces_entry(m, p, &f) && table_leave(m, &f) == ENTERED_NOT_FULL)
		count(m, PERCH_R_TABLE_FULL);
}
