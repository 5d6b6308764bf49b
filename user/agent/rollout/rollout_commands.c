// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What people ask of a rollout: start, pause, resume, advance, promote, abort,
 * retry, skip; and why not. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../../core/compare.h"
#include "../collect.h"
#include "comparing.h"
#include "deadman.h"
#include "../place.h"
#include "rollback.h"
#include "rollouts.h"
#include "../store/save.h"

static const char *const verb_words[VERBS] = { "start", "pause", "resume", "advance", "promote", "abort", "retry", "skip" };

int rollout_verb_parse(const char *word)
{
	for (int i = 0; i < VERBS; i++)
		if (!strcmp(word, verb_words[i]))
			return i;
	return -1;
}

/* One that was passed by a newer version does not come to its turn by itself
 * when that one leaves. */
static void no_canary(const struct service *s, char why[AGENT_WHY])
{
	for (int i = 0; i < PERCH_SLOTS; i++) {
		const struct version *v = &s->slot[i];

		if (!v->name[0] || v->role != PERCH_ROLE_NONE || !v->in_file || v->rejected)
			continue;
		snprintf(why, AGENT_WHY,
			 "%s: no version is canary; a newer one took the place of '%s': take it out of %s and put it back",
			 s->name, v->name, s->model->origin);
		return;
	}
	snprintf(why, AGENT_WHY, "%s: no version is canary; add the new one to %s", s->name, s->model->origin);
}

int rollouts_start_refused(const struct service *s, bool retry, char why[AGENT_WHY])
{
	int canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);
	const struct version *v = &s->slot[canary < 0 ? 0 : canary];

	if (canary < 0)
		no_canary(s, why);
	else if (!v->in_file)
		snprintf(why, AGENT_WHY, "%s: canary '%s' is not in %s any more", s->name, v->name, s->model->origin);
	else if (!s->model->rollout.n_steps)
		snprintf(why, AGENT_WHY, "%s: no rollout in %s: give it steps", s->name, s->model->origin);
	else if (perch_one_sided(s->model->forward))
		snprintf(why, AGENT_WHY,
			 "%s: with forward: %s every gate is blind, because replies do not pass this host; move its weights by hand: `perch weight set %s %s 5`",
			 s->name, config_forward(s->model->forward), s->name, v->name);
	else if (v->rejected && !retry)
		snprintf(why, AGENT_WHY,
			 "%s: version '%s' was rejected (%s); give the mended one a new name, or `perch rollout retry %s`",
			 s->name, v->name, v->rejection.reason, s->name);
	else
		return 0;
	return -EBUSY;
}

/* Room among the observed, made by those that need it less. */
static int start_observe(struct agent *a, struct service *s, char why[AGENT_WHY])
{
	int r;

	place_choose_observed(a);
	if (!s->observed) {
		snprintf(why, AGENT_WHY, "%s: %d services are in a rollout already; wait for one of them", s->name,
			 PERCH_OBSERVED - 1);
		return -EBUSY;
	}
	for (struct service *o = a->services; o; o = o->next) {
		if (o->observed || !a->datapath.maps.services[o->id].observed)
			continue;
		r = place_service(a, o, why);
		if (r)
			return r;
	}
	return place_service(a, s, why);
}

static void start_evidence(struct agent *a, struct service *s)
{
	static const struct perch_votes none;
	struct rollout_keep *k = &s->keep;
	struct evidence *canary = &s->evidence[k->canary_slot], *stable = &s->evidence[k->stable_slot];

	/* connections of the first step's epoch and later vote; those that did
	 * until now are what the arms begin at */
	collect_votes(a, s, k->canary_slot);
	collect_votes(a, s, k->stable_slot);
	comparing_begin(a, s, (perch_word_epoch(s->word) | 1) + 1);
	arm_begin(&k->canary, canary->votes ? canary->votes : &none);
	arm_begin(&k->stable, stable->votes ? stable->votes : &none);
	k->step_began_at = 0;
}

