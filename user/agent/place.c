// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* How a service of the state looks in the kernel, and how its split moves. */
#include "place.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "../core/split.h"
#include "../datapath/choices.h"
#include "clock.h"
#include "rollout/deadman.h"
#include "health/drains.h"
#include "fault.h"
#include "health/health.h"
#include "rollout/lifecycle.h"
#include "pins.h"
#include "rollout/rollouts.h"
#include "rules.h"
#include "store/save.h"
#include "sources.h"
#include "tunnels.h"

#define LOCK_MS 1000

/* What was rejected has no role for pins and rules to find, whatever plan comes
 * after the rollback. */
static void want_roles(__u8 out[PERCH_SLOTS], const struct version slot[PERCH_SLOTS])
{
	for (int i = 0; i < PERCH_SLOTS; i++) {
		bool out_of_use = !slot[i].name[0] || (slot[i].rejected && slot[i].role != PERCH_ROLE_STABLE);

		out[i] = out_of_use ? PERCH_ROLE_NONE : slot[i].role;
	}
}

/* What the plan is to say; its twin leads to stable, or to previous when
 * nothing is under way. */
static int want_fill(struct split_want *w, const struct step *step, __u64 salt)
{
	int previous = slot_of_role(step->slot, PERCH_ROLE_PREVIOUS);
	struct version after[PERCH_SLOTS];
	bool to_previous = previous >= 0 && !step->in_rollout && !step->canary_share && !step->baseline_share;

	*w = (struct split_want){
		.rest = slot_of_role(step->slot, PERCH_ROLE_STABLE),
		.canary = slot_of_role(step->slot, PERCH_ROLE_CANARY),
		.baseline = slot_of_role(step->slot, PERCH_ROLE_BASELINE),
		.canary_share = step->canary_share,
		.baseline_share = step->baseline_share,
		.salt = salt,
	};
	if (w->rest < 0)
		return -EINVAL;
	w->fallback = to_previous ? previous : w->rest;
	memcpy(after, step->slot, sizeof(after));	/* roles only: owns nothing */
	if (to_previous)
		lifecycle_back(after, 0);
	want_roles(w->role, step->slot);
	want_roles(w->fallback_role, after);
	return 0;
}

/* A new salt when the canary is another one than the last that had a share. */
static __u64 step_salt(struct service *s, const struct step *step)
{
	int canary = slot_of_role(step->slot, PERCH_ROLE_CANARY);

	if (!step->canary_share || canary < 0 || !strcmp(s->salt_for, step->slot[canary].name))
		return s->salt;
	if (getrandom(&s->salt, sizeof(s->salt), 0) != sizeof(s->salt))
		s->salt = clock_now() * 0x9e3779b97f4a7c15ull;
	snprintf(s->salt_for, sizeof(s->salt_for), "%s", step->slot[canary].name);
	return s->salt;
}

static void new_shares_begin(struct service *s)
{
	for (int i = 0; i < PERCH_SLOTS; i++)
		s->evidence[i].connections_base = counters_connections(&s->evidence[i].total);
}

/* As split_step, with its windows. */
static int step_split(struct perch_split *split, struct service *s, const struct step *step,
		      const struct perch_plan *plan, const struct perch_plan *twin)
{
	__u64 word;
	int r = split_prepare(split, s->word, plan, twin, step->flags | deadman_flags(s), &word);

	if (r)
		return r;
	fault_point(step->window, "planned");
	r = split_swap(split, s->word, word, &word);
	if (r)
		return r;
	fault_point(step->window, "swapped");
	split_named(split, word, clock_now() / NS_PER_S);
	s->word = word;
	return 0;
}

int place_step(struct agent *a, struct service *s, const struct step *step)
{
	struct perch_split *split = &a->datapath.maps.splits[s->id];
	struct perch_plan plan, twin;
	struct split_want want;
	int lock, r;

	r = want_fill(&want, step, step_salt(s, step));
	if (!r)
		r = split_plan(&want, &plan, &twin);
	if (r)
		return r;
	lock = planner_lock(a->datapath.maps.pin_path, LOCK_MS);
	if (lock < 0)
		return lock;
	r = step_split(split, s, step, &plan, &twin);
	close(lock);
	if (r)
		return r;
	s->canary_share = step->canary_share;
	s->baseline_share = step->baseline_share;
	rollouts_follow(a, s);
	new_shares_begin(s);
	return 0;
}

