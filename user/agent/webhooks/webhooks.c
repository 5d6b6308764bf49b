// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Messages on their way.  Each has its own copy of where it goes, so that a
 * reload changes nothing for it; there is a most of them, so that a receiver
 * that is gone for good costs no memory.
 */
#include "webhooks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../log.h"
#include "message.h"
#include "signed.h"

#define MESSAGES 1000
#define BACK_OFF_MS 1000	/* after the first failure, then twice as long each time */
#define BACK_OFF_MOST_MS 60000

struct message {
	struct message *next, **at;
	struct webhooks *of;
	struct model_webhook to;
	char service[PERCH_NAME_LEN], version[PERCH_NAME_LEN];
	const char *event;	/* a literal */
	char *body;
	unsigned tries;
	struct fetch *fetch;	/* NULL: it waits */
	uv_timer_t timer;
};

struct webhooks {
	struct agent *agent;
	struct message *first;
	unsigned n;
	bool leaving;
};

static void message_free(uv_handle_t *timer)
{
	struct message *m = timer->data;

	free(m->body);
	free(m);
}

static void message_end(struct message *m)
{
	*m->at = m->next;
	if (m->next)
		m->next->at = m->at;
	m->of->n--;
	fetch_cancel(m->fetch);
	uv_close((uv_handle_t *)&m->timer, message_free);
}

/* An alarm about this is no event of webhooks, or it would make the next. */
static void count_failure(struct agent *a, const char *service, const char *why)
{
	struct service *s = agent_service(a, service);

	if (s)
		s->webhook_failures++;
	alarm_raise(a, "webhook", service, *service ? service : NULL, "see whether the receiver is there and takes it",
		    "a message to a webhook was given up: %s", why);
}

static void message_send(struct message *m);

static void on_timer(uv_timer_t *timer)
{
	message_send(timer->data);
}

static void message_failed(struct message *m, const char *why)
{
	unsigned shift = m->tries - 1;
	__u64 wait = shift < 6 ? BACK_OFF_MS << shift : BACK_OFF_MOST_MS;

	if (m->tries <= m->to.retries && !m->of->leaving) {
		uv_timer_start(&m->timer, on_timer, wait < BACK_OFF_MOST_MS ? wait : BACK_OFF_MOST_MS, 0);
		return;
	}
	count_failure(m->of->agent, m->service, why);
	message_end(m);
}

static void answered(void *arg, const struct fetch_answer *answer)
{
	struct message *m = arg;
	char why[ASK_WHY];

	m->fetch = NULL;
	if (!answer->error && answer->status >= 200 && answer->status <= 299) {
		alarm_clear(m->of->agent, "webhook", m->service);
		message_end(m);
		return;
	}
	if (answer->error)
		snprintf(why, sizeof(why), "%.100s", answer->error);
	else
		snprintf(why, sizeof(why), "it answered with status %ld", answer->status);
	message_failed(m, why);
}

static void message_send(struct message *m)
{
	const struct ask_names names = { m->service, m->version };
	char why[ASK_WHY];
	struct ask ask;

	m->tries++;
	if (signed_ask(&ask, &m->to, &names, m->event, m->body, why)) {
		message_failed(m, why);
		return;
	}
	m->fetch = fetch_start(m->of->agent->fetcher, &ask.fetch, answered, m);
	ask_clear(&ask);
	if (!m->fetch)
		message_failed(m, "out of memory");
}

static void message_new(struct webhooks *w, const struct model_webhook *to, const struct service *s, const json_t *event)
{
	struct message *m = w->n < MESSAGES ? calloc(1, sizeof(*m)) : NULL;
	char *body = m ? message_body(to->format, event) : NULL;

	if (!body) {
		count_failure(w->agent, s->name, w->n < MESSAGES ? "out of memory" : "too many others wait");
		free(m);
		return;
	}
	m->of = w;
	m->to = *to;
	m->body = body;
	m->event = message_event_name(message_event(event));
	snprintf(m->service, sizeof(m->service), "%s", s->name);
	snprintf(m->version, sizeof(m->version), "%s", s->keep.rollout.canary);
	m->next = w->first;
	m->at = &w->first;
	if (m->next)
		m->next->at = &m->next;
	w->first = m;
	w->n++;
	uv_timer_init(&w->agent->loop, &m->timer);
	m->timer.data = m;
	message_send(m);
}

static bool is_about_webhooks(const json_t *event)
{
	const char *to = json_string_value(json_object_get(event, "to")), *from = json_string_value(json_object_get(event, "from"));

	return (to && !strcmp(to, "webhook")) || (from && !strcmp(from, "webhook"));
}

static bool told_before(const struct agent *a, const struct service *upto, const struct model_webhook *w)
{
	for (const struct service *s = a->services; s && s != upto; s = s->next)
		for (size_t i = 0; s->model && i < s->model->rollout.n_webhooks; i++)
			if (!memcmp(&s->model->rollout.webhooks[i].target, &w->target, sizeof(w->target)))
				return true;
	return false;
}

/* What concerns the host goes to each receiver once. */
static void on_event(void *arg, const json_t *event)
{
	struct webhooks *w = arg;
	const char *service = json_string_value(json_object_get(event, "service"));
	__u32 tell = message_event(event);

	if (!tell || w->leaving || (tell == MODEL_TELL_ALARM && is_about_webhooks(event)))
		return;
	for (struct service *s = w->agent->services; s; s = s->next) {
		if ((service && strcmp(service, s->name)) || !s->model)
			continue;
		for (size_t i = 0; i < s->model->rollout.n_webhooks; i++) {
			const struct model_webhook *to = &s->model->rollout.webhooks[i];

			if (!to->gate && (to->events & tell) && (service || !told_before(w->agent, s, to)))
				message_new(w, to, s, event);
		}
	}
}

int webhooks_start(struct agent *a)
{
	struct webhooks *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->agent = a;
	events_hear(a->events, on_event, w);
	a->webhooks = w;
	return 0;
}

void webhooks_stop(struct agent *a)
{
	struct webhooks *w = a->webhooks;

	if (!w)
		return;
	w->leaving = true;
	events_hear(a->events, NULL, NULL);
	for (struct message *m = w->first, *next; m; m = next) {
		next = m->next;
		message_end(m);
	}
	a->webhooks = NULL;
	free(w);
}
