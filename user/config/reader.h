/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where the reading of a configuration stands: the file and its document, the
 * key it is at, and the one error it may end with.
 */
#ifndef PERCH_CONFIG_READER_H
#define PERCH_CONFIG_READER_H

#include <stdbool.h>
#include <stddef.h>

#include <yaml.h>

#include "../core/model.h"

#define READER_PATH 160

/* Where an endpoint was written, for checks that compare all of them. */
struct reader_place {
	const struct perch_endpoint *endpoint;
	const char *file;	/* the origin of its service */
	char *path;
	int line;
	size_t order;		/* of reading */
	size_t service;		/* element of the configuration's services */
};

struct reader {
	const char *name;	/* of the file, in errors */
	yaml_document_t *document;
	char path[READER_PATH];	/* "services[0].versions[1].name" */
	char *error;		/* CONFIG_ERROR bytes */
	struct model_config *config;	/* what is read into */
	const struct model_service *defaults;	/* what services begin with, or NULL */
	const char *origin;	/* of the service that is being read */
	size_t n_services;	/* that were begun */
	bool in_file;		/* not a text of its own, which may refer to none */
	struct reader_place *places;
	size_t n_places;
};

int reader_line(const yaml_node_t *node);
yaml_node_t *reader_node(const struct reader *r, int index);

/* Say what is wrong, and after a semicolon what would be right, at the key
 * the reader is at.  Returns -EINVAL. */
int reader_fail(struct reader *r, const yaml_node_t *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int reader_fail_line(struct reader *r, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same below the key it is at: "name", or an element. */
int reader_fail_at(struct reader *r, int line, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Out of memory.  Returns -ENOMEM. */
int reader_no_memory(struct reader *r);

/* Go down to a key or an element; what they return leads back. */
size_t reader_enter(struct reader *r, const char *key);
size_t reader_enter_element(struct reader *r, size_t index);
void reader_leave(struct reader *r, size_t to);

/* The path of a file that is named in the one being read, whose folder a
 * relative one begins at; to be freed.  NULL: out of memory, said. */
char *reader_join(struct reader *r, const char *name);
/* Put a copy of a path among the files that were read.  0 or -ENOMEM. */
int reader_used_file(struct reader *r, const char *path);
/* The list with room for one more: it doubles whenever n reaches a power of
 * two.  NULL: out of memory, and the list is as it was. */
void *reader_grown(void *list, size_t n, size_t size);
/* Add a copy of the text.  0 or -ENOMEM, said. */
int reader_add_text(struct reader *r, char ***list, size_t *n, const char *text);

/* Remember where an endpoint of the service was written.  0 or -ENOMEM. */
int reader_place(struct reader *r, const struct perch_endpoint *e, int line);
void reader_free_places(struct reader *r);

#endif
