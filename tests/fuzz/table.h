/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the parts of the model's flow table hand to each other: table.c, alias.c,
 * fullnat.c, sweep.c. */
#ifndef PERCH_FUZZ_TABLE_H
#define PERCH_FUZZ_TABLE_H

#include "parts.h"

#define WAYS (2 * PERCH_WAYS)
#define ALIAS_RESTS 64		/* ticks */

/* Way i of both sets of a place. */
struct slot place_slot(const struct model *m, const struct model_place *at, unsigned i);
__u32 age_of(const struct model *m, __u64 tag);
/* Has it the place's fingerprint, and nobody's hand on it? */
bool is_at(struct slot s, const struct model_place *at);
bool same_client(const struct perch_flow_key *a, const struct perch_address *client, __be16 port, __u8 protocol);
/* The one entry with all of this key. */
struct slot table_exact(struct model *m, const struct model_place *at, const struct perch_flow_key *key);
/* The port that a flow's backend listens on. */
__be16 backend_port(struct model *m, const struct perch_flow *f);
/* Does an entry say that replies to its key come from this address and port? */
bool leads(struct model *m, const struct perch_flow *f, const struct perch_address *backend, __be16 port);

/* Is it somebody's connection that goes on? */
bool is_going_on(__u64 tag);
/* A connect that came again and again and found nobody. */
bool is_unanswered(const struct model *m, __u64 tag, const struct perch_flow *f);
void flow_over(struct model *m, __u32 backend);

/* Who may give way at this place; none: all stay. */
struct slot table_victim(const struct model *m, const struct model_place *at);
/* Must all of a set stay? */
bool set_is_full(const struct model *m, struct perch_flow_set *set);
/* Put an entry there; whoever had the slot is told of.  created 0: now. */
void fill(struct model *m, struct slot s, const struct model_place *at, const struct perch_flow *f, __u32 class);
/* Does another connection of this client port lead to the same backend? */
bool has_rival(struct model *m, const struct model_place *at, const struct perch_flow_key *key,
	       const struct perch_address *backend, __be16 port);

/* alias.c: the flow with a source port of its own, and what leads its replies
 * back. */
enum entered enter_aliased(struct model *m, struct seen *p, __u32 class);
/* The flow that an alias stands for; none: that has ended or has another port. */
struct slot follow(struct model *m, const struct perch_flow *alias);

/* fullnat.c: the same with a source of this host. */
enum entered enter_full(struct model *m, struct seen *p, __u32 class);

#endif
