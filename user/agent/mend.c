// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* When the store is behind, all that belongs there is written in one go; so are
 * the pins. */
#include "mend.h"

#include <stdio.h>
#include <string.h>

#include "../datapath/registry.h"
#include "alarms.h"
#include "reload/applied.h"
#include "health/drains.h"
#include "interfaces.h"
#include "log.h"
#include "pins.h"
#include "store/save.h"

#define REMEDY "free space on, or mend, agent.stateDir; what was not written is written then"

struct again {
	struct store *store;
	int r;
};

static void reject_again(void *arg, const char *service, const char *version, const struct perch_rejection *r)
{
	struct again *again = arg;

	if (!again->r)
		again->r = store_reject(again->store, service, version, r);
}

/* A person may have taken a rejection back that the store still has. */
static int write_pardons(struct agent *a, const struct service *s)
{
	int r = 0;

	for (int i = 0; i < PERCH_SLOTS && !r; i++)
		if (s->slot[i].name[0] && s->slot[i].pardoned)
			r = store_unreject(a->store, s->name, s->slot[i].name);
	return r;
}

static int write_all(struct agent *a)
{
	struct again again = { .store = a->store };
	int r = store_begin(a->store);

	if (r)
		return r;
	registry_rejections(&a->datapath.maps, reject_again, &again);
	r = again.r;
	for (struct service *s = a->services; s && !r; s = s->next)
		r = write_pardons(a, s) ?: save_service(a, s) ?: save_rollout(a, s, true) ?: drains_save(a, s);
	if (!r)
		r = applied_save(a) ?: events_store(a->events, a->store);
	pins_store_lost(a);	/* a million would be long here: by and by */
	return store_end(a->store, r);
}

/* Opened for the first time. */
static int mend_missing(struct agent *a, char why[STORE_WHY])
{
	bool corrupt;

	return store_open(&a->store, a->config->agent.state_dir, &corrupt, why);
}

static int mend_file(struct agent *a, char why[STORE_WHY])
{
	bool gone = store_gone(a->store);
	int r = store_reopen(a->store, why);

	if (!r)
		snprintf(why, STORE_WHY, gone ? "'%s' was deleted and is made anew" : "the database in '%s' was damaged and is set aside",
			 a->config->agent.state_dir);
	if (!r && gone && agent_lock_state(a))
		log_error("stateDir '%s' is used by another perchd now", a->config->agent.state_dir);
	return r;
}

void mend_store(struct agent *a)
{
	bool lost = !a->store || store_gone(a->store) || store_damaged(a->store);
	char why[STORE_WHY] = "";
	int r = 0;

	if (!a->store)
		r = mend_missing(a, why);
	else if (lost)
		r = mend_file(a, why);
	else if (store_error(a->store))
		snprintf(why, sizeof(why), "%s", store_error(a->store));
	/* it may be one that was out of reach: what it says of rejections counts */
	if (lost && !r)
		save_rejections(a);
	if (why[0])
		alarm_raise(a, "store", "", NULL, REMEDY, "state is not kept on disk: %s", why);
	else if (!lost && !store_error(a->store))
		return;
	if (r || write_all(a))
		return;
	store_is_whole(a->store);
	alarm_clear(a, "store", "");
}

void mend_pins(struct agent *a)
{
	const char *path = a->datapath.maps.pin_path;
	char why[WHY] = "";
	int r;

	if (datapath_pinned(&a->datapath)) {
		alarm_clear(a, "pins", "");
		return;
	}
	r = datapath_repin(&a->datapath, why);
	if (r) {
		alarm_raise(a, "pins", "", NULL, "mount -t bpf bpf /sys/fs/bpf; perchd pins again by itself",
			    "the pins in '%s' are gone, and traffic stops when perchd does: %s", path, why[0] ? why : strerror(-r));
		return;
	}
	alarm_raise(a, "pins", "", NULL, NULL, "the pins in '%s' were gone, and are made again", path);
	/* links that were deleted with them are detached */
	for (struct attachment *t = a->attachments; t; t = t->next)
		t->ifindex = 0;
	interfaces_apply(a);
}
