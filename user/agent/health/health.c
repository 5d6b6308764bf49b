// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Which backends are checked, when, and what follows from it.  The checks of a
 * round are spread over the interval; of those that are due at once no more
 * run than there are descriptors for, the others wait in line.
 */
#include "health.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "../../core/address.h"
#include "../alarms.h"
#include "../clock.h"
#include "findings.h"
#include "probe.h"
#include "../api/view.h"

#define RUNNING_MOST 2048
#define FILES_MOST 65536
#define VOID_MOST 3

enum check_state { CHECK_RESTS, CHECK_WAITS, CHECK_RUNS };

struct check {
	struct check *next;		/* of its service */
	TAILQ_ENTRY(check) line;	/* while it waits */
	struct agent *agent;
	struct service *service;	/* NULL: gone, freed when nothing of it is open */
	__u32 backend;			/* its element while the service names it */
	__u32 incarnation;
	__be16 port;			/* that is asked */
	bool wanted;
	bool timer_open;
	enum check_state state;
	struct model_health policy;	/* with a path of its own */
	uv_timer_t due;
	struct probe probe;

	bool passed;			/* the last one that said something */
	unsigned row;			/* that many in a row said so */
	unsigned void_row;		/* that many since then could not be made */
	__u64 n_passed, n_failed;
	double at;			/* since 1970; 0: none yet */
	__u64 took;			/* ns */
	char text[PROBE_TEXT];
};

static void check_begin(struct check *c);

static const struct perch_backend *check_element(const struct check *c)
{
	return &c->agent->datapath.maps.backends[c->backend];
}

static void check_free(struct check *c)
{
	if (c->service || c->timer_open || c->state == CHECK_RUNS)
		return;
	free(c->policy.path);
	free(c);
}

static void timer_closed(uv_handle_t *handle)
{
	struct check *c = handle->data;

	c->timer_open = false;
	check_free(c);
}

/* For the service it is gone now. */
static void check_end(struct check *c)
{
	c->service = NULL;
	if (c->agent->check_of[c->backend] == c)
		c->agent->check_of[c->backend] = NULL;
	uv_close((uv_handle_t *)&c->due, timer_closed);
	if (c->state == CHECK_WAITS) {
		TAILQ_REMOVE(&c->agent->checks_waiting, c, line);
		c->state = CHECK_RESTS;
	} else if (c->state == CHECK_RUNS) {
		probe_stop(&c->probe);
	}
}

static void check_due(uv_timer_t *timer)
{
	struct check *c = timer->data;

	if (c->agent->checks_running < c->agent->checks_most) {
		check_begin(c);
		return;
	}
	TAILQ_INSERT_TAIL(&c->agent->checks_waiting, c, line);
	c->state = CHECK_WAITS;
}

static void check_after(struct check *c, __u64 ns)
{
	uv_update_time(&c->agent->loop);
	uv_timer_start(&c->due, check_due, (ns + NS_PER_MS - 1) / NS_PER_MS, 0);
}

/* A part of the interval, another one each time: whole rounds come out evenly
 * however many join (multiples of the golden ratio). */
static void check_somewhen(struct check *c)
{
	static __u32 turn;

	turn += 0x9e3779b9u;
	check_after(c, (double)turn / 0x100000000ull * c->policy.interval);
}

static void check_take(struct check *c, const struct probe *p)
{
	bool passed = p->verdict == PROBE_PASSED, down = check_element(c)->held & PERCH_HELD_HEALTH;
	char reason[PROBE_TEXT + 32];

	c->at = clock_wall();
	c->took = p->took;
	memcpy(c->text, p->text, sizeof(c->text));
	c->void_row = p->verdict == PROBE_VOID ? c->void_row + 1 : 0;
	if (p->verdict == PROBE_VOID)
		return;
	c->row = passed == c->passed ? c->row + 1 : 1;
	c->passed = passed;
	c->n_passed += passed;
	c->n_failed += !passed;
	if (passed != down || c->row < (passed ? c->policy.rise : c->policy.fall))
		return;
	snprintf(reason, sizeof(reason), "%s, %u in a row", c->text, c->row);
	findings_add(c->agent, c->backend, !down, reason);
}