static int start_first_step(struct agent *a, struct service *s, const struct rollout_output *out,
			    const struct asker *asker, char why[AGENT_WHY])
{
	const struct rollout before = s->keep.rollout;
	int r = start_observe(a, s, why);

	if (r)
		return r;
	start_evidence(a, s);
	r = rollouts_do(a, s, out, &before, asker);
	if (r)
		snprintf(why, AGENT_WHY, "%s: the first step could not be set: %s", s->name,
			 r == -ESTALE ? "the split was moved by another writer" : strerror(-r));
	return r;
}

/* `version` is asked for by its name and is not what `start` would take. */
static int begun_another(const struct service *s, const char *version, char why[AGENT_WHY])
{
	int slot = slot_of_name(s->slot, version), canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);

	if (slot < 0) {
		snprintf(why, AGENT_WHY, "service '%s' has no version '%s'; add it to %s", s->name, version,
			 s->model->origin);
		return -ENOENT;
	}
	if (service_in_rollout(s))
		snprintf(why, AGENT_WHY, "%s: a rollout of '%s' is under way, not of '%s'; `perch rollout abort %s` ends it",
			 s->name, s->keep.rollout.canary, version, s->name);
	else if (canary < 0)
		no_canary(s, why);
	else
		snprintf(why, AGENT_WHY, "%s: '%s' is %s; the canary is '%s'", s->name, version,
			 s->slot[slot].role ? role_name(s->slot[slot].role) : "not the canary", s->slot[canary].name);
	return -EBUSY;
}

int rollouts_begun(struct agent *a, struct service *s, const char *version, const char **ret_outcome,
		   char why[AGENT_WHY])
{
	const struct rollout *r = &s->keep.rollout;
	const char *asked = version;
	int stable, canary;

	rollback_notice(a, s);
	stable = slot_of_role(s->slot, PERCH_ROLE_STABLE);
	canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);
	/* nobody is left to start but who has made it already */
	if (!version && canary < 0 && r->phase == ROLLOUT_SUCCEEDED)
		asked = r->canary;
	*ret_outcome = NULL;
	if (service_in_rollout(s) && (!version || !strcmp(version, r->canary)))
		*ret_outcome = "underWay";
	else if (asked && stable >= 0 && !strcmp(asked, s->slot[stable].name))
		*ret_outcome = "alreadyStable";
	if (*ret_outcome)
		return 1;
	if (version && (service_in_rollout(s) || canary < 0 || strcmp(version, s->slot[canary].name)))
		return begun_another(s, version, why);
	return 0;
}

static void start_failed(const struct service *s, int err, const struct rollout_input *in, char why[AGENT_WHY])
{
	int slot = in->canary_live ? s->keep.stable_slot : s->keep.canary_slot;

	if (err == -EHOSTDOWN)
		snprintf(why, AGENT_WHY, "%s: version '%s' has no live backend; `perch backend show service %s` says why",
			 s->name, slot < 0 ? "" : s->slot[slot].name, s->name);
	else
		snprintf(why, AGENT_WHY, "%s: %s", s->name, strerror(-err));
}

/* Where nothing can be judged a retry starts nothing: it takes the rejection
 * back, and weights are a person's again.  True: that was it. */
static bool retry_blind(struct agent *a, struct service *s)
{
	int canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);

	if (!perch_one_sided(s->model->forward) || canary < 0 || !s->slot[canary].rejected)
		return false;
	save_unreject(a, s, canary);
	place_roles(a, s);
	return true;
}

