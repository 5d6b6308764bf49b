// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A change is on the disk before it is in force, and is taken back there when
 * it does not come into force: who is killed in between starts again with one
 * or the other, whole.
 */
#include "applied.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../alarms.h"
#include "applied_text.h"
#include "../clock.h"
#include "../health/drains.h"
#include "../fault.h"
#include "../leaving.h"
#include "../log.h"
#include "reload.h"
#include "../store/save.h"

struct applied *applied_new(const char *name, const char *text, __u64 since)
{
	struct applied *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	snprintf(p->name, sizeof(p->name), "%s", name);
	snprintf(p->origin, sizeof(p->origin), APPLIED_ORIGIN "%s", p->name);
	p->since = since;
	p->text = strdup(text);
	if (p->text)
		return p;
	free(p);
	return NULL;
}

static void applied_drop(struct applied *p)
{
	if (!p)
		return;
	free(p->text);
	free(p);
}

struct applied **applied_at(struct agent *a, const char *name)
{
	struct applied **at = &a->applied;

	while (*at && strcmp((*at)->name, name))
		at = &(*at)->next;
	return at;
}

const struct applied *applied_find(const struct agent *a, const char *name)
{
	const struct applied *p = a->applied;

	while (p && strcmp(p->name, name))
		p = p->next;
	return p;
}

static int applied_restore(void *agent, const char *service, const char *text, __u64 since)
{
	struct agent *a = agent;
	struct applied **at = applied_at(a, service);

	*at = *at ?: applied_new(service, text, since);
	return *at ? 0 : -ENOMEM;
}

int applied_load(struct agent *a)
{
	return store_applied_each(a->store, applied_restore, a);
}

struct take_back {
	struct agent *agent;
	size_t n;
};

/* What the store has that was not known, or not all of it. */
static int applied_take_back(void *arg, const char *service, const char *text, __u64 since)
{
	struct take_back *t = arg;
	struct applied **at = applied_at(t->agent, service), *p;

	if (*at && !(*at)->rebuilt)
		return 0;
	p = applied_new(service, text, since);
	if (!p)
		return -ENOMEM;
	if (*at) {
		p->next = (*at)->next;
		applied_drop(*at);
		alarm_clear(t->agent, "applied", service);
	}
	*at = p;
	t->n++;
	return 0;
}

int applied_save(struct agent *a)
{
	const struct apply how = { .actor = &actor_file };
	struct take_back t = { .agent = a };
	char why[AGENT_WHY];
	int r = store_applied_each(a->store, applied_take_back, &t);

	if (!r && t.n && reload_applied(a, &how, why))
		log_error("services as they were applied: %s", why);
	for (const struct applied *p = a->applied; p && !r; p = p->next)
		r = store_applied_put(a->store, p->name, p->text, p->since);
	return r;
}

void applied_mark(struct agent *a, const struct service *s)
{
	const struct applied *p = s->model->file ? NULL : applied_find(a, s->name);

	__atomic_store_n(&a->datapath.maps.names[s->id].applied, p ? p->since : 0, __ATOMIC_RELEASE);
}

void applied_free(struct agent *a)
{
	while (a->applied) {
		struct applied *next = a->applied->next;

		applied_drop(a->applied);
		a->applied = next;
	}
}