/* The plan that the word names, and its twin.  Only planners write plans, and
 * the loop has one thread: a direct rollback changes the word, not these. */
static const struct perch_plan *plan_of(const struct agent *a, const struct service *s, bool twin)
{
	const struct perch_split *split = &a->datapath.maps.splits[s->id];
	__u32 plan = perch_word_plan(s->word) % (2 * PERCH_PAIRS);

	return &split->plan[twin ? plan | 1 : plan];
}

/* Do pins or rules lead to the canary? */
static bool choosers_name_canary(const struct agent *a, const struct service *s)
{
	int canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);

	if (canary < 0 || s->slot[canary].rejected)
		return false;
	return choices_lead_to(a->choices, s->id, PERCH_ROLE_CANARY) ||
	       choices_lead_to(a->choices, s->id, PERCH_TARGET_SLOT | canary);
}

/* Does the plan in force give pins and rules other roles than the state? */
static bool roles_differ(const struct agent *a, const struct service *s)
{
	const struct perch_plan *plan = plan_of(a, s, false);
	int canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);
	__u8 want[PERCH_SLOTS];

	/* a rollback takes the canary from them until there is another one */
	if (service_rolled_back(s))
		return a->ready && canary >= 0 && !s->slot[canary].rejected;
	want_roles(want, s->slot);
	for (int i = 0; i < PERCH_SLOTS; i++)
		if (want[i] != plan->role[i] && (want[i] != PERCH_ROLE_RETIRING || plan->role[i]))
			return true;
	return false;
}

int place_roles(struct agent *a, struct service *s)
{
	const struct step step = { .slot = s->slot, .canary_share = s->canary_share,
				   .baseline_share = s->baseline_share, .flags = PERCH_BY_AGENT };

	/* steps of a rollout bring their roles along */
	if (!a->datapath.maps.services[s->id].choosers || service_in_rollout(s) || !roles_differ(a, s))
		return 0;
	return place_step(a, s, &step);
}

bool place_has_twin(const struct agent *a, const struct service *s)
{
	const struct perch_plan *plan = plan_of(a, s, false), *twin = plan_of(a, s, true);

	if (!service_rolled_back(s) && choosers_name_canary(a, s))
		return true;

	for (int i = 0; i < PERCH_SLOTS; i++)
		if (split_share(plan, i) != split_share(twin, i))
			return true;
	return false;
}

bool place_names_slot(const struct agent *a, const struct service *s, int slot)
{
	return split_share(plan_of(a, s, false), slot) || split_share(plan_of(a, s, true), slot);
}

void place_read_split(struct agent *a, struct service *s)
{
	struct perch_plan plan;
	int canary, baseline;

	if (split_read(&a->datapath.maps.splits[s->id], &s->word, &plan)) {
		s->word = split_word(&a->datapath.maps.splits[s->id]);
		plan = *plan_of(a, s, false);
	}
	canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);
	baseline = slot_of_role(s->slot, PERCH_ROLE_BASELINE);
	s->canary_share = canary >= 0 ? split_share(&plan, canary) : 0;
	s->baseline_share = baseline >= 0 ? split_share(&plan, baseline) : 0;
	s->salt = plan.salt;
}

static void placed_versions(struct placed_service *p, const struct service *s)
{
	for (unsigned i = 0; i < PERCH_SLOTS; i++) {
		const struct version *v = &s->slot[i];
		bool retiring = v->role == PERCH_ROLE_RETIRING;

		if (!v->name[0])
			continue;
		p->version[p->n_versions++] = (struct placed_version){
			.slot = i, .name = v->name, .role = v->role, .backends = v->backends, .doors = v->doors,
			.n_backends = retiring ? 0 : v->n_backends, .n_doors = retiring ? 0 : v->n_doors,
		};
	}
}

