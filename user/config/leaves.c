// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns how what was read is written again: one path and one value for each
 * key.  What says nothing (no listener, an empty list) has none.
 */
#include "leaves.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "reader.h"
#include "values.h"

size_t leaves_enter(struct leaves *l, const char *key)
{
	size_t at = strlen(l->path);

	snprintf(l->path + at, LEAVES_PATH - at, "%s%s", at ? "." : "", key);
	return at;
}

void leaves_leave(struct leaves *l, size_t to)
{
	l->path[to] = 0;
}

void leaves_add(struct leaves *l, const char *key, const char *value)
{
	size_t back = leaves_enter(l, key);
	struct leaf *more, leaf;

	if (value && *value) {
		more = reader_grown(l->leaf, l->n, sizeof(*more));
		leaf = (struct leaf){ strdup(l->path), strdup(value) };
		if (more)
			l->leaf = more;
		if (more && leaf.path && leaf.value) {
			more[l->n++] = leaf;
		} else {
			free(leaf.path);
			free(leaf.value);
			l->err = -ENOMEM;
		}
	}
	leaves_leave(l, back);
}

void leaves_free(struct leaves *l)
{
	for (size_t i = 0; i < l->n; i++) {
		free(l->leaf[i].path);
		free(l->leaf[i].value);
	}
	free(l->leaf);
	*l = (struct leaves){};
}

void leaves_duration(struct leaves *l, const char *key, __u64 ns)
{
	char text[VALUE_TEXT];

	leaves_add(l, key, value_format_duration(ns, text));
}

void leaves_percent(struct leaves *l, const char *key, __u32 share)
{
	char text[VALUE_TEXT];

	leaves_add(l, key, value_format_percent(share, text));
}

void leaves_count(struct leaves *l, const char *key, __u64 n)
{
	char text[VALUE_TEXT];

	snprintf(text, sizeof(text), "%llu", n);
	leaves_add(l, key, text);
}

int leaves_open(struct leaves *l, struct leaves_list *list)
{
	*list = (struct leaves_list){};
	list->f = open_memstream(&list->text, &list->length);
	if (!list->f)
		l->err = -ENOMEM;
	return list->f ? 0 : -ENOMEM;
}

void leaves_element(struct leaves_list *list, const char *format, ...)
{
	va_list arguments;

	fputs(list->n++ ? ", " : "[", list->f);
	va_start(arguments, format);
	vfprintf(list->f, format, arguments);
	va_end(arguments);
}

void leaves_close(struct leaves *l, const char *key, struct leaves_list *list)
{
	if (list->n)
		fputc(']', list->f);
	if (fclose(list->f))
		l->err = -ENOMEM;
	else
		leaves_add(l, key, list->text);
	free(list->text);
}

static const char *const attach_words[] = {
	[MODEL_ATTACH_AUTO] = "auto", [MODEL_ATTACH_XDP] = "xdp", [MODEL_ATTACH_XDP_GENERIC] = "xdp-generic",
	[MODEL_ATTACH_TC] = "tc",
};
static const char *const foreign_words[] = {
	[MODEL_FOREIGN_REFUSE] = "refuse", [MODEL_FOREIGN_TC] = "tc", [MODEL_FOREIGN_REPLACE] = "replace",
};

static void interfaces(struct leaves *l, const struct model_config *c)
{
	struct leaves_list list;
	size_t back, up;

	if (leaves_open(l, &list))
		return;
	/* their order counts: the first that matches wins */
	for (size_t i = 0; i < c->n_interfaces; i++)
		leaves_element(&list, "%s", c->interfaces[i].name);
	leaves_close(l, "interfaces", &list);
	back = leaves_enter(l, "interfaces");
	for (size_t i = 0; i < c->n_interfaces; i++) {
		up = leaves_enter(l, c->interfaces[i].name);
		leaves_add(l, "attach", attach_words[c->interfaces[i].attach]);
		leaves_add(l, "foreign", foreign_words[c->interfaces[i].foreign]);
		leaves_add(l, "decap", c->interfaces[i].decap ? "true" : "false");
		leaves_leave(l, up);
	}
	leaves_leave(l, back);
}

void leaves_of_host(struct leaves *l, const struct model_config *c)
{
	const struct model_agent *a = &c->agent;
	size_t back = leaves_enter(l, "agent");
	char listen[ADDRESS_TEXT + VALUE_TEXT] = "";

	leaves_add(l, "socket", a->socket);
	if (a->listen_host)
		snprintf(listen, sizeof(listen), strchr(a->listen_host, ':') ? "\"[%s]:%d\"" : "%s:%d", a->listen_host,
			 a->listen_port);
	leaves_add(l, "listen", listen);
	leaves_add(l, "stateDir", a->state_dir);
	leaves_add(l, "pinPath", a->pin_path);
	leaves_duration(l, "sampleInterval", a->sample_interval);
	leaves_duration(l, "deadman", a->deadman);
	leaves_count(l, "flowTableSize", a->flow_table_size);
	leaves_count(l, "pinTableSize", a->pin_table_size);
	if (a->service_table_size)
		leaves_count(l, "serviceTableSize", a->service_table_size);
	if (a->backend_table_size)
		leaves_count(l, "backendTableSize", a->backend_table_size);
	if (a->listener_table_size)
		leaves_count(l, "listenerTableSize", a->listener_table_size);
	leaves_add(l, "secretFile", a->secret_file);
	leaves_add(l, "metricsTokenFile", a->metrics_token_file);
	leaves_leave(l, back);
	interfaces(l, c);
}