int applied_texts(const struct agent *a, struct config_text **ret, size_t *ret_n)
{
	size_t n = 0;

	for (const struct applied *p = a->applied; p; p = p->next)
		n++;
	*ret = calloc(n + 1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	*ret_n = 0;
	for (const struct applied *p = a->applied; p; p = p->next)
		(*ret)[(*ret_n)++] = (struct config_text){ .name = p->origin, .text = p->text, .length = strlen(p->text) };
	return 0;
}

int applied_check_owner(const struct agent *a, const char *name, char why[AGENT_WHY])
{
	for (size_t i = 0; i < a->config->n_services; i++) {
		const struct model_service *m = &a->config->services[i];

		if (strcmp(m->name, name) || !m->file)
			continue;
		snprintf(why, AGENT_WHY, "service '%s' is written in %s:%d; change it there", name, m->file, m->line);
		return -EBUSY;
	}
	if (applied_find(a, name))
		return 0;
	snprintf(why, AGENT_WHY, leaving_find(a, name) ? "service '%s' is leaving already" :
		 "no service '%s'; `perch service show` lists them", name);
	return leaving_find(a, name) ? -EBUSY : -ENOENT;
}

static int store_refused(const struct agent *a, int err, char why[AGENT_WHY])
{
	const char *error = store_error(a->store);

	snprintf(why, AGENT_WHY, "%s: could not be written, and nothing was changed: %s; mend agent.stateDir",
		 a->config->agent.state_dir, error ? error : strerror(-err));
	return err;
}

/* Put p (NULL: nothing) where the service of that name is; returns who was. */
static struct applied *applied_swap(struct agent *a, const char *name, struct applied *p)
{
	struct applied **at = applied_at(a, name), *was = *at;

	if (p)
		p->next = was ? was->next : NULL;
	*at = p ? p : was ? was->next : NULL;
	return was;
}

/* Back to `was` in the list. */
static void applied_swap_back(struct agent *a, const char *name, struct applied *was, struct applied *next)
{
	struct applied **at = applied_at(a, name), *now = *at;

	if (now) {
		*at = was ? was : now->next;
		if (was)
			was->next = now->next;
		applied_drop(now);
	} else if (was) {
		at = &a->applied;
		while (*at && *at != next)
			at = &(*at)->next;
		was->next = *at;
		*at = was;
	}
}

static void store_swap_back(struct agent *a, const char *name, const struct applied *was)
{
	if (was ? store_applied_put(a->store, name, was->text, was->since) : store_applied_delete(a->store, name))
		log_error("service '%s': back to what was applied before: %s", name, store_error(a->store) ?: "no store");
}

/* Is the text a service of that name?  Says what is wrong, with the line. */
static int text_check(struct agent *a, const struct applied *p, char why[AGENT_WHY])
{
	struct model_config *c;
	int r = config_parse_service(p->origin, p->text, strlen(p->text), a->config, &c, why);

	if (r)
		return r;
	if (strcmp(c->services[0].name, p->name)) {
		snprintf(why, AGENT_WHY, "%s:%d: name: '%s' is not '%s', which the request is about", p->origin,
			 c->services[0].line, c->services[0].name, p->name);
		r = -EINVAL;
	}
	config_free(c);
	return r;
}

/* Only what goes together with all else reaches the store: with a text that
 * does not, nobody could start. */
static int applied_change(struct agent *a, struct applied *p, const struct apply *how, char why[AGENT_WHY])
{
	struct applied *was = applied_swap(a, p->name, p);
	struct model_config *config;
	char name[PERCH_NAME_LEN], *text = NULL;
	int r = reload_read(a, &config, &text, why);

	snprintf(name, sizeof(name), "%s", p->name);
	if (r)
		goto out;
	r = store_applied_put(a->store, name, p->text, p->since);
	if (r) {
		store_refused(a, r, why);
		config_free(config);
		goto out;
	}
	fault_point("service", "stored");
	r = reload_adopt(a, config, text, how, why);
	if (r)
		store_swap_back(a, name, was);
out:
	if (r)
		applied_swap_back(a, name, was, NULL);
	else
		applied_drop(was);
	free(text);
	return r;
}

int applied_put(struct agent *a, const char *name, const char *text, const struct apply *how, char why[AGENT_WHY])
{
	const struct applied *was = applied_find(a, name);
	struct applied *p;
	bool made = !was;
	int r = applied_check_owner(a, name, why);

	if (r == -EBUSY && !leaving_find(a, name))
		return r;
	if (was && !strcmp(was->text, text))
		return 0;
	p = applied_new(name, text, clock_wall());
	if (!p) {
		snprintf(why, AGENT_WHY, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	r = text_check(a, p, why);
	if (r) {
		applied_drop(p);
		return r;
	}
	r = applied_change(a, p, how, why);
	if (r)
		return r;
	alarm_clear(a, "applied", name);
	agent_emit(a, .kind = "service", .actor = how->actor, .service = name, .to = "applied",
		   .reason = made ? "made" : "changed", .comment = how->comment);
	return 0;
}

/* Who finds the store without it neither takes it for lost nor lets it linger
 * as one that left its file. */
static void kernel_goes(struct agent *a, const struct service *s, __u64 drain_ns)
{
	struct perch_service_name *name = &a->datapath.maps.names[s->id];

	if (!s->placed)
		return;
	__atomic_store_n(&name->leaving_until, drain_ns ? clock_now() + drain_ns : 1, __ATOMIC_RELEASE);
	__atomic_store_n(&name->applied, 0, __ATOMIC_RELEASE);
}

static void kernel_stays(struct agent *a, const struct service *s)
{
	if (!s->placed)
		return;
	__atomic_store_n(&a->datapath.maps.names[s->id].leaving_until, 0, __ATOMIC_RELEASE);
	applied_mark(a, s);
}

/* The store has forgotten what is in force. */
static void store_again(struct agent *a, struct service *s)
{
	save_service(a, s);
	save_rollout(a, s, true);
	drains_save(a, s);
	s->pins_unsaved = s->pins_known;
}

int applied_delete(struct agent *a, const char *name, bool force, __u64 drain_ns, const struct apply *how,
		   char why[AGENT_WHY])
{
	struct service *s = agent_service(a, name);
	struct apply leave = *how;
	struct applied *was, *next;
	int r = applied_check_owner(a, name, why);

	if (r)
		return r;
	if (s && service_in_rollout(s) && !force) {
		snprintf(why, AGENT_WHY, "%s: a rollout of '%s' is under way; `perch rollout abort %s` first, or force", name,
			 s->keep.rollout.canary, name);
		return -EBUSY;
	}
	if (s)
		kernel_goes(a, s, drain_ns);
	r = store_forget(a->store, name);
	if (r) {
		if (s)
			kernel_stays(a, s);
		return store_refused(a, r, why);
	}
	fault_point("service", "forgotten");
	was = applied_swap(a, name, NULL);
	next = was->next;
	leave.gone = name;
	leave.drain_ns = drain_ns;
	r = reload_applied(a, &leave, why);
	if (!r) {
		applied_drop(was);
		alarm_clear(a, "applied", name);
		return 0;
	}
	applied_swap_back(a, name, was, next);
	store_swap_back(a, name, was);
	if (s) {
		kernel_stays(a, s);
		store_again(a, s);
	}
	return r;
}

/* The text was edited; r says how that went. */
static int version_changed(struct agent *a, const char *name, const char *version, int r, char *text,
			   const struct apply *how, char why[AGENT_WHY])
{
	if (r == -EEXIST) {
		snprintf(why, AGENT_WHY, "%s: version '%s' is there already; `perch service apply` changes it, or give the new one another name",
			 name, version);
		return -EBUSY;
	}
	if (r == -ENOENT)
		snprintf(why, AGENT_WHY, "%s: no version '%s'; `perch version show service %s` lists them", name, version,
			 name);
	else if (r)
		snprintf(why, AGENT_WHY, "%s: version '%s': %s", name, version, strerror(-r));
	if (r)
		return r;
	r = applied_put(a, name, text, how, why);
	free(text);
	return r;
}

int applied_version_add(struct agent *a, const char *name, const json_t *version, const struct apply *how,
			char why[AGENT_WHY])
{
	char *text = NULL;
	int r = applied_check_owner(a, name, why);

	if (r)
		return r;
	r = applied_text_add(applied_find(a, name)->text, version, &text);
	return version_changed(a, name, json_string_value(json_object_get(version, "name")) ?: "", r, text, how, why);
}

int applied_version_delete(struct agent *a, const char *name, const char *version, const struct apply *how,
			   char why[AGENT_WHY])
{
	char *text = NULL;
	int r = applied_check_owner(a, name, why);

	if (r)
		return r;
	r = applied_text_remove(applied_find(a, name)->text, version, &text);
	return version_changed(a, name, version, r, text, how, why);
}
