/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A configuration as paths and values, each as it would be written. */
#ifndef PERCH_CONFIG_LEAVES_H
#define PERCH_CONFIG_LEAVES_H

#include <stdio.h>

#include "../core/model.h"

#define LEAVES_PATH 384		/* "services.", three names and the keys between */

struct leaf {
	char *path;		/* "services.web.rollback.established" */
	char *value;		/* "drain" */
};

struct leaves {
	struct leaf *leaf;
	size_t n;
	char path[LEAVES_PATH];	/* what the next ones are below */
	int err;		/* -ENOMEM: some are missing */
};

/* All but services, and of a service all but rules. */
void leaves_of_host(struct leaves *l, const struct model_config *c);
void leaves_of_service(struct leaves *l, const struct model_service *s);
void leaves_free(struct leaves *l);

/* Below the path: one value, NULL or "" adds none. */
void leaves_add(struct leaves *l, const char *key, const char *value);
void leaves_duration(struct leaves *l, const char *key, __u64 ns);
void leaves_percent(struct leaves *l, const char *key, __u32 share);
void leaves_count(struct leaves *l, const char *key, __u64 n);
/* A list: the stream it is written to, "[" before it; with "]" after it. */
struct leaves_list {
	FILE *f;
	char *text;
	size_t length, n;
};
int leaves_open(struct leaves *l, struct leaves_list *list);
void leaves_element(struct leaves_list *list, const char *format, ...) __attribute__((format(printf, 2, 3)));
void leaves_close(struct leaves *l, const char *key, struct leaves_list *list);
/* Go below a key; what it returns leads back. */
size_t leaves_enter(struct leaves *l, const char *key);
void leaves_leave(struct leaves *l, size_t to);

/* leaves_outside.c: one gate, to the stream of a list. */
void leaves_outside(FILE *f, const struct model_outside *g);
void leaves_webhook(FILE *f, const struct model_webhook *w);

/* leaves_rollout.c: below the path. */
void leaves_of_rollout(struct leaves *l, const struct model_rollout *p);

#endif
