// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The ring of the last events and those who follow it. */
#define _GNU_SOURCE	/* struct ucred */
#include "events.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <perch/abi.h>

#include "clock.h"
#include "log.h"
#include "store/store.h"

struct events {
	struct store *store;
	json_t *ring[EVENTS_KEPT];
	size_t next;		/* where the next one goes */
	size_t count;
	__u64 id;
	struct follower *followers;
	void (*hears)(void *arg, const json_t *event);	/* NULL: nobody */
	void *hears_arg;
};

const struct actor actor_file = { .via = "file" };
const struct actor actor_judge = { .via = "judge" };
const struct actor actor_reflex = { .via = "reflex" };
const struct actor actor_direct = { .via = "direct" };
const struct actor actor_deadman = { .via = "deadman" };

struct actor actor_of_socket(int fd)
{
	struct actor a = { .via = "socket" };
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length))
		return a;
	a.known = true;
	a.uid = peer.uid;
	a.pid = peer.pid;
	return a;
}

const char *actor_user(const struct actor *a)
{
	static char name[sizeof(a->user)];
	const struct passwd *user;

	if (!a->known || a->user[0])
		return a->user;
	user = getpwuid(a->uid);
	if (user)
		snprintf(name, sizeof(name), "%s", user->pw_name);
	else
		snprintf(name, sizeof(name), "%u", (unsigned)a->uid);
	return name;
}

const struct actor *actor_of_word(__u64 word)
{
	__u32 flags = perch_word_flags(word);

	if (flags & PERCH_BY_REFLEX)
		return &actor_reflex;
	if (flags & PERCH_BY_DEADMAN)
		return &actor_deadman;
	if (flags & PERCH_BY_DIRECT)
		return &actor_direct;
	return flags & PERCH_BY_JUDGE ? &actor_judge : NULL;
}

static void events_push(struct events *e, json_t *event)
{
	json_decref(e->ring[e->next]);
	e->ring[e->next] = event;
	e->next = (e->next + 1) % EVENTS_KEPT;
	if (e->count < EVENTS_KEPT)
		e->count++;
}

static void events_restore(void *arg, __u64 id, const char *text)
{
	struct events *e = arg;
	json_t *event = json_loads(text, 0, NULL);

	if (!event)
		return;
	if (id > e->id)
		e->id = id;
	events_push(e, event);
}

int events_open(struct events **ret, struct store *store)
{
	struct events *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->store = store;
	store_events(store, EVENTS_KEPT, events_restore, e);
	*ret = e;
	return 0;
}

void events_close(struct events *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < EVENTS_KEPT; i++)
		json_decref(e->ring[i]);
	free(e);
}

int events_store(struct events *e, struct store *store)
{
	int r = 0;

	e->store = store;
	for (size_t i = e->count; i > 0 && !r; i--) {
		const json_t *event = e->ring[(e->next + EVENTS_KEPT - i) % EVENTS_KEPT];
		char *text = json_dumps(event, JSON_COMPACT);

		if (text)
			r = store_event(store, json_integer_value(json_object_get(event, "id")), text);
		free(text);
	}
	return r;
}

static json_t *actor_json(const struct actor *a)
{
	if (!a)
		a = &actor_file;
	if (!a->known)
		return json_pack("{s:n, s:n, s:n, s:s}", "uid", "user", "pid", "via", a->via);
	return json_pack("{s:I, s:s, s:I, s:s}", "uid", (json_int_t)a->uid, "user", actor_user(a), "pid",
			 (json_int_t)a->pid, "via", a->via);
}

static json_t *event_json(const struct event *v, __u64 id)
{
	return json_pack("{s:I, s:f, s:s?, s:s, s:o, s:s?, s:s?, s:o, s:s?, s:s?, s:O?}", "id", (json_int_t)id, "time",
			 clock_wall(), "service", v->service, "kind", v->kind, "actor", actor_json(v->actor), "from",
			 v->from, "to", v->to, "epoch", v->epoch ? json_integer(v->epoch) : json_null(), "reason",
			 v->reason, "comment", v->comment, "labels", v->labels);
}

static void event_log(const struct event *v)
{
	const struct actor *a = v->actor ? v->actor : &actor_file;

	log_notice("%s%s%s%s%s%s%s%s%s (%s%s%s)%s%s", v->service ? v->service : "", v->service ? ": " : "", v->kind,
		   v->from ? " from " : "", v->from ? v->from : "", v->to ? " to " : "", v->to ? v->to : "",
		   v->reason ? ": " : "", v->reason ? v->reason : "", a->via, a->known ? " " : "",
		   a->known ? actor_user(a) : "", v->comment ? " # " : "", v->comment ? v->comment : "");
}

void events_emit(struct events *e, const struct event *v)
{
	json_t *event = event_json(v, e->id + 1);
	struct follower *next;
	char *text;

	event_log(v);
	if (!event)
		return;
	e->id++;
	text = json_dumps(event, JSON_COMPACT);
	if (text)
		store_event(e->store, e->id, text);
	free(text);
	events_push(e, event);
	if (e->hears)
		e->hears(e->hears_arg, event);
	for (struct follower *f = e->followers; f; f = next) {
		next = f->next;
		f->fn(f, event);
	}
}

json_t *events_last(const struct events *e, size_t n, const char *service)
{
	json_t *array = json_array();

	for (size_t i = 1; i <= e->count && json_array_size(array) < n; i++) {
		json_t *event = e->ring[(e->next + EVENTS_KEPT - i) % EVENTS_KEPT];
		const char *name = json_string_value(json_object_get(event, "service"));

		if (!service || (name && !strcmp(name, service)))
			json_array_insert(array, 0, event);
	}
	return array;
}

void events_hear(struct events *e, void (*fn)(void *arg, const json_t *event), void *arg)
{
	e->hears = fn;
	e->hears_arg = arg;
}

void events_follow(struct events *e, struct follower *f)
{
	f->next = e->followers;
	e->followers = f;
}

void events_unfollow(struct events *e, struct follower *f)
{
	for (struct follower **at = &e->followers; *at; at = &(*at)->next) {
		if (*at == f) {
			*at = f->next;
			return;
		}
	}
}

void events_each_follower(struct events *e, void (*fn)(struct follower *f))
{
	struct follower *next;

	for (struct follower *f = e->followers; f; f = next) {
		next = f->next;
		fn(f);
	}
}
