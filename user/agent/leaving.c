// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* From the word that a service shall leave to its last connection. */
#include "leaving.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/split.h"
#include "../datapath/choices.h"
#include "../datapath/choices.h"
#include "../datapath/flows.h"
#include "../datapath/listeners.h"
#include "clock.h"
#include "health/health.h"
#include "health/health.h"
#include "store/save.h"
#include "api/view.h"

#define NOT_COUNTED SIZE_MAX
#define ENDS_AT_ONCE 16		/* each walks the flow table */

static __u64 *leaving_until(const struct agent *a, const struct service *s)
{
	return &a->datapath.maps.names[s->id].leaving_until;
}

static __u64 time_left(const struct agent *a, const struct service *s)
{
	__u64 now = clock_now(), until = *leaving_until(a, s);

	return until > now ? until - now : 0;
}

/* Out of one list; false when it is not in it. */
static bool list_take(struct service **list, struct service *s)
{
	while (*list && *list != s)
		list = &(*list)->next;
	if (!*list)
		return false;
	*list = s->next;
	s->next = NULL;
	return true;
}

/* Nothing of the configuration is pointed to any more. */
static void forget_model(struct service *s)
{
	s->model = NULL;
	s->ruled = NULL;
	s->astray = false;
	s->ruled = NULL;
	for (int i = 0; i < PERCH_SLOTS; i++) {
		s->slot[i].model = NULL;
		s->slot[i].in_file = false;
	}
}

/* Nobody beats the heart for it from now on. */
static void disarm(struct agent *a, struct service *s)
{
	struct perch_split *split = &a->datapath.maps.splits[s->id];

	while (split_flags(split, split_word(split), 0, PERCH_ARMED, &s->word) == -ESTALE)
		;
}

static void leaving_put(struct agent *a, struct service *s)
{
	agent_unlist_service(a, s);
	health_forget(a, s);
	forget_model(s);
	s->next = a->leaving;
	a->leaving = s;
	listeners_leave(&a->datapath.maps, s->id, true);
	disarm(a, s);
	tables_unobserve(a->tables, s->id);
	health_forget(a, s);
	s->left = NOT_COUNTED;
}

int leaving_begin(struct agent *a, struct service *s, __u64 drain_ns, const struct actor *actor, const char *comment,
		  char why[AGENT_WHY])
{
	char reason[128];

	if (!s->placed) {
		snprintf(why, AGENT_WHY, "%s: is not in the kernel; nothing is to be handed back", s->name);
		return -EINVAL;
	}
	/* listeners first: with a time alone a new agent would take it away */
	leaving_put(a, s);
	__atomic_store_n(leaving_until(a, s), clock_now() + drain_ns, __ATOMIC_RELEASE);
	snprintf(reason, sizeof(reason), "its listeners are handed back; its connections have %llu s",
		 (unsigned long long)((drain_ns + NS_PER_S - 1) / NS_PER_S));
	agent_emit(a, .kind = "service", .actor = actor, .service = s->name, .to = "leaving", .reason = reason,
		   .comment = comment);
	return 0;
}

void leaving_release(struct agent *a)
{
	for (struct service *s = a->leaving; s; s = s->next)
		tables_release(a->tables, s->id);
}

struct service *leaving_find(const struct agent *a, const char *name)
{
	struct service *s = a->leaving;

	while (s && strcmp(s->name, name))
		s = s->next;
	return s;
}

struct service *leaving_recall(struct agent *a, const char *name)
{
	struct service *s = leaving_find(a, name);

	if (!s)
		return NULL;
	list_take(&a->leaving, s);
	agent_add_service(a, s);
	return s;
}

void leaving_settle(struct agent *a)
{
	struct service *next;

	for (struct service *s = a->services; s; s = next) {
		next = s->next;
		if (!s->placed || !*leaving_until(a, s))
			continue;
		if (!s->model) {
			leaving_put(a, s);
			continue;
		}
		__atomic_store_n(leaving_until(a, s), 0, __ATOMIC_RELEASE);
		agent_emit(a, .kind = "service", .service = s->name, .from = "leaving", .reason = "stays: its listeners are taken again");
	}
}

static bool config_names(const struct model_config *config, const char *name)
{
	for (size_t i = 0; i < config->n_services; i++)
		if (!strcmp(config->services[i].name, name))
			return true;
	return false;
}

void leaving_resume(struct agent *a, const struct model_config *config)
{
	struct service *next;

	for (struct service *s = a->services; s; s = next) {
		next = s->next;
		if (*leaving_until(a, s) && !config_names(config, s->name))
			leaving_put(a, s);
	}
	leaving_tick(a);	/* those whose time is over have no second more */
}

static void leaving_end(struct agent *a, struct service *s)
{
	char reason[128] = "left: its last connection has ended";

	if (s->left == NOT_COUNTED)
		snprintf(reason, sizeof(reason), "left: its time is over");
	else if (s->left)
		snprintf(reason, sizeof(reason), "left: its time is over; %zu connection%s the stack's now", s->left,
			 s->left == 1 ? " is" : "s are");
	tables_hand_back(a->tables, s->id);
	choices_clear(a->choices, s->id);
	save_no_names(a, s->id);
	agent_emit(a, .kind = "service", .service = s->name, .from = "leaving", .reason = reason);
	list_take(&a->leaving, s);
	agent_drop_service(a, s);
}

/* One walk over the flow table counts for all of them.  Without memory for it
 * time alone ends them. */
static void count_left(const struct agent *a)
{
	size_t *n = a->leaving ? calloc(a->datapath.maps.control->services, sizeof(*n)) : NULL;

	if (!n)
		return;
	flows_left(&a->datapath.maps, n);
	for (struct service *s = a->leaving; s; s = s->next)
		s->left = n[s->id];
	free(n);
}

void leaving_tick(struct agent *a)
{
	struct service *next;
	int ended = 0;

	count_left(a);
	for (struct service *s = a->leaving; s && ended < ENDS_AT_ONCE; s = next) {
		next = s->next;
		if (s->left && time_left(a, s))
			continue;
		leaving_end(a, s);
		ended++;
	}
}

void leaving_free(struct agent *a)
{
	while (a->leaving) {
		struct service *next = a->leaving->next;

		service_delete(a->leaving);
		a->leaving = next;
	}
}

json_t *leaving_view(const struct agent *a, const struct service *s)
{
	const struct perch_service *p = &a->datapath.maps.services[s->id];
	json_t *versions = json_array();

	if (s->left == NOT_COUNTED)
		count_left(a);
	for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
		json_array_append_new(versions, view_version(a, s, i));
	return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:I, s:b, s:i, s:I, s:n, s:o, s:{s:I, s:f}}", "name", s->name, "listen",
			 view_listen_placed(a, s), "forward", config_forward(p->forward), "affinity", view_affinity(p->affinity), "phase", "Leaving",
			 "established", view_established(p->established), "epoch",
			 (json_int_t)perch_word_epoch(s->word), "rolledBack", service_rolled_back(s), "rules", 0, "pins",
			 (json_int_t)choices_pins_count(a->choices, s->id), "adopting", "versions", versions,
			 "leaving", "connections", (json_int_t)s->left, "seconds", time_left(a, s) / 1e9);
}
