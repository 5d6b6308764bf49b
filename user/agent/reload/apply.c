// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Three stages.  Plan: every service of the configuration is merged with what is known
 * of it, in memory, and anything may refuse.  Place: the kernel is brought to
 * it service by service; a failure puts those before it back.  Settle: what
 * the configuration no longer has is taken away.
 */
#include "apply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../datapath/choices.h"
#include "../alarms.h"
#include "applied.h"
#include "../clock.h"
#include "../collect.h"
#include "../fault.h"
#include "../leaving.h"
#include "../rollout/lifecycle.h"
#include "../log.h"
#include "../place.h"
#include "../store/save.h"
#include "../severs.h"
#include "../sizes.h"
#include "../takeover.h"

struct change {
	struct service *service;
	bool created;		/* was not in a->services */
	bool listed;		/* is there now */
	bool placed;		/* the kernel has it */
	/* what is to be; after the swap, what was */
	struct version slot[PERCH_SLOTS];
	const struct model_service *model;
};

static void change_swap(struct change *c)
{
	const struct model_service *model = c->service->model;

	slots_swap(c->slot, c->service->slot);
	c->service->model = c->model;
	c->model = model;
}

static int change_find_service(struct agent *a, const struct model_config *config, const struct model_service *m,
			       struct change *c, bool *ret_fresh, char why[AGENT_WHY])
{
	int r;

	*ret_fresh = false;
	c->service = agent_service(a, m->name);
	if (!c->service)
		c->service = leaving_recall(a, m->name);
	if (c->service)
		return 0;
	c->created = true;
	r = takeover_store(a, m->name, &c->service);
	if (r != -ENOENT)
		return r;
	*ret_fresh = true;
	r = config_check_new_service(m, why);
	if (r)
		return r;
	c->service = service_new(m->name);
	return c->service ? 0 : -ENOMEM;
}

/* The backends of its connections know them by what made their packets. */
static int check_forward(const struct agent *a, const struct service *s, const struct model_service *m, char why[AGENT_WHY])
{
	enum perch_forward now = s->placed ? a->datapath.maps.services[s->id].forward : m->forward;

	if (now == m->forward)
		return 0;
	snprintf(why, AGENT_WHY,
		 "%s:%d: %sforward: is %s while '%s' is loaded, and its connections would not outlive the change to %s; put it "
		 "back, or take the service out, let it drain, and put it in again", m->origin, m->line, m->at,
		 config_forward(now), m->name, config_forward(m->forward));
	return -EBUSY;
}

static int change_plan(struct agent *a, const struct model_config *config, const struct model_service *m, bool strict,
		       struct change *c, char why[AGENT_WHY])
{
	struct lifecycle l = { .model = m, .strict = strict, .now = clock_wall(), .rejected = save_rejected, .arg = a };
	int r = change_find_service(a, config, m, c, &l.fresh, why);

	r = r ?: check_forward(a, c->service, m, why);
	if (r)
		return r;
	c->model = m;
	l.service = c->service;
	return lifecycle_merge(&l, c->slot, why);
}

/* Which of the services the configuration names. */
static void mark_named(struct agent *a, const struct model_config *config)
{
	struct service *s;

	for (s = a->services; s; s = s->next)
		s->named = false;
	for (size_t i = 0; i < config->n_services; i++) {
		s = agent_service(a, config->services[i].name);
		if (s)
			s->named = true;
	}
}

/* A service that the configuration lost while its canary is under way. */
static int check_gone(struct agent *a, const struct model_config *config, const struct apply *how, char why[AGENT_WHY])
{
	for (const struct service *s = a->services; s; s = s->next) {
		if (!how->strict || !service_in_rollout(s) || s->named)
			continue;
		if (how->gone && !strcmp(how->gone, s->name))
			continue;
		snprintf(why, AGENT_WHY,
			 "%s: services: '%s' is in a rollout and can't be taken out; put it back, or `perch rollout abort %s` first",
			 config->file, s->name, s->name);
		return -EBUSY;
	}
	return 0;
}