static void probe_done(struct probe *p)
{
	struct check *c = (struct check *)((char *)p - offsetof(struct check, probe));
	struct agent *a = c->agent;
	__u64 next = p->began + c->policy.interval, now = clock_now();
	struct check *first;

	a->checks_running--;
	c->state = CHECK_RESTS;
	if (c->service) {
		check_take(c, p);
		check_after(c, next > now ? next - now : 0);
	} else {
		check_free(c);
	}
	first = TAILQ_FIRST(&a->checks_waiting);
	if (first && a->checks_running < a->checks_most) {
		TAILQ_REMOVE(&a->checks_waiting, first, line);
		check_begin(first);
	}
}

static void check_begin(struct check *c)
{
	const struct perch_backend *b = check_element(c);

	c->state = CHECK_RUNS;
	c->agent->checks_running++;
	probe_start(&c->probe, &c->agent->loop, &b->address, c->port, &c->policy, probe_done);
}

static bool policy_same(const struct model_health *x, const struct model_health *y)
{
	return x->type == y->type && x->interval == y->interval && x->timeout == y->timeout && x->fall == y->fall &&
	       x->rise == y->rise && x->expect_low == y->expect_low && x->expect_high == y->expect_high &&
	       !strcmp(x->path ? x->path : "/", y->path ? y->path : "/");
}

/* Its own copy; without memory for the path it asks for "/". */
static void policy_copy(struct model_health *to, const struct model_health *from)
{
	free(to->path);
	*to = *from;
	to->path = from->path ? strdup(from->path) : NULL;
}

/* The port of a backend that takes that of the listener: the first one's that
 * speaks TCP. */
static __be16 check_port(const struct service *s, const struct perch_backend *b)
{
	for (size_t i = 0; i < s->model->n_listen && !b->port; i++)
		if (s->model->listen[i].protocol == IPPROTO_TCP && s->model->listen[i].port)
			return s->model->listen[i].port;
	return b->port;
}

/* The check of an element, if it is this service's and of what is there now. */
static struct check *check_find(const struct agent *a, const struct service *s, __u32 backend)
{
	struct check *c = a->check_of[backend];

	return c && c->service == s && c->incarnation == a->datapath.maps.backends[backend].incarnation ? c : NULL;
}

static struct check *check_new(struct agent *a, struct service *s, __u32 backend)
{
	struct check *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->agent = a;
	c->service = s;
	c->backend = backend;
	c->incarnation = a->datapath.maps.backends[backend].incarnation;
	uv_timer_init(&a->loop, &c->due);
	c->timer_open = true;
	c->due.data = c;
	c->next = s->checks;
	s->checks = c;
	a->check_of[backend] = c;
	return c;
}

static void check_want(struct agent *a, struct service *s, __u32 backend)
{
	const struct perch_backend *b = &a->datapath.maps.backends[backend];
	const struct model_health *policy = &s->model->health;
	struct check *c = check_find(a, s, backend);
	__be16 port = check_port(s, b);

	if (policy->type == MODEL_CHECK_NONE || !port)
		return;
	if (!c)
		c = check_new(a, s, backend);
	if (!c)
		return;		/* it stays as it is */
	c->wanted = true;
	if (c->port == port && policy_same(&c->policy, policy))
		return;
	c->port = port;
	c->row = 0;		/* what was asked before counts no more */
	policy_copy(&c->policy, policy);
	if (c->state == CHECK_RESTS)
		check_somewhen(c);
}

static void checks_prune(struct service *s)
{
	struct check **at = &s->checks, *c;

	while ((c = *at)) {
		if (c->wanted) {
			c->wanted = false;
			at = &c->next;
			continue;
		}
		*at = c->next;
		check_end(c);
	}
}

