// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the key `include`: patterns of files beside the main one, each with
 * services only.
 */
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "config.h"
#include "document.h"
#include "parts.h"
#include "values.h"

#define FILES_MOST PERCH_SERVICES_MOST
#define MAIN_ONLY "it belongs in the file that includes this one"

static const struct schema_key included_keys[] = {
	{ .name = "schema", .read = schema_number_read },
	{ .name = "services", .read = services_read },
	SCHEMA_NOT_HERE("agent", MAIN_ONLY),
	SCHEMA_NOT_HERE("defaults", MAIN_ONLY),
	SCHEMA_NOT_HERE("fleet", MAIN_ONLY),
	SCHEMA_NOT_HERE("include", MAIN_ONLY),
	SCHEMA_NOT_HERE("interfaces", MAIN_ONLY),
	{}
};
static const struct schema included_schema = { "an included file", included_keys };

/* A file in which everything is a comment has no service, for now. */
static int read_root(struct reader *r, yaml_node_t *root, void *config)
{
	return root ? schema_read(r, root, &included_schema, config) : 0;
}

/* By any name, the same file would give every service twice. */
static const char *read_before(const struct reader *r, const char *path)
{
	struct stat now, before;

	if (stat(path, &now))
		return NULL;
	for (size_t i = 0; i < r->config->n_files; i++)
		if (!stat(r->config->files[i], &before) && now.st_dev == before.st_dev && now.st_ino == before.st_ino)
			return r->config->files[i];
	return NULL;
}

/* The places of listeners are gathered over all files: that alone goes back. */
static int read_file(struct reader *r, yaml_node_t *node, const char *path)
{
	const char *before = read_before(r, path);
	struct reader included = *r;
	size_t length;
	char *text;
	int err;

	if (before)
		return reader_fail(r, node, "%.120s is read already%s%.120s; include it once", path,
				   strcmp(before, path) ? " as " : "", strcmp(before, path) ? before : "");
	if (r->config->n_files > FILES_MOST)
		return reader_fail(r, node, "%.120s is file number %d; put more services into one", path, FILES_MOST + 1);
	err = reader_used_file(r, path);
	if (!err)
		err = document_read(path, &text, &length, r->error);
	if (err)
		return err;
	included.name = path;
	included.path[0] = 0;
	err = document_walk(&included, text, length, read_root, r->config);
	r->places = included.places;
	r->n_places = included.n_places;
	r->n_services = included.n_services;
	free(text);
	return err;
}

static int glob_failed(const char *path, int code)
{
	return code != ENOENT;
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* For glob: what looks like a pattern in the folder is its name. */
static char *folder_escaped(const char *path)
{
	char *escaped = malloc(2 * strlen(path) + 1), *out = escaped;
	const char *name = name_of(path);

	if (!escaped)
		return NULL;
	for (; *path; *out++ = *path++)
		if (path < name && strchr("*?[\\", *path))
			*out++ = '\\';
	*out = 0;
	return escaped;
}

static int glob_said(struct reader *r, yaml_node_t *node, const char *pattern, int code)
{
	/* nothing fits a pattern: fine; nothing has a plain name: a mistake */
	if (code == GLOB_NOMATCH && !strpbrk(name_of(pattern), "*?["))
		return reader_fail(r, node, "%.160s is not there; create it, or write a pattern like services.d/*.yaml",
				   pattern);
	if (code == GLOB_NOSPACE)
		return reader_no_memory(r);
	if (code && code != GLOB_NOMATCH)
		return reader_fail(r, node, "%.160s can't be read: %s; let perchd read the folder", pattern,
				   strerror(errno));
	return 0;
}

static int read_matches(struct reader *r, yaml_node_t *node, const char *pattern)
{
	char *escaped = folder_escaped(pattern);
	glob_t found = {};
	int err;

	if (!escaped)
		return reader_no_memory(r);
	err = glob_said(r, node, pattern, glob(escaped, 0, glob_failed, &found));
	for (size_t i = 0; !err && i < found.gl_pathc; i++)
		err = read_file(r, node, found.gl_pathv[i]);
	globfree(&found);
	free(escaped);
	return err;
}

static int read_pattern(struct reader *r, yaml_node_t *node)
{
	const char *text, *last;
	char *pattern;
	int err;

	if (schema_text(r, node, "a file or a pattern, like services.d/*.yaml", &text))
		return -EINVAL;
	last = strrchr(text, '/');
	/* whoever waits for new files waits in one folder */
	if (last && strcspn(text, "*?[") < (size_t)(last - text))
		return reader_fail(r, node, "%s has a pattern in its folder; patterns are for files only, list each folder",
				   value_quote(text).text);
	pattern = reader_join(r, text);
	if (!pattern)
		return -ENOMEM;
	err = reader_add_text(r, &r->config->includes, &r->config->n_includes, pattern);
	if (!err)
		err = read_matches(r, node, pattern);
	free(pattern);
	return err;
}

int include_read(struct reader *r, yaml_node_t *node)
{
	size_t back = reader_enter(r, "include");
	int err = 0;

	if (node->type == YAML_SEQUENCE_NODE) {
		yaml_node_item_t *start = node->data.sequence.items.start, *end = node->data.sequence.items.top;

		for (yaml_node_item_t *item = start; !err && item < end; item++) {
			size_t list = reader_enter_element(r, item - start);

			err = read_pattern(r, reader_node(r, *item));
			if (!err)
				reader_leave(r, list);
		}
	} else {
		err = read_pattern(r, node);
	}
	if (!err)
		reader_leave(r, back);
	return err;
}
