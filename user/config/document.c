// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the way from a file to a tree of YAML nodes.  The events are looked at
 * once before the tree is made: the tree no longer shows anchors and aliases
 * (which can make a small file huge, and point errors at the wrong line), and
 * the limits hold before memory is spent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include "config.h"
#include "document.h"
#include "values.h"

static int open_failed(const char *path, int code, char *error)
{
	snprintf(error, CONFIG_ERROR, "%s: cannot be read: %s; name a YAML file that perchd may read", path,
		 strerror(-code));
	return code;
}

static int read_all(int fd, char *text, size_t *ret_length)
{
	size_t length = 0;
	ssize_t n;

	while ((n = read(fd, text + length, DOCUMENT_BYTES + 1 - length))) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		length += n;
	}
	*ret_length = length;
	return 0;
}

int document_read(const char *path, char **ret_text, size_t *ret_length, char *error)
{
	struct stat st;
	char *text = NULL;
	size_t length = 0;
	int fd, err;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return open_failed(path, -errno, error);
	/* a pipe is welcome: `perch config check <(generate)` */
	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
		err = open_failed(path, S_ISDIR(st.st_mode) ? -EISDIR : -errno, error);
		goto out;
	}
	text = malloc(DOCUMENT_BYTES + 1);
	err = text ? read_all(fd, text, &length) : -ENOMEM;
	if (err) {
		open_failed(path, err, error);
		goto out;
	}
	if (length > DOCUMENT_BYTES) {
		err = -EFBIG;
		snprintf(error, CONFIG_ERROR, "%s: is larger than 16 MiB; a configuration is not", path);
		goto out;
	}
	*ret_text = text;
	*ret_length = length;
	text = NULL;
out:
	free(text);
	close(fd);
	return err;
}

/* libyaml tells only the offset of what is not even text. */
static int line_of_offset(const char *text, size_t length, size_t offset)
{
	int line = 1;

	for (size_t i = 0; i < offset && i < length; i++)
		line += text[i] == '\n';
	return line;
}

static bool tab_indents(const char *text, size_t length, int line)
{
	const char *p = text, *end = text + length;

	while (--line > 0 && (p = memchr(p, '\n', end - p)))
		p++;
	while (p && p < end && *p == ' ')
		p++;
	return p && p < end && *p == '\t';
}

static int syntax_failed(struct reader *r, const yaml_parser_t *p, const char *text, size_t length)
{
	int line = p->problem_mark.line + 1;

	/* libyaml does not name every allocation that failed */
	if (p->error == YAML_MEMORY_ERROR || !p->problem)
		return reader_no_memory(r);
	if (p->error == YAML_READER_ERROR)
		return reader_fail_line(r, line_of_offset(text, length, p->problem_offset),
					"is not text: %s; write the file in UTF-8", p->problem);
	if (tab_indents(text, length, line))
		return reader_fail_line(r, line, "a tab indents this line; YAML wants spaces");
	if (p->context)
		return reader_fail_line(r, line,
					"is not YAML: %s %s that began on line %zu; mind indentation, quotes and brackets",
					p->problem, p->context, p->context_mark.line + 1);
	return reader_fail_line(r, line, "is not YAML: %s; mind indentation, quotes and brackets", p->problem);
}

struct scan {
	unsigned depth, nodes, documents;
};

/* What may not stand at a node of any kind. */
static int scan_node(struct reader *r, struct scan *s, int line, const yaml_char_t *anchor, const yaml_char_t *tag)
{
	if (++s->nodes > DOCUMENT_NODES)
		return reader_fail_line(r, line, "is the value number %u; a configuration has fewer", s->nodes);
	if (anchor)
		return reader_fail_line(r, line,
					"has an anchor ('&%.30s'), which is not supported; write the values out",
					(const char *)anchor);
	if (tag)
		return reader_fail_line(r, line, "has a tag (%s), which is not supported; write the plain value",
					value_quote((const char *)tag).text);
	return 0;
}

static int scan_deeper(struct reader *r, struct scan *s, int line)
{
	if (++s->depth > DOCUMENT_DEPTH)
		return reader_fail_line(r, line, "is nested more than %d deep; nothing in a configuration is",
					DOCUMENT_DEPTH);
	return 0;
}

static int scan_event(struct reader *r, struct scan *s, const yaml_event_t *e)
{
	int line = e->start_mark.line + 1, err;

	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		return s->documents++ ? reader_fail_line(r, line, "a second document begins; a file holds one") : 0;
	case YAML_ALIAS_EVENT:
		return reader_fail_line(r, line,
					"is an alias ('*%.30s'), which is not supported; write the values out",
					(const char *)e->data.alias.anchor);
	case YAML_SCALAR_EVENT:
		if (strlen((const char *)e->data.scalar.value) != e->data.scalar.length)
			return reader_fail_line(r, line, "has a NUL in a text; take it out");
		return scan_node(r, s, line, e->data.scalar.anchor, e->data.scalar.tag);
	case YAML_SEQUENCE_START_EVENT:
		err = scan_node(r, s, line, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		return err ?: scan_deeper(r, s, line);
	case YAML_MAPPING_START_EVENT:
		err = scan_node(r, s, line, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		return err ?: scan_deeper(r, s, line);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		s->depth--;
		return 0;
	default:
		return 0;
	}
}

static int scan_all(struct reader *r, const char *text, size_t length)
{
	struct scan scan = {};
	yaml_parser_t parser;
	bool ended = false;
	int err = 0;

	if (!yaml_parser_initialize(&parser))
		return reader_no_memory(r);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	while (!err && !ended) {
		yaml_event_t event;

		if (!yaml_parser_parse(&parser, &event)) {
			err = syntax_failed(r, &parser, text, length);
			break;
		}
		err = scan_event(r, &scan, &event);
		ended = event.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	return err;
}

static int load(struct reader *r, yaml_document_t *document, const char *text, size_t length)
{
	yaml_parser_t parser;
	int err;

	err = scan_all(r, text, length);
	if (err)
		return err;
	if (!yaml_parser_initialize(&parser))
		return reader_no_memory(r);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, length);
	if (!yaml_parser_load(&parser, document))
		err = syntax_failed(r, &parser, text, length);
	yaml_parser_delete(&parser);
	return err;
}

int document_walk(struct reader *r, const char *text, size_t length, schema_reader *read, void *field)
{
	yaml_document_t document;
	yaml_node_t *root;
	int err;

	err = load(r, &document, text, length);
	if (err)
		return err;
	r->document = &document;
	root = yaml_document_get_root_node(&document);
	err = read(r, root && !schema_is_empty(root) ? root : NULL, field);
	r->document = NULL;
	yaml_document_delete(&document);
	return err;
}