/* Nobody checks it any more who could say that it is up again. */
static void release(struct agent *a, struct service *s, const struct perch_backend *b)
{
	char address[ADDRESS_TEXT], reason[ADDRESS_TEXT + PERCH_NAME_LEN + 48];
	unsigned slot = b->version % PERCH_SLOTS;

	if (tables_backend_hold(a->tables, s->id, slot, &b->address, b->port, b->held & ~PERCH_HELD_HEALTH))
		s->astray = true;
	snprintf(reason, sizeof(reason), "%s of %s: its health is no longer checked",
		 address_port_format(&b->address, b->port, address), s->slot[slot].name);
	agent_emit(a, .kind = "backend", .actor = &actor_file, .service = s->name, .from = view_backend_state(PERCH_BACKEND_DOWN),
		   .to = view_backend_state(b->state), .reason = reason);
}

/* Half of the descriptors that this process may have; the rest is for others. */
int health_start(struct agent *a)
{
	struct rlimit files;

	TAILQ_INIT(&a->checks_waiting);
	if (getrlimit(RLIMIT_NOFILE, &files))
		return -errno;
	files.rlim_cur = files.rlim_max < FILES_MOST ? files.rlim_max : FILES_MOST;
	setrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_NOFILE, &files);
	a->checks_most = files.rlim_cur / 2 < RUNNING_MOST ? files.rlim_cur / 2 : RUNNING_MOST;
	a->check_of = calloc(a->datapath.maps.control->backends_n, sizeof(struct check *));
	return a->check_of ? findings_start(a) : -ENOMEM;
}

void health_follow(struct agent *a, struct service *s)
{
	const struct maps *m = &a->datapath.maps;

	for (__u32 id = 0; (id = tables_backend_next(a->tables, s->id, id));)
		if (tables_backend_named(&m->backends[id]))
			check_want(a, s, id);
	checks_prune(s);
	for (__u32 id = 0; (id = tables_backend_next(a->tables, s->id, id));) {
		const struct perch_backend *b = &m->backends[id];

		if (b->held & PERCH_HELD_HEALTH && !check_find(a, s, id))
			release(a, s, b);
	}
}

void health_forget(struct agent *a, struct service *s)
{
	checks_prune(s);	/* none is wanted between two calls */
	alarm_clear(a, "checks", s->name);
}

void health_stop(struct agent *a)
{
	for (struct service *s = a->services; s; s = s->next)
		checks_prune(s);
}

bool health_counts(const struct agent *a, const struct service *s, __u32 backend, __u64 *ret_passed, __u64 *ret_failed)
{
	const struct check *c = check_find(a, s, backend);

	if (!c)
		return false;
	*ret_passed = c->n_passed;
	*ret_failed = c->n_failed;
	return true;
}

const char *health_unable(const struct service *s)
{
	for (const struct check *c = s->checks; c; c = c->next)
		if (c->void_row >= VOID_MOST)
			return c->text;
	return NULL;
}

json_t *health_view(const struct agent *a, const struct service *s, __u32 backend)
{
	static const char *const types[] = { "none", "tcp", "http" };
	const struct check *c = check_find(a, s, backend);

	if (!c)
		return json_null();
	return json_pack("{s:s, s:i, s:I, s:I, s:o, s:o, s:o, s:o, s:I}", "type", types[c->policy.type], "port",
			 (int)ntohs(c->port), "passed", (json_int_t)c->n_passed, "failed", (json_int_t)c->n_failed, "ok",
			 c->row ? json_boolean(c->passed) : json_null(), "time", c->at > 0 ? json_real(c->at) : json_null(),
			 "seconds", c->at > 0 ? json_real(c->took / 1e9) : json_null(), "result",
			 c->at > 0 ? json_string(c->text) : json_null(), "row", (json_int_t)c->row);
}
