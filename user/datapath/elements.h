/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What tables.c is made of: struct tables, and the elements of each map with
 * their rules of taking, filling and giving back.  Private to this folder.
 *
 * Everything below writes to memory that programs read at the same time: an
 * element is filled before the byte or the word that makes it known, and each
 * field is one aligned store.
 */
#ifndef PERCH_ELEMENTS_H
#define PERCH_ELEMENTS_H

#include "index.h"
#include "slices.h"
#include "tables.h"

/* What user space knows of a backend beside its element. */
struct backend_note {
	__u64 idle_since;	/* ns; 0: had flows when last looked at */
	__u32 round;		/* of the apply that asked for it last */
	__u32 asked;		/* weight, by that apply */
	__u32 weight;		/* as last committed */
	bool wanted;		/* by a version, as last committed */
};

struct tables {
	struct maps *m;
	struct slices slices;
	struct backend_note *backend;	/* by id */
	struct index backends;	/* that have an element, by version, address and port */
	struct index listeners;	/* in use or resting, by endpoint */
	__u32 next_backend;	/* where the search for a free one begins, so that
				 * an id rests as long as possible */
	__u32 next_observed;
	__u32 next_service, next_listener;	/* likewise */
	__u32 any_port;		/* listeners in use with port 0 */
	__u64 listeners_freed;	/* ns: when listeners_free looked last */
	struct exception *exceptions;
	size_t n_exceptions;
	__u32 round;
	int cpus;
};

#define store(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELAXED)
#define publish(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELEASE)

/* Put zeros into element `key` of a per-CPU map. */
int elements_zero(const struct tables *t, int fd, __u32 key, size_t size);

/* The elements of a service, in the order in which they came. */
#define for_each_backend(t, service, id)                                       \
	for (__u32 id = (t)->backends.first[service]; id; id = (t)->backends.next[id])
#define for_each_listener(t, service, id)                                      \
	for (__u32 id = (t)->listeners.first[service]; id; id = (t)->listeners.next[id])

/* backends.c */
int backends_open(struct tables *t);
/* The element of a backend, found or taken.  What its health check said of it
 * stays, whether a person drains it is told.  -ENOSPC, -errno. */
int backends_place(struct tables *t, const struct placed_service *s, unsigned slot, const struct model_backend *b,
		   bool drained, __u32 *ret_id);
/* Why it is not UP, and with it its state. */
void backend_hold(struct perch_backend *b, __u8 held);
/* The end of an apply.  Committed: what the service's versions did not ask
 * for leaves; else: what was taken for it leaves again. */
void backends_settle(struct tables *t, unsigned service, bool committed);
void backends_observe(struct tables *t, unsigned service, __u16 observed);
bool backends_left(const struct tables *t, unsigned service);

/* spread.c: a version's table for one family */
struct spread {
	__u16 *table;		/* freed by who asked for it; NULL without entries */
	size_t size;		/* 0: none of its backends is up */
};
/* Of the backends that the apply under way asked for, or that were committed.
 * 0 or -errno. */
int spread_make(const struct tables *t, __u32 version, enum perch_family family, bool committed, struct spread *ret);

/* listeners.c */
struct listeners_change {
	__u32 *id;		/* by endpoint, see listeners_endpoint */
	bool *fresh;		/* taken for this change, not published yet */
	size_t n;
};
int listeners_open(struct tables *t);
/* The listener in use at an endpoint, 0: none. */
__u32 listeners_find(const struct tables *t, const struct perch_endpoint *e);
/* Elements for every endpoint, unknown to packets yet.  -EADDRINUSE,
 * -ENOSPC, -ENOMEM; nothing is kept then. */
int listeners_prepare(struct tables *t, const struct placed_service *s, struct listeners_change *c, char why[WHY]);
/* Make them known.  0 or -errno; what was made known then stays. */
int listeners_publish(struct tables *t, const struct placed_service *s, const struct listeners_change *c);
/* Take away the service's listeners that are not in c, and its exceptions that
 * s does not name (both NULL: all). */
void listeners_prune(struct tables *t, unsigned service, const struct placed_service *s, const struct listeners_change *c);
/* Give up what listeners_prepare took and was not published. */
void listeners_cancel(struct tables *t, struct listeners_change *c);
void listeners_change_free(struct listeners_change *c);
/* Elements that no flow names any more, at most once a minute unless pressed.
 * True when there were some. */
bool listeners_free(struct tables *t, bool pressed);
bool listeners_resting(const struct tables *t);

/* fragments.c */
/* Is the entry as it is to be? */
bool fragments_hold(const struct tables *t, const struct perch_endpoint *key, __u32 id);
/* Are an address' fragments another service's? */
bool fragments_taken(const struct tables *t, unsigned service, const struct perch_endpoint *e);
/* Bring the entries to the service's listeners that are in use.  0 or -errno. */
int fragments_settle(struct tables *t, unsigned service);

/* exceptions.c */
struct exception {
	struct perch_endpoint at;
	__u16 service;
};
/* One that stands in `addresses` already.  0 or -ENOMEM. */
int exceptions_note(struct tables *t, unsigned service, const struct perch_endpoint *at);
/* Those of s into `addresses`, before its listeners are.  0 or -errno. */
int exceptions_publish(struct tables *t, const struct placed_service *s);
/* Take away the service's that s does not name (NULL: all). */
void exceptions_prune(struct tables *t, unsigned service, const struct placed_service *s);
bool exceptions_have(const struct tables *t, const struct perch_endpoint *at);
void exceptions_close(struct tables *t);

/* sources.c */
/* Bits of every source that flows may have, for packets to know them by. */
void sources_open(struct tables *t);
/* Numbers for the service's sources, unknown to packets yet.  -ENOSPC. */
int sources_prepare(struct tables *t, const struct placed_service *s, struct perch_sources *ret, char why[WHY]);
/* What new flows may have from now on; all zero: nothing. */
void sources_publish(struct tables *t, unsigned service, const struct perch_sources *want);

/* observed.c */
/* An element for the service, or 0 when it wants none.  -ENOSPC. */
int observed_prepare(struct tables *t, const struct placed_service *s, __u16 *ret_id);
/* Votes and histograms of a slot to 0, for the version that comes into it. */
int observed_clear(const struct tables *t, __u16 id, unsigned slot);
/* Its limits; before the service names it. */
void observed_publish(struct tables *t, const struct placed_service *s, __u16 id);

#endif
