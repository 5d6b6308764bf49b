// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the place in the file and the form of an error:
 * "FILE:LINE: key.path[0]: what is wrong; what would be right".
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "reader.h"
#include "values.h"

#define NAME_SHOWN 160		/* the end of a long file name is what tells */

int reader_line(const yaml_node_t *node)
{
	return node->start_mark.line + 1;
}

yaml_node_t *reader_node(const struct reader *r, int index)
{
	return yaml_document_get_node(r->document, index);
}

static void say(struct reader *r, int line, const char *format, va_list arguments)
{
	size_t length = strlen(r->name);
	const char *name = length > NAME_SHOWN ? r->name + length - NAME_SHOWN : r->name;
	int n = snprintf(r->error, CONFIG_ERROR, "%s%s:%d: ", name == r->name ? "" : "...", name, line);

	if (*r->path)
		n += snprintf(r->error + n, CONFIG_ERROR - n, "%s: ", r->path);
	vsnprintf(r->error + n, CONFIG_ERROR - n, format, arguments);
}

int reader_fail(struct reader *r, const yaml_node_t *node, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(r, reader_line(node), format, arguments);
	va_end(arguments);
	return -EINVAL;
}

int reader_fail_line(struct reader *r, int line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(r, line, format, arguments);
	va_end(arguments);
	return -EINVAL;
}

int reader_fail_at(struct reader *r, int line, const char *key, const char *format, ...)
{
	size_t back = reader_enter(r, key);
	va_list arguments;

	va_start(arguments, format);
	say(r, line, format, arguments);
	va_end(arguments);
	reader_leave(r, back);
	return -EINVAL;
}

int reader_no_memory(struct reader *r)
{
	snprintf(r->error, CONFIG_ERROR, "%.*s: out of memory", NAME_SHOWN, r->name);
	return -ENOMEM;
}

size_t reader_enter(struct reader *r, const char *key)
{
	size_t at = strlen(r->path);

	snprintf(r->path + at, READER_PATH - at, "%s%s", at ? "." : "", key);
	return at;
}

size_t reader_enter_element(struct reader *r, size_t index)
{
	size_t at = strlen(r->path);

	snprintf(r->path + at, READER_PATH - at, "[%zu]", index);
	return at;
}

void reader_leave(struct reader *r, size_t to)
{
	r->path[to] = 0;
}

char *reader_join(struct reader *r, const char *name)
{
	const char *slash = strrchr(r->name, '/');
	int folder = slash && *name != '/' ? slash - r->name + 1 : 0;
	size_t room = folder + strlen(name) + 1;
	char *path = malloc(room);

	if (path)
		snprintf(path, room, "%.*s%s", folder, r->name, name);
	else
		reader_no_memory(r);
	return path;
}

void *reader_grown(void *list, size_t n, size_t size)
{
	return n & (n - 1) ? list : realloc(list, (n ? 2 * n : 1) * size);
}

int reader_add_text(struct reader *r, char ***list, size_t *n, const char *text)
{
	char **more = reader_grown(*list, *n, sizeof(*more)), *copy;

	if (!more)
		return reader_no_memory(r);
	*list = more;
	copy = strdup(text);
	if (!copy)
		return reader_no_memory(r);
	more[(*n)++] = copy;
	return 0;
}

int reader_used_file(struct reader *r, const char *path)
{
	return reader_add_text(r, &r->config->files, &r->config->n_files, path);
}

int reader_place(struct reader *r, const struct perch_endpoint *e, int line)
{
	struct reader_place *more = reader_grown(r->places, r->n_places, sizeof(*more));
	char *path;

	if (!more)
		return reader_no_memory(r);
	r->places = more;
	path = strdup(r->path);
	if (!path)
		return reader_no_memory(r);
	more[r->n_places] = (struct reader_place){
		.endpoint = e, .file = r->origin, .path = path, .line = line, .order = r->n_places,
		.service = r->n_services - 1,
	};
	r->n_places++;
	return 0;
}

void reader_free_places(struct reader *r)
{
	for (size_t i = 0; i < r->n_places; i++)
		free(r->places[i].path);
	free(r->places);
	r->places = NULL;
	r->n_places = 0;
}