static int change_place(struct agent *a, struct change *c, char why[AGENT_WHY])
{
	struct service *s = c->service;
	int r;

	if (!s->placed) {
		r = tables_service_id(a->tables);
		if (r < 0) {
			snprintf(why, AGENT_WHY, "%s: no room for another service: all %u elements are in use, some until the "
				 "connections of what left have ended", s->name, a->datapath.maps.control->services);
			return r;
		}
		s->id = r;
	}
	r = place_service(a, s, why);
	if (r && !s->placed) {
		save_no_names(a, s->id);
		choices_clear(a->choices, s->id);
	}
	if (!r)
		a->by_id[s->id] = s;
	c->placed = !r;
	return r;
}

/* The kernel has it no more; its connections end, idle ones too. */
static void service_remove(struct agent *a, const struct service *s)
{
	tables_remove(a->tables, s->id);
	choices_clear(a->choices, s->id);
	save_no_names(a, s->id);
	severs_begin_gone(a);
}

/*
 * Take the kernel back to what was before.  What is to be tried again in a
 * second stays where it came to: going back would take up the room that the
 * next try waits for.
 */
static void changes_undo(struct agent *a, struct change *c, size_t n, bool again)
{
	char why[AGENT_WHY];

	for (size_t i = 0; i < n; i++) {
		change_swap(&c[i]);
		c[i].service->ruled = NULL;	/* by rules that are freed now */
		if (c[i].created) {
			if (c[i].placed)
				service_remove(a, c[i].service);
			agent_drop_service(a, c[i].service);
		} else if (again) {
			c[i].service->astray |= c[i].placed;
		} else if (c[i].service->model && place_service(a, c[i].service, why)) {
			log_error("back to the configuration before: %s", why);
		}
	}
}

/* What the connections of a service have that nobody names any more: as it is
 * said of them for a rollback, or by who takes it away.  0: they end now. */
static __u64 service_time(const struct agent *a, const struct service *s, const struct apply *how)
{
	const struct perch_service *p = &a->datapath.maps.services[s->id];

	if (how->gone && !strcmp(how->gone, s->name))
		return how->drain_ns;
	return p->established == PERCH_KEEP ? LEAVING_MOST_NS : p->established == PERCH_DRAIN ? p->drain_ms * NS_PER_MS : 0;
}

static void service_gone(struct agent *a, struct service *s, const struct apply *how)
{
	__u64 time = service_time(a, s, how);
	char why[AGENT_WHY];

	if (time && !leaving_begin(a, s, time, how->actor, how->comment, why))
		return;
	service_remove(a, s);
	agent_emit(a, .kind = "service", .actor = how->actor, .service = s->name, .reason = "left the configuration",
		   .comment = how->comment);
	agent_drop_service(a, s);
}

static void settle_gone(struct agent *a, const struct change *c, size_t n, const struct apply *how)
{
	struct service *next;

	for (struct service *s = a->services; s; s = s->next)
		s->named = false;
	for (size_t i = 0; i < n; i++)
		c[i].service->named = true;
	for (struct service *s = a->services; s; s = next) {
		next = s->next;
		if (!s->named)
			service_gone(a, s, how);
	}
}

/* Place all; one that waits for a listener of another waits for a round. */
static int changes_place(struct agent *a, struct change *c, size_t n, char why[AGENT_WHY])
{
	size_t left = n, before;

	do {
		before = left;
		left = 0;
		for (size_t i = 0; i < n; i++) {
			int r = c[i].placed ? 0 : change_place(a, &c[i], why);

			fault_point(FAULT_APPLY(a), "placing");
			if (r && r != -EADDRINUSE)
				return r;
			left += r == -EADDRINUSE;
		}
	} while (left && left < before);
	return left ? -EADDRINUSE : 0;
}

/* The list in the order of the file. */
static void settle_list(struct agent *a, struct change *c, size_t n)
{
	struct service **end = &a->services;

	for (size_t i = 0; i < n; i++) {
		struct service *s = c[i].service;

		s->at = end;
		*end = s;
		end = &s->next;
	}
	*end = NULL;
	a->services_end = end;
}

/* Does what responses are counted against differ? */
static bool limits_differ(const struct model_rollout *x, const struct model_rollout *y)
{
	if (x->n_gates != y->n_gates)
		return true;
	for (size_t i = 0; i < x->n_gates; i++)
		if (x->gate[i].signal != y->gate[i].signal || x->gate[i].limit != y->gate[i].limit)
			return true;
	return false;
}

