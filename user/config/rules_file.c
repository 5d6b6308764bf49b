// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the sourceFile of a rule: one CIDR per line, # begins a comment.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sys/stat.h>

#include "rules.h"
#include "schema.h"
#include "values.h"

#define LINES_MOST 1000000

/* The CIDR of a line alone, NULL of an empty one. */
static char *strip(char *line)
{
	char *end = line + strcspn(line, "#");

	while (isspace((unsigned char)*line))
		line++;
	while (end > line && isspace((unsigned char)end[-1]))
		end--;
	*end = 0;
	return *line ? line : NULL;
}

static int read_line(struct reader *r, struct model_service *s, struct model_rule *rule, char *line, size_t length)
{
	char why[RULES_WHY], *text;

	if (strlen(line) != length)
		return reader_fail_line(r, rule->line, "has a NUL; this is no list of addresses, write one per line");
	text = strip(line);
	if (!text)
		return 0;
	if (rule->line > LINES_MOST)
		return reader_fail_line(r, rule->line, "a list has at most %d lines; write shorter prefixes instead",
					LINES_MOST);
	if (rules_source(text, rule, why))
		return reader_fail_line(r, rule->line, "%s", why);
	return rules_add(r, s, rule);
}

static int read_lines(struct reader *r, FILE *f, struct model_service *s, struct model_rule *rule)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t n;
	int err = 0;

	while (!err && (n = getline(&line, &room, f)) >= 0) {
		rule->line++;
		err = read_line(r, s, rule, line, n);
	}
	free(line);
	if (!err && ferror(f))
		err = reader_fail_line(r, rule->line + 1, "can't be read: %s; try again", strerror(errno));
	return err;
}

/* A list and no folder or endless device. */
static FILE *open_list(const char *path)
{
	FILE *f = fopen(path, "re");
	struct stat st;

	if (f && !fstat(fileno(f), &st) && S_ISREG(st.st_mode))
		return f;
	if (f) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		fclose(f);
	}
	return NULL;
}

static int read_list(struct reader *r, yaml_node_t *node, struct model_service *s, const struct model_rule *like,
		     const char *path)
{
	struct model_rule rule = *like;
	struct reader at_list = *r;	/* where no key stands */
	FILE *f = open_list(path);
	int err;

	if (!f)
		return reader_fail(r, node, "%.160s can't be read: %s; name a file with one CIDR per line", path,
				   strerror(errno));
	at_list.name = path;
	at_list.path[0] = 0;
	rule.line = 0;
	rule.file = rules_text(r, s, path);
	err = rule.file ? reader_used_file(r, path) : -ENOMEM;
	if (!err)
		err = read_lines(&at_list, f, s, &rule);
	fclose(f);
	return err;
}

int rules_read_file(struct reader *r, yaml_node_t *node, struct model_service *s, const struct model_rule *like)
{
	const char *text;
	char *path;
	int err;

	if (schema_text(r, node, "the path of a file with one CIDR per line", &text))
		return -EINVAL;
	if (!r->in_file)
		return reader_fail(r, node,
				   "a service of the API reads no files; write the addresses as source, or the service into a file");
	path = reader_join(r, text);
	if (!path)
		return -ENOMEM;
	err = read_list(r, node, s, like, path);
	free(path);
	return err;
}
