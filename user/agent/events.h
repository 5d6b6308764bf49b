/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Events: what happened, who did it and why.  The last of them are in memory,
 * the last EVENTS_STORED in the store, and who follows is called for each.
 */
#ifndef PERCH_AGENT_EVENTS_H
#define PERCH_AGENT_EVENTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <linux/types.h>

#define EVENTS_KEPT 1000
#define EVENTS_STORED 10000

struct store;

struct actor {
	const char *via;	/* socket, direct, reflex, deadman, file, judge */
	bool known;		/* the rest is set */
	uid_t uid;
	pid_t pid;
	char user[64];		/* "": not looked up yet */
};
extern const struct actor actor_file, actor_judge, actor_reflex, actor_direct, actor_deadman;
/* Who holds the other end of a unix socket. */
struct actor actor_of_socket(int fd);
/* The name, or the uid as text; good until the next call.  A user database can
 * be slow: it is asked when something is told, not before it is done. */
const char *actor_user(const struct actor *a);
/* Who wrote a split word, from its flags; NULL: an agent. */
const struct actor *actor_of_word(__u64 word);

struct event {
	const char *kind;
	const struct actor *actor;
	const char *service;	/* NULL here and below: not said */
	const char *from, *to;
	__u32 epoch;		/* 0: not said */
	const char *reason;
	const char *comment;
	const char *version;	/* whose labels go along; NULL: the canary's */
	json_t *labels;		/* of it, set by agent_tell */
};

struct events;
/* store may be NULL. */
int events_open(struct events **ret, struct store *store);
void events_close(struct events *e);
/* Those in memory to this store, which gets the next ones too. */
int events_store(struct events *e, struct store *store);
/* Note it, log it, keep it, tell who follows. */
void events_emit(struct events *e, const struct event *event);
/* The last n (of one service; NULL: all), oldest first: a new array. */
json_t *events_last(const struct events *e, size_t n, const char *service);

struct follower {
	struct follower *next;
	void (*fn)(struct follower *f, const json_t *event);
};
void events_follow(struct events *e, struct follower *f);
void events_unfollow(struct events *e, struct follower *f);
/* One who hears of each without being a follower, whom each_follower would
 * take for a stream; fn NULL: nobody. */
void events_hear(struct events *e, void (*fn)(void *arg, const json_t *event), void *arg);
/* Call fn for every follower; fn may unfollow its own. */
void events_each_follower(struct events *e, void (*fn)(struct follower *f));

#endif
