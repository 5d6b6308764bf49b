/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Pins: single clients led to a version, for a time or for good.  The pinned
 * map has all of them and is the truth while it lasts; the store has the names
 * they ask for, and is the truth when the map is new.  A pin by name follows
 * its version: without it the pin leads nowhere, with it it leads there again.
 */
#ifndef PERCH_AGENT_PINS_H
#define PERCH_AGENT_PINS_H

#include "agent.h"

struct pin_wanted {
	struct perch_address client;
	const char *version;	/* name or role */
	__u64 ttl;		/* ns; 0: for good */
};

/* Who asks, for the event. */
struct pin_asker {
	const struct actor *actor;
	const char *comment;
};

/* All of them or none.  0, or -errno with a sentence: -ENOENT (no such
 * version), -ENOSPC (the table is full), or the datapath's. */
int pins_set(struct agent *a, struct service *s, const struct pin_wanted *p, size_t n, const struct pin_asker *asker,
	     char why[AGENT_WHY]);
/* -ENOENT: one of them is not there, and all stay. */
int pins_delete(struct agent *a, struct service *s, const struct perch_address *client, size_t n,
		const struct pin_asker *asker, char why[AGENT_WHY]);
/* Returns how many there were, or -errno. */
int pins_delete_all(struct agent *a, struct service *s, const struct pin_asker *asker, char why[AGENT_WHY]);

/* What a pin asks for: a name or a role; NULL: nobody knows.  buffer may be
 * used for it. */
const char *pins_asks(const struct agent *a, const struct service *s, const struct perch_address *client,
		      const struct perch_pin *pin, char buffer[PERCH_NAME_LEN]);

/* What led to a version that is no longer in its slot, pins and rules, leads
 * nowhere; before another name is written there.  *ret_moved is set when a
 * slot has another version than when pins_place was called last. */
int pins_leave(struct agent *a, struct service *s, bool *ret_moved);
/* After rules_place: pins of the store when the service is new to the kernel,
 * and those that ask for a version that has come. */
int pins_place(struct agent *a, struct service *s, char why[AGENT_WHY]);
/* Pins found in the kernel, with which the sweep brings the store in line. */
void pins_takeover(struct agent *a, struct service *s);
/* The store lost what it had: it is to be written again from the map. */
void pins_store_lost(struct agent *a);

/* The sweep, in slices: what ran out goes, what the store lacks is written. */
int pins_start(struct agent *a);
void pins_stop(struct agent *a);

#endif
