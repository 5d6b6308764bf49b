// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns where requests to others go: the keys url, urlFile, headers and caFile
 * of gates and webhooks.  What is secret stands in files, which are read when
 * a request is made.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "parts.h"
#include "values.h"

static int text_into(struct reader *r, yaml_node_t *node, const char *what, char *out, size_t size)
{
	const char *text;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	if (strlen(text) >= size)
		return reader_fail(r, node, "is %zu bytes long; at most %zu are possible", strlen(text), size - 1);
	memcpy(out, text, strlen(text) + 1);
	return 0;
}

int target_read_text(struct reader *r, yaml_node_t *node, void *field)
{
	return text_into(r, node, "a text", field, MODEL_QUERY);
}

int target_read_url(struct reader *r, yaml_node_t *node, void *field)
{
	char *url = field, *host;

	if (text_into(r, node, "a URL like http://host:9090/path", url, MODEL_URL_LENGTH))
		return -EINVAL;
	host = strstr(url, "://");
	if ((strncmp(url, "http://", 7) && strncmp(url, "https://", 8)) || !host[3] || url[strcspn(url, " \t\r\n")])
		return reader_fail(r, node, "%s is not a URL; write http://... or https://...", value_quote(url).text);
	if (memchr(host + 3, '@', strcspn(host + 3, "/?#")))
		return reader_fail(r, node, "has a password in it; write it into a file: headers: { Authorization: { file: ... } }, or urlFile");
	return 0;
}

int target_read_file(struct reader *r, yaml_node_t *node, void *field)
{
	char *path = field;

	if (text_into(r, node, "an absolute path", path, MODEL_PATH))
		return -EINVAL;
	return *path == '/' ? 0 : reader_fail(r, node, "%s is not an absolute path; begin with /", value_quote(path).text);
}

static const struct schema_key header_keys[] = {
	{ .name = "file", .required = true, SCHEMA_FIELD(struct model_header, file), .read = target_read_file }, {}
};
static const struct schema header_schema = { "a header", header_keys };

static bool is_header_name(const char *name)
{
	return *name && strlen(name) < PERCH_NAME_LEN &&
	       strspn(name, "-_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(name);
}

static int read_header(struct reader *r, yaml_node_t *key, yaml_node_t *value, struct model_header *h)
{
	const char *name;

	if (schema_text(r, key, "the name of a header", &name))
		return -EINVAL;
	if (!is_header_name(name))
		return reader_fail(r, key, "%s is not the name of a header; it is letters, digits and '-'", value_quote(name).text);
	snprintf(h->name, sizeof(h->name), "%s", name);
	if (value->type != YAML_MAPPING_NODE)
		return reader_fail_at(r, reader_line(value), name, "is no file; a header's value is read from one: { file: /etc/perch/... }");
	return schema_read(r, value, &header_schema, h);
}

int target_read_headers(struct reader *r, yaml_node_t *node, void *field)
{
	struct model_target *t = field;
	yaml_node_pair_t *pair;

	if (node->type != YAML_MAPPING_NODE)
		return reader_fail(r, node, "is no mapping; write { Authorization: { file: /etc/perch/... } }");
	for (pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		if (t->n_headers == MODEL_HEADERS)
			return reader_fail(r, node, "has more than %d headers; that is the most", MODEL_HEADERS);
		if (read_header(r, reader_node(r, pair->key), reader_node(r, pair->value), &t->header[t->n_headers++]))
			return -EINVAL;
	}
	return 0;
}
