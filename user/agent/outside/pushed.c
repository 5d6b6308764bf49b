// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns the series that were pushed: a bounded list, few of which are long. */
#include "pushed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct pushed_series *pushed_find(const struct pushed *p, const char *service, const char *version, const char *name)
{
	for (const struct pushed_series *s = p->first; s; s = s->next)
		if (!strcmp(s->name, name) && !strcmp(s->version, version) && !strcmp(s->service, service))
			return s;
	return NULL;
}

const struct pushed_value *pushed_last(const struct pushed_series *s)
{
	return &s->value[(s->count - 1) % PUSHED_VALUES];
}

static struct pushed_series *series_new(struct pushed *p, const char *service, const char *version, const char *name)
{
	struct pushed_series *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	snprintf(s->service, sizeof(s->service), "%s", service);
	snprintf(s->version, sizeof(s->version), "%s", version);
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->next = p->first;
	p->first = s;
	p->n++;
	return s;
}

int pushed_add(struct pushed *p, const char *service, const char *version, const char *name, double value, __u64 now)
{
	struct pushed_series *s = (struct pushed_series *)pushed_find(p, service, version, name);

	if (!s && p->n >= PUSHED_SERIES)
		pushed_age(p, now);
	if (!s && p->n >= PUSHED_SERIES)
		return -ENOSPC;
	if (!s)
		s = series_new(p, service, version, name);
	if (!s)
		return -ENOMEM;
	/* two within one tick of the clock are two */
	if (s->count && now <= pushed_last(s)->at)
		now = pushed_last(s)->at + 1;
	s->value[s->count++ % PUSHED_VALUES] = (struct pushed_value){ now, value };
	return 0;
}

void pushed_age(struct pushed *p, __u64 now)
{
	for (struct pushed_series **at = &p->first; *at;) {
		struct pushed_series *s = *at;
		__u64 last = pushed_last(s)->at;

		if (now < last || now - last < PUSHED_LIFE) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
		p->n--;
	}
}

void pushed_free(struct pushed *p)
{
	while (p->first) {
		struct pushed_series *s = p->first;

		p->first = s->next;
		free(s);
	}
	p->n = 0;
}