static void placed_limits(struct placed_service *p, const struct model_rollout *policy)
{
	for (size_t i = 0; i < policy->n_gates && p->limits < PERCH_LIMITS; i++)
		if (policy->gate[i].signal == MODEL_RESPONSE_TIME)
			p->limit_us[p->limits++] = policy->gate[i].limit / 1000;
}

static int place_first_plan(struct service *s, struct perch_plan *plan, struct perch_plan *twin)
{
	const struct step step = { .slot = s->slot, .canary_share = s->canary_share,
				   .baseline_share = s->baseline_share, .in_rollout = service_in_rollout(s) };
	struct split_want want;
	int r;

	if (!s->salt && getrandom(&s->salt, sizeof(s->salt), 0) != sizeof(s->salt))
		return -EIO;
	r = want_fill(&want, &step, s->salt);
	return r ? r : split_plan(&want, plan, twin);
}

int place_service(struct agent *a, struct service *s, char why[AGENT_WHY])
{
	struct placed_service p = {
		.id = s->id, .name = s->name, .listen = s->model->listen, .n_listen = s->model->n_listen,
		.exclude = s->model->exclude, .n_exclude = s->model->n_exclude, .adopt = s->model->adopt,
		.forward = s->model->forward, .fragments = s->model->fragments, .affinity = s->model->affinity,
		.established = s->model->established,
		.stable_down = s->model->stable_down, .drain_ms = s->model->drain_timeout / NS_PER_MS, .sampling = service_in_rollout(s),
		.observed = s->observed, .http = s->model->observe & MODEL_OBSERVE_HTTP1,
		.reflex_limit = s->model->rollout.observe ? 0 : s->model->rollout.reflex,
	};
	struct perch_sources sources;
	struct perch_plan plan, twin;
	char detail[WHY] = "";
	int r = 0;

	if (!s->placed)
		r = place_first_plan(s, &plan, &twin);
	if (r) {
		snprintf(why, AGENT_WHY, "%s: no version is stable", s->name);
		return r;
	}
	tunnels_sources(s, p.tunnel);
	drains_read(a, s);
	p.drains = s->drains;
	p.n_drains = s->n_drains;
	if (s->model->forward == PERCH_FULLNAT) {
		sources_find(s, &sources);
		p.sources = &sources;
	}
	placed_versions(&p, s);
	placed_limits(&p, &s->model->rollout);
	/* what leads to versions, before a name moves or a packet can ask */
	r = rules_place(a, s, why) ?: pins_place(a, s, why);
	if (r) {
		s->astray = s->placed;
		return r;
	}
	save_names(a, s);
	r = tables_apply(a->tables, &p, s->placed ? NULL : &plan, s->placed ? NULL : &twin, detail);
	s->astray = r && s->placed;
	if (r) {
		snprintf(why, AGENT_WHY, "%s: %s", s->name, detail[0] ? detail : strerror(-r));
		return r;
	}
	if (!s->placed) {
		s->placed = true;
		s->word = split_word(&a->datapath.maps.splits[s->id]);
	}
	health_follow(a, s);
	return 0;
}

void place_choose_observed(struct agent *a)
{
	unsigned left = PERCH_OBSERVED - 1;	/* element 0 is none */

	for (struct service *s = a->services; s; s = s->next) {
		s->observed = service_in_rollout(s) && left;
		left -= s->observed;
	}
	for (struct service *s = a->services; s && left; s = s->next) {
		left -= !s->observed;
		s->observed = true;
	}
}

__u32 place_live(const struct agent *a, const struct service *s, int slot)
{
	const struct perch_backend *b = a->datapath.maps.backends;
	__u32 live = 0, version = s->id * PERCH_SLOTS + slot;

	if (slot < 0)
		return 0;
	for (__u32 id = 0; (id = tables_backend_next(a->tables, s->id, id));)
		live += b[id].version == version && b[id].state == PERCH_BACKEND_UP;
	return live;
}
