/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Services as the kernel's tables: listeners, versions, backends, Maglev
 * slices and the filter.  The order of writes is such that a packet sees the
 * old or the new state of each connection's path, never a mixture: new
 * backends before the slices that name them, each slice published as one word,
 * listeners after what they lead to; removal in the opposite order.  A
 * backend that left keeps its element until its last flow ended.
 *
 * A backend that its service names is UP, or held: DRAINING by a person, DOWN
 * by its health check.  Slices lead to those that are UP.  Its share goes to
 * the others of its version and family while it is held; theirs stays.
 */
#ifndef PERCH_TABLES_H
#define PERCH_TABLES_H

#include "../core/model.h"
#include "datapath.h"

/* A backend that a person drains, in whichever version it is. */
struct placed_drain {
	struct perch_address address;
	__be16 port;
	__u64 since;		/* seconds since 1970; for people */
};

struct placed_version {
	unsigned slot;
	const char *name;
	enum perch_role role;
	const struct model_backend *backends;
	size_t n_backends;
	const struct perch_endpoint *doors;
	size_t n_doors;
};

struct placed_service {
	unsigned id;
	const char *name;
	const struct perch_endpoint *listen;
	size_t n_listen;
	const __u16 *exclude;	/* ports that an endpoint with port 0 leaves alone */
	size_t n_exclude;
	__u64 adopt;		/* ns from the first take-over of a listener */
	enum perch_forward forward;
	bool fragments;
	struct perch_address tunnel[PERCH_FAMILIES];	/* outer sources, by the backend's family */
	const struct perch_sources *sources;	/* of fullnat, else NULL */
	enum perch_affinity affinity;
	enum perch_established established;
	enum perch_stable_down stable_down;
	__u32 drain_ms;
	const struct placed_drain *drains;
	size_t n_drains;
	bool sampling;		/* in a rollout */
	bool observed;		/* wants votes and histograms, */
	bool http;		/* and statuses of HTTP/1 */
	__u32 reflex_limit;
	__u32 limit_us[PERCH_LIMITS];
	__u32 limits;
	struct placed_version version[PERCH_SLOTS];
	size_t n_versions;
};

struct tables;

/* Reads what is there, so that ids of backends and listeners stay. */
int tables_open(struct tables **ret, struct datapath *d);
void tables_close(struct tables *t);

/* A free element of `services`, or -ENOSPC. */
int tables_service_id(struct tables *t);
/* Bring the kernel to s.  Does not touch the split: a new service gets its
 * split by split_init before its listeners appear (`plan` and `twin`; NULL
 * for one that has a split).  0, -ENOSPC, -EADDRINUSE (a listener of another
 * service), -ENOMEM; -EAGAIN: room for slices in a second.  On an error packets
 * go on as before. */
int tables_apply(struct tables *t, const struct placed_service *s, const struct perch_plan *plan,
		 const struct perch_plan *twin, char why[WHY]);
/* Outer sources of a service's tunnels, by the backend's family; none: 0. */
void tables_tunnel(struct tables *t, unsigned service, const struct perch_address source[PERCH_FAMILIES]);
/* No votes, histograms and reflex any more, until the next apply. */
void tables_unobserve(struct tables *t, unsigned service);
/* Take listeners away, for others to have them; its flows go on. */
void tables_release(struct tables *t, unsigned service);
/* Take listeners away, then the rest; its flows are severed, call flows_sever
 * to have the idle ones end too. */
int tables_remove(struct tables *t, unsigned service);
/* The same without an end for anybody: what its flows send from now on passes
 * to the stack. */
int tables_hand_back(struct tables *t, unsigned service);
/* Ports (host order) that a service's listeners with port 0 leave alone, at
 * most `max` of them; how many. */
