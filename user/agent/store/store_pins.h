/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Pins in the store: by service and client, with the name or role that was
 * asked for and the time (ms since 1970, 0: for good) at which they run out.
 * As everywhere in the store, one that is NULL accepts all and knows nothing.
 */
#ifndef PERCH_AGENT_STORE_PINS_H
#define PERCH_AGENT_STORE_PINS_H

#include "store.h"

struct stored_pin {
	struct perch_address client;
	const char *target;
	__u64 until;
};

/* Each in one transaction. */
int store_pins_set(struct store *s, const char *service, const struct stored_pin *pin, size_t n);
int store_pins_delete(struct store *s, const char *service, const struct perch_address *client, size_t n);
/* As many as that of a service.  How many they were, 0: none is left. */
int store_pins_delete_some(struct store *s, const char *service, int most);

/* Every pin of a service, or of those that ask for one target.  fn returns
 * false to stop; it must not use the store. */
int store_pins_each(struct store *s, const char *service, const char *target,
		    bool (*fn)(void *arg, const struct stored_pin *pin), void *arg);
/* The next of a service after one client (NULL: the first), n at most, in the
 * order of clients.  0 or -errno; the same holds for fn. */
int store_pins_next(struct store *s, const char *service, const struct perch_address *after, size_t n,
		    bool (*fn)(void *arg, const struct stored_pin *pin), void *arg);
/* What a client's pin asks for.  0 or -ENOENT. */
int store_pin_target(struct store *s, const char *service, const struct perch_address *client, char ret[PERCH_NAME_LEN]);

#endif
