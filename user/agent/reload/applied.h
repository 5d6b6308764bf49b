/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Services that the API owns: made by `service apply`, kept in the store as
 * they were given, in force beside the file's.  What is in a file is changed in
 * the file; here it is refused, naming the place.
 */
#ifndef PERCH_AGENT_APPLIED_H
#define PERCH_AGENT_APPLIED_H

#include <jansson.h>

#include "../agent.h"
#include "apply.h"

#define APPLIED_ORIGIN "service "

struct applied {
	struct applied *next;
	char name[PERCH_NAME_LEN];
	char origin[PERCH_NAME_LEN + 16];	/* stands for a file's name in errors */
	char *text;
	__u64 since;		/* seconds since 1970 */
	bool rebuilt;		/* from the kernel's maps: not all that was applied */
};

/* What the store has into a->applied; for agent_start. */
int applied_load(struct agent *a);
void applied_free(struct agent *a);
/* All of them into the store, which is new; what it has itself of one that was
 * rebuilt counts more.  0 or -errno. */
int applied_save(struct agent *a);
/* Services in the kernel that the API made, and whose text the store lost: as
 * the maps show them, with an alarm.  For agent_start, after
 * takeover_registry. */
int applied_rebuild(struct agent *a);
/* Whether s belongs to the API, to the pinned maps. */
void applied_mark(struct agent *a, const struct service *s);
const struct applied *applied_find(const struct agent *a, const char *name);
/* A new one, NULL without memory, and where one of that name is, or the end of
 * the list. */
struct applied *applied_new(const char *name, const char *text, __u64 since);
struct applied **applied_at(struct agent *a, const char *name);
/* As the configuration takes them: an array to be freed. */
int applied_texts(const struct agent *a, struct config_text **ret, size_t *ret_n);

/*
 * Each changes all or nothing: 0, or -errno with a sentence: -EINVAL (what is
 * wrong in the text), -ENOENT, -EBUSY (a file owns the service, or its state
 * does not allow it), -EAGAIN (may succeed in a second), or the store's.
 */
int applied_put(struct agent *a, const char *name, const char *text, const struct apply *how, char why[AGENT_WHY]);
/* Its connections have drain_ns; 0: they end at once. */
int applied_delete(struct agent *a, const char *name, bool force, __u64 drain_ns, const struct apply *how,
		   char why[AGENT_WHY]);
/* version: as the configuration has one. */
int applied_version_add(struct agent *a, const char *name, const json_t *version, const struct apply *how,
			char why[AGENT_WHY]);
int applied_version_delete(struct agent *a, const char *name, const char *version, const struct apply *how,
			   char why[AGENT_WHY]);

/* 0, or why the API may not change the structure of s: -ENOENT, -EBUSY. */
int applied_check_owner(const struct agent *a, const char *name, char why[AGENT_WHY]);

#endif