static int command_start(struct agent *a, struct service *s, bool retry, const struct asker *asker, char why[AGENT_WHY])
{
	struct rollout_keep old = s->keep;
	struct perch_rejection rejection;
	struct rollout_output out;
	struct rollout_input in;
	struct compared said;
	bool rejected;
	int r, canary;

	if (service_in_rollout(s)) {
		if (!retry)
			return 0;	/* idempotent: it is the only canary there can be */
		snprintf(why, AGENT_WHY, "%s: a rollout of '%s' is under way", s->name, s->keep.rollout.canary);
		return -EBUSY;
	}
	if (retry && retry_blind(a, s))
		return 0;
	r = rollouts_start_refused(s, retry, why);
	if (r)
		return r;
	canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);
	memset(&s->keep, 0, sizeof(s->keep));
	rejected = s->slot[canary].rejected;
	rejection = s->slot[canary].rejection;
	/* before the first step: what is rejected has no role for pins and rules
	 * in a plan.  Killed in between, it is rejected again: the word says so */
	if (rejected)
		save_unreject(a, s, canary);
	s->keep.canary_slot = canary;
	s->keep.stable_slot = slot_of_role(s->slot, PERCH_ROLE_STABLE);
	rollouts_input(a, s, &in, &said);
	in.rolled_back = false;	/* the first step leaves that word */
	r = rollout_start(&s->keep.rollout, &s->model->rollout, s->slot[canary].name, &in, &out);
	if (r)
		start_failed(s, r, &in, why);
	else
		r = start_first_step(a, s, &out, asker, why);
	if (r) {
		char ignored[AGENT_WHY];

		s->keep = old;
		if (rejected)
			save_reject(a, s, canary, &rejection);
		place_service(a, s, ignored);	/* sampling as before */
		return r == -EHOSTDOWN ? -EBUSY : r;
	}
	return 0;
}

/* A limit and a comparison may have one name: both are meant. */
static int command_skip(struct service *s, const char *gate)
{
	int limit = rollout_skip(&s->keep.rollout, &s->model->rollout, gate), compared = -ENOENT;

	if (limit != -EINVAL && s->compare)
		compared = compare_skip(s->compare, gate);
	if (!compared)
		rollout_skipped(&s->keep.rollout, gate);
	if (!limit || !compared)
		return 0;
	return limit == -ENOENT ? compared : limit;
}

static int command_move(struct agent *a, struct service *s, const struct rollout_order *order, const struct asker *asker)
{
	const struct rollout before = s->keep.rollout;
	const struct model_rollout *policy = &s->model->rollout;
	struct rollout *r = &s->keep.rollout;
	struct rollout_output out = { .action = ROLLOUT_NOTHING };
	struct rollout_input in;
	struct compared said;
	int err;

	rollouts_input(a, s, &in, &said);
	switch (order->verb) {
	case VERB_PAUSE:
		err = rollout_pause(r, &in);
		break;
	case VERB_RESUME:
		err = rollout_resume(r, &in);
		break;
	case VERB_ADVANCE:
		err = rollout_advance(r, &in);
		break;
	case VERB_PROMOTE:
		err = rollout_promote(r, policy, &in, order->force, &out);
		break;
	case VERB_SKIP:
		err = command_skip(s, order->gate);
		break;
	default:
		err = rollout_abort(r, &in, asker->comment && asker->comment[0] ? asker->comment : "aborted", &out);
		break;
	}
	return err ? err : rollouts_do(a, s, &out, &before, asker);
}

/* What to do instead of what can't be done now; "" when nothing need be. */
static void way_on(const struct service *s, char out[AGENT_WHY])
{
	int canary = slot_of_role(s->slot, PERCH_ROLE_CANARY);

	out[0] = 0;
	if (s->keep.rollout.phase == ROLLOUT_PAUSED)
		snprintf(out, AGENT_WHY, "; `perch rollout resume %s` first", s->name);
	else if (!service_in_rollout(s) && canary >= 0 && s->slot[canary].rejected)
		snprintf(out, AGENT_WHY, "; `perch rollout retry %s` begins again", s->name);
	else if (!service_in_rollout(s))
		snprintf(out, AGENT_WHY, "; `perch rollout start %s` begins one", s->name);
}

/* "connect_failure, reset" */
static void gate_names(const struct service *s, char out[AGENT_WHY])
{
	size_t at = 0;

	out[0] = 0;
	for (unsigned g = 0; g < MODEL_GATES + MODEL_OUTSIDE && at < AGENT_WHY; g++) {
		const char *name = rollout_gate_name(&s->model->rollout, g);

		if (*name)
			at += snprintf(out + at, AGENT_WHY - at, "%s%s", at ? ", " : "", name);
	}
	for (unsigned g = 0; g < COMPARE_GATES && at < AGENT_WHY; g++)
		if (compare_margin(&s->model->rollout.compare, g) > 0)
			at += snprintf(out + at, AGENT_WHY - at, "%s%s", at ? ", " : "", compare_gate_name(g));
}

