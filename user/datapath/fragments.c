/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Owns the entries of `addresses` for later fragments, which name no port: an
 * address and a protocol lead to one listener of the service that takes them
 * there.  Which of its listeners that is matters to nobody.
 */
#include "elements.h"

#include <string.h>

#include <bpf/bpf.h>

static struct perch_endpoint fragments_key(const struct perch_listener *l)
{
	return (struct perch_endpoint){ .address = l->address, .protocol = l->protocol, .fragments = 1 };
}

/* The listener whose service takes the fragments of this key, 0: none does. */
static __u32 fragments_listener(const struct tables *t, unsigned service, const struct perch_endpoint *key)
{
	if (!t->m->services[service].fragments)
		return 0;
	for_each_listener(t, service, id) {
		const struct perch_listener *l = &t->m->listeners[id];
		struct perch_endpoint own = fragments_key(l);

		if (l->in_use && !memcmp(&own, key, sizeof(own)))
			return id;
	}
	return 0;
}

bool fragments_hold(const struct tables *t, const struct perch_endpoint *key, __u32 id)
{
	return id < t->m->control->listeners_n && t->m->listeners[id].service < t->m->control->services &&
	       fragments_listener(t, t->m->listeners[id].service, key) == id;
}

/* Who has the entry: id of a listener, 0: nobody. */
static __u32 fragments_entry(const struct tables *t, const struct perch_endpoint *key)
{
	__u32 id;

	return bpf_map_lookup_elem(t->m->addresses_fd, key, &id) || id >= t->m->control->listeners_n ? 0 : id;
}

bool fragments_taken(const struct tables *t, unsigned service, const struct perch_endpoint *e)
{
	struct perch_endpoint key = { .address = e->address, .protocol = e->protocol, .fragments = 1 };
	__u32 id = fragments_entry(t, &key);

	return id && t->m->listeners[id].service != service;
}

int fragments_settle(struct tables *t, unsigned service)
{
	int err = 0;

	for_each_listener(t, service, id) {
		const struct perch_listener *l = &t->m->listeners[id];
		struct perch_endpoint key = fragments_key(l);
		__u32 want, have;
		int r = 0;

		want = fragments_listener(t, service, &key);
		have = fragments_entry(t, &key);
		if (want == have || (have && t->m->listeners[have].service != service))
			continue;
		if (want)
			r = bpf_map_update_elem(t->m->addresses_fd, &key, &want, BPF_ANY);
		else
			bpf_map_delete_elem(t->m->addresses_fd, &key);
		if (r)
			err = r;
	}
	return err;
}