size_t tables_excluded(const struct tables *t, unsigned service, __u16 *ports, size_t max);
/* What the kernel counts for a rollout. */
struct comparison {
	__u32 since_epoch;	/* connections from before do not vote */
	unsigned canary;	/* slot */
	bool on;		/* tallies are kept */
	bool once;		/* clients keep their version: each votes once */
	__u8 edge[2][PERCH_WAITS][PERCH_EDGES];	/* as in struct perch_observed */
};
/* Clears the reflex' streak and the blame, too. */
void tables_compare(struct tables *t, unsigned service, const struct comparison *c);
/* Whose the canary's bad votes are since tables_compare began to count; -ENOENT
 * when the service is not observed. */
int tables_blame(const struct tables *t, unsigned service, struct perch_blame *ret);
/* Votes of a slot by epoch; of each place the newest epoch.  Errors as of
 * tables_votes.  Read while the kernel writes: a count may be less than it was
 * before, once, when its cell is being taken over. */
int tables_tallies(const struct tables *t, unsigned service, unsigned slot, struct perch_tallies *ret);
/* A connection that has lasted, in one minute of the kernel's monotonic clock
 * (struct perch_turns). */
struct turns {
	__u32 epoch;
	unsigned slot;
	double buckets;		/* mean of its turns' histogram buckets, with the slack */
	double first;		/* the same in its first minute; NAN: it is that minute */
};
/* Those of a service that had turns in that minute, which is over. */
void tables_turns(const struct tables *t, unsigned service, __u32 minute, void (*fn)(void *arg, const struct turns *of), void *arg);
/* Votes and histograms of a slot up to now, which samples tell later.  0,
 * -ENOENT when the service is not observed, -errno.  A slot's begin at 0 with
 * every version that comes into it. */
int tables_votes(const struct tables *t, unsigned service, unsigned slot, struct perch_votes *ret);
/* Rollback's second write, for a version: `now` ends its flows created before
 * now (monotonic ns); drain: from now + drain_ms on. */
void version_sever(struct perch_control *host, struct perch_version *v, __u64 now);
void version_drain(struct perch_control *host, struct perch_version *v, __u64 now, __u32 drain_ms);

/* Backends are held for these reasons (enum perch_backend_held, 0: none).  No
 * packet chooses one before it is UP, nor any more when it is DOWN or DRAINING.
 * 0, or -errno (-EAGAIN) when a slice could not follow: their states are as
 * said, and the next tables_apply brings the slices to it. */
struct tables_hold {
	__u32 backend;		/* one that its service names */
	__u8 held;
};
int tables_hold(struct tables *t, const struct tables_hold *h, size_t n);
/* The same for one, by its address; -ENOENT: the slot has none. */
int tables_backend_hold(struct tables *t, unsigned service, unsigned slot, const struct perch_address *a, __be16 port,
			__u8 held);
/* Its service names it: it has not left. */
static inline bool tables_backend_named(const struct perch_backend *b)
{
	return b->state == PERCH_BACKEND_UP || b->held;
}

/* Ids of the kernel for what a name or address means; 0 is none. */
__u32 tables_backend_id(const struct tables *t, unsigned service, unsigned slot, const struct perch_address *a, __be16 port);
/* The element after `id` (0: the first) of a service's backends, those that
 * left included; of its listeners, those that rest included.  0 behind the
 * last. */
__u32 tables_backend_next(const struct tables *t, unsigned service, __u32 id);
__u32 tables_listener_next(const struct tables *t, unsigned service, __u32 id);
/* Weight that its service gives it, 0: it has left. */
__u32 tables_backend_weight(const struct tables *t, __u32 backend);
/* Free elements of backends (and listeners) that left and whose flows have
 * ended; `active` says how many a backend has.  Call every second or so. */
void tables_reap(struct tables *t, __u64 (*active)(void *arg, __u32 backend), void *arg);
/* No backend of the slot has an element any more: another version may have it. */
bool tables_version_empty(const struct tables *t, unsigned service, unsigned slot);

#endif