static void move_refused(const struct service *s, const struct rollout_order *order, int err, char why[AGENT_WHY])
{
	const struct rollout *r = &s->keep.rollout;
	const char *phase = rollout_phase_name(r->phase);
	enum rollout_verb verb = order->verb;
	char way[AGENT_WHY];

	switch (err) {
	case -EINVAL:
		way_on(s, way);
		snprintf(why, AGENT_WHY, "%s: %s, can't %s%s", s->name, phase, verb_words[verb], way);
		break;
	case -EPERM:
		snprintf(why, AGENT_WHY, "%s: %s; promote with force, or `perch rollout abort %s`", s->name,
			 r->blocked_by[0] ? r->blocked_by : "a gate is over its limit", s->name);
		break;
	case -EHOSTDOWN:
		snprintf(why, AGENT_WHY, "%s: the canary has no live backend", s->name);
		break;
	case -ENOTSUP:
		snprintf(why, AGENT_WHY, "%s: an experiment promotes nobody; `perch rollout abort %s` ends it, strategy: canary in %s promotes",
			 s->name, s->name, s->model->origin);
		break;
	case -ENOENT:
		gate_names(s, way);
		snprintf(why, AGENT_WHY, "%s: there is no gate '%.64s'; gates here: %s", s->name, order->gate, way[0] ? way : "none");
		break;
	case -EALREADY:
		snprintf(why, AGENT_WHY, "%s: gate '%.64s' is left out already", s->name, order->gate);
		break;
	case -ESTALE:
		snprintf(why, AGENT_WHY, "%s: was rolled back meanwhile (%s)", s->name, r->reason);
		break;
	default:
		snprintf(why, AGENT_WHY, "%s: %s", s->name, strerror(-err));
	}
}

/* A command is told of once, with who gave it. */
static void emit_command(struct agent *a, struct service *s, enum rollout_verb verb, enum rollout_phase before,
			 const struct asker *asker)
{
	bool start = verb == VERB_START || verb == VERB_RETRY;
	const char *kind = start ? "rollout" : verb_words[verb];

	if (verb == VERB_RETRY)
		kind = "retry";
	if (verb == VERB_PROMOTE || verb == VERB_ABORT)
		return;		/* what was done has told of itself */
	agent_emit(a, .kind = kind, .actor = asker->actor, .service = s->name, .from = rollout_phase_name(before),
		   .to = start ? s->keep.rollout.canary : rollout_phase_name(s->keep.rollout.phase),
		   .epoch = perch_word_epoch(s->word), .reason = s->keep.rollout.reason, .comment = asker->comment);
}

int rollouts_command(struct agent *a, struct service *s, const struct rollout_order *order, char why[AGENT_WHY])
{
	const struct asker asker = { .actor = order->actor, .comment = order->comment, .flag = PERCH_BY_AGENT };
	enum rollout_verb verb = order->verb;
	enum rollout_phase before;
	bool already;
	int r;

	rollback_notice(a, s);
	before = s->keep.rollout.phase;
	already = verb == VERB_START && service_in_rollout(s);
	if (verb == VERB_START || verb == VERB_RETRY) {
		r = command_start(a, s, verb == VERB_RETRY, &asker, why);
	} else {
		r = command_move(a, s, order, &asker);
		if (r)
			move_refused(s, order, r, why);
		if (r == -EINVAL || r == -EPERM || r == -EHOSTDOWN || r == -ENOTSUP || r == -EALREADY)
			r = -EBUSY;
	}
	if (r || already)
		return r;
	deadman_follow(a, s);
	save_rollout(a, s, true);
	emit_command(a, s, verb, before, &asker);
	/* what was asked for is done when it is answered */
	if ((verb == VERB_ADVANCE || verb == VERB_RESUME || verb == VERB_SKIP) && service_in_rollout(s))
		rollouts_look(a, s);
	return 0;
}
