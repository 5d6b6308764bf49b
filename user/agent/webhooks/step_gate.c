// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Webhooks with `gate: step`: each must answer 2xx before a step is taken.
 * They are asked one after the other, and again after a while when one says
 * no.  A yes holds for this step of this rollout.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "message.h"
#include "signed.h"
#include "webhooks.h"

#define AGAIN (10 * NS_PER_S)

struct step_gate {
	__u64 started;		/* which step it was asked for */
	__u32 step, share;
	size_t asked;		/* webhooks that said yes */
	struct fetch *fetch;	/* NULL: none is being asked */
	__u64 again;		/* ns: not before */
	char why[64];		/* of blockedBy */
};

void step_gate_free(struct step_gate *g)
{
	if (g)
		fetch_cancel(g->fetch);
	free(g);
}

static const struct model_webhook *gate_of(const struct service *s, size_t n)
{
	const struct model_rollout *p = &s->model->rollout;

	for (size_t i = 0; i < p->n_webhooks; i++)
		if (p->webhooks[i].gate && !n--)
			return &p->webhooks[i];
	return NULL;
}

static void answered(void *arg, const struct fetch_answer *answer)
{
	struct step_gate *g = arg;

	g->fetch = NULL;
	if (!answer->error && answer->status >= 200 && answer->status <= 299) {
		g->asked++;
		return;
	}
	g->again = clock_now() + AGAIN;
	if (answer->error)
		snprintf(g->why, sizeof(g->why), "webhook before a step: %.38s", answer->error);
	else
		snprintf(g->why, sizeof(g->why), "webhook before a step answered %ld", answer->status);
}

static char *question(const struct service *s)
{
	const struct rollout *r = &s->keep.rollout;
	json_t *doc = json_pack("{s:s, s:s, s:s, s:i, s:f, s:f}", "event", "gate", "service", s->name, "canary", r->canary, "step",
				(int)r->step + 1, "from", s->canary_share / 100.0, "to", r->share / 100.0);
	char *body = doc ? json_dumps(doc, JSON_COMPACT) : NULL;

	json_decref(doc);
	return body;
}

static void ask_gate(struct agent *a, struct step_gate *g, const struct service *s, const struct model_webhook *w)
{
	const struct ask_names names = { s->name, s->keep.rollout.canary };
	char *body = question(s), why[ASK_WHY] = "out of memory";
	struct ask ask;

	if (body && !signed_ask(&ask, w, &names, "gate", body, why)) {
		g->fetch = fetch_start(a->fetcher, &ask.fetch, answered, g);
		ask_clear(&ask);
	}
	free(body);
	if (g->fetch)
		return;
	g->again = clock_now() + AGAIN;
	snprintf(g->why, sizeof(g->why), "webhook before a step: %.38s", why);
}

const char *step_gate_closed(struct agent *a, struct service *s)
{
	const struct rollout *r = &s->keep.rollout;
	struct step_gate *g = s->step_gate;

	if (!gate_of(s, 0))
		return NULL;
	if (!a->fetcher)
		return "webhook before a step: perchd is starting";
	if (!g)
		g = s->step_gate = calloc(1, sizeof(*g));
	if (!g)
		return "out of memory";
	if (g->started != r->started || g->step != r->step || g->share != r->share) {
		fetch_cancel(g->fetch);
		*g = (struct step_gate){ .started = r->started, .step = r->step, .share = r->share };
		snprintf(g->why, sizeof(g->why), "webhook before a step: no answer yet");
	}
	if (!gate_of(s, g->asked))
		return NULL;
	if (!g->fetch && clock_now() >= g->again)
		ask_gate(a, g, s, gate_of(s, g->asked));
	return g->why;
}