/* Everything that is told or kept once the kernel has it. */
static void settle_change(struct agent *a, struct change *c, const struct apply *how)
{
	struct service *s = c->service;
	const struct version *was = c->slot;
	__u64 word = s->word;

	for (int i = 0; i < PERCH_SLOTS; i++) {
		if (strcmp(was[i].name, s->slot[i].name) && was[i].name[0])
			collect_forget(s, i);
		if (s->slot[i].name[0] && (strcmp(was[i].name, s->slot[i].name) || was[i].role != s->slot[i].role))
			agent_emit(a, .kind = "version", .actor = how->actor, .service = s->name,
				   .version = s->slot[i].name, .from = was[i].name[0] ? role_name(was[i].role) : NULL,
				   .to = role_name(s->slot[i].role), .reason = s->slot[i].name, .comment = how->comment);
	}
	/* other limits: what was counted against the old ones does not count */
	if (service_in_rollout(s) && c->model && limits_differ(&c->model->rollout, &s->model->rollout)) {
		arm_restart_responses(&s->keep.canary);
		arm_restart_responses(&s->keep.stable);
	}
	place_roles(a, s);
	applied_mark(a, s);
	/* of thousands of services a reload changes one, and writes that */
	if (!a->ready || c->created || s->word != word || !slots_same(was, s->slot))
		save_service(a, s);
	if (!a->ready || c->created)	/* map or store may be new */
		save_rollout(a, s, true);
}

/* At start a stable that the file lost stays from state; say so. */
static void settle_missing(struct agent *a, const struct service *s)
{
	int stable = slot_of_role(s->slot, PERCH_ROLE_STABLE);

	if (stable >= 0 && !s->slot[stable].in_file)
		alarm_raise(a, "config", s->name, s->name, "put the version back, or promote another one",
			    "stable version '%s' is not in %s; it is served from state", s->slot[stable].name,
			    s->model->origin);
	else
		alarm_clear(a, "config", s->name);
}

static void changes_free(struct change *c, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		slots_clear(c[i].slot);
		if (c[i].created && !c[i].listed)
			service_delete(c[i].service);
	}
	free(c);
}

static int changes_carry_out(struct agent *a, struct change *c, size_t n, const struct apply *how, char why[AGENT_WHY])
{
	int r;

	for (size_t i = 0; i < n; i++) {
		change_swap(&c[i]);
		if (c[i].created)
			agent_add_service(a, c[i].service);
		c[i].listed = true;
	}
	place_choose_observed(a);
	r = changes_place(a, c, n, why);
	if (r == -EADDRINUSE) {
		/* a service that goes may hold the address */
		settle_gone(a, c, n, how);
		leaving_release(a);
		r = changes_place(a, c, n, why);
	}
	if (r)
		changes_undo(a, c, n, r == -EAGAIN);
	return r;
}

/* To the store in one go: the disk is waited for once, not for each service. */
static void changes_settle(struct agent *a, struct change *c, size_t n, const struct apply *how)
{
	int r;

	fault_point(FAULT_APPLY(a), "unsaved");
	r = store_begin(a->store);
	settle_gone(a, c, n, how);
	settle_list(a, c, n);
	for (size_t i = 0; i < n; i++) {
		settle_change(a, &c[i], how);
		fault_point(FAULT_APPLY(a), "half-saved");
		settle_missing(a, c[i].service);
		if (!a->ready || c[i].created)
			takeover_finish(a, c[i].service);
	}
	if (!r)
		store_end(a->store, 0);
}

int apply_config(struct agent *a, struct model_config *config, const struct apply *how, char why[AGENT_WHY])
{
	size_t n = config->n_services;
	struct change *c = calloc(n + 1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	snprintf(why, AGENT_WHY, "%s", strerror(ENOMEM));
	mark_named(a, config);
	if (!r)
		r = sizes_check(config, a->datapath.maps.control, why) ?: check_gone(a, config, how, why);
	for (size_t i = 0; i < n && !r; i++)
		r = change_plan(a, config, &config->services[i], how->strict, &c[i], why);
	fault_point(FAULT_APPLY(a), "planned");
	if (!r)
		r = changes_carry_out(a, c, n, how, why);
	if (!r) {
		changes_settle(a, c, n, how);
		config_free(a->config);
		a->config = config;
	}
	if (c)
		changes_free(c, n);
	leaving_settle(a);
	return r;
}
