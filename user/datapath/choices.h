/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is asked before the hash: pins of single clients, rules by source
 * prefix, marks by DSCP, as the kernel's maps hold them.  A service's bits in
 * services[].choosers are kept true: set once there is an entry, cleared when
 * the last one goes.  One process writes; what it finds it takes over.
 */
#ifndef PERCH_CHOICES_H
#define PERCH_CHOICES_H

#include "datapath.h"

/* A target that there never is: the hash decides, counted as target_void. */
#define CHOICE_VOID (PERCH_TARGET_SLOT | 0x7f)
#define CHOICE_MARKS 64		/* values of DSCP */
#define CHOICE_SLICE 4096	/* entries of the largest slice of a walk */

struct choices;

/* Reads what is there; what belongs to no service is cleared away. */
int choices_open(struct choices **ret, const struct maps *m);
void choices_close(struct choices *c);
/* A service goes: all that leads to its versions. */
void choices_clear(struct choices *c, unsigned service);
/* Is there a pin, rule or mark with this target? */
bool choices_lead_to(const struct choices *c, unsigned service, __u8 target);
/* A version leaves its slot: what led there leads nowhere from now on. */
int choices_void_slot(struct choices *c, unsigned service, unsigned slot);

struct choice_rule {
	struct perch_address source;	/* masked to its prefix */
	__u32 prefix;		/* bits of the 128; an IPv4 /16 is 112 */
	__u32 target;		/* a role, PERCH_TARGET_SLOT | slot, or CHOICE_VOID */
};
/*
 * These become the service's rules: new ones are there before old ones go (if
 * there is room for both), what did not change is not touched.  Sorts rule.
 * -ENOSPC (all services together have more than PERCH_RULES), -EINVAL (a
 * prefix twice), -errno; the rules are those of before then.
 */
int choices_rules(struct choices *c, unsigned service, struct choice_rule *rule, size_t n, char why[WHY]);
size_t choices_rules_count(const struct choices *c, unsigned service);
/* Target by DSCP, 0: none. */
void choices_marks(struct choices *c, unsigned service, const __u8 target[CHOICE_MARKS]);

/* `client` is of IPv6 the /64 (hash_client); pin.until in monotonic ns.
 * -ENOSPC: the table is full. */
int choices_pin(struct choices *c, unsigned service, const struct perch_address *client, const struct perch_pin *pin);
/* -ENOENT: there was none. */
int choices_unpin(struct choices *c, unsigned service, const struct perch_address *client);
/* All of a service. */
int choices_pins_clear(struct choices *c, unsigned service);
int choices_pin_find(const struct maps *m, unsigned service, const struct perch_address *client, struct perch_pin *ret);
/* How many pins a service has, how many of them lead to this target, and how
 * many of all services run out. */
size_t choices_pins_count(const struct choices *c, unsigned service);
size_t choices_pins_to(const struct choices *c, unsigned service, __u8 target);
size_t choices_pins_timed(const struct choices *c);
size_t choices_pins_room(const struct choices *c);	/* the table's size */

/* Where a walk over all pins stands; begin with zeros. */
struct choice_walk {
	__u32 at;
	bool begun;
};
/* One slice more, of at most this many: fn for each pin in it; fn may change or
 * take it away.  1, or 0 at the end, or -errno. */
int choices_pins_walk(const struct choices *c, struct choice_walk *w, __u32 most,
		      void (*fn)(void *arg, const struct perch_pin_key *key, const struct perch_pin *pin), void *arg);

#endif
