// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns a service with its listeners, versions and backends, as they are
 * written; what holds between services is in check.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/address.h"
#include "parts.h"
#include "values.h"

#define VERSIONS 4
#define LABELS 32
#define LABEL_LENGTH 255
#define WEIGHT_MOST 256

static int read_name(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;

	if (schema_text(r, node, "a name", &text))
		return -EINVAL;
	if (!value_is_name(text))
		return reader_fail(r, node,
				   "%s is not a name; use letters, digits, '.', '_' and '-', at most 63, a letter or digit first",
				   value_quote(text).text);
	memcpy(field, text, strlen(text) + 1);	/* a name fits */
	return 0;
}

static int read_service_name(struct reader *r, yaml_node_t *node, void *field)
{
	int err = read_name(r, node, field);

	if (!err && !strcmp(field, "all"))
		return reader_fail(r, node, "'all' means every service in commands; choose another name");
	return err;
}

static const struct schema_choice roles[] = {
	SCHEMA_WORD("stable", PERCH_ROLE_STABLE), SCHEMA_WORD("canary", PERCH_ROLE_CANARY),
	SCHEMA_WORD("baseline", PERCH_ROLE_BASELINE), {}
};

/* Commands take a name or a role where a version is meant. */
static int read_version_name(struct reader *r, yaml_node_t *node, void *field)
{
	int err = read_name(r, node, field);

	if (err)
		return err;
	if (!strcmp(field, "previous"))
		err = -EINVAL;
	for (const struct schema_choice *role = roles; role->name; role++)
		if (!strcmp(field, role->name))
			err = -EINVAL;
	if (err)
		return reader_fail(r, node, "'%s' is a role, which moves on; name the release, like v1.4.2",
				   (char *)field);
	return 0;
}

/* What is wrong with an address that packets are to go to, or NULL. */
static const char *address_refused(const struct perch_address *a)
{
	const struct perch_address unspecified = {}, loopback = { { 0, 0, 0, htonl(1) } };
	const __u8 *byte = (const __u8 *)a;
	__u32 v4 = ntohl(a->word[3]);

	if (address_is_v4(a)) {
		if (v4 >> 24 == 127)
			return "is a loopback address, which no packet from outside reaches; give an address of an interface";
		if (v4 >> 24 == 0)
			return "is an unspecified address; give the one that clients or servers use";
		if (v4 >> 28 == 0xe)
			return "is a multicast address; only unicast is split";
		return v4 == 0xffffffff ? "is the broadcast address; only unicast is split" : NULL;
	}
	if (!memcmp(a, &loopback, sizeof(*a)))
		return "is a loopback address, which no packet from outside reaches; give an address of an interface";
	if (!memcmp(a, &unspecified, sizeof(*a)))
		return "is an unspecified address; give the one that clients or servers use";
	if (byte[0] == 0xff)
		return "is a multicast address; only unicast is split";
	if (byte[0] == 0xfe && (byte[1] & 0xc0) == 0x80)
		return "is a link-local address, which has no route; give a global or unique local one";
	return NULL;
}

static int read_endpoint(struct reader *r, yaml_node_t *node, void *element)
{
	static const char what[] = "ADDRESS:PORT/PROTOCOL, like 192.0.2.10:80/tcp or \"[2001:db8::10]:443/udp\" in quotes";
	struct perch_endpoint *e = element;
	const char *text, *refused;
	int err;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	err = endpoint_parse(text, e);
	if (err == -EPROTONOSUPPORT)
		return reader_fail(r, node, "%s names a protocol that perch does not split; use tcp or udp",
				   value_quote(text).text);
	if (err)
		return schema_misread(r, node, what);
	if (!e->port)
		return reader_fail(r, node,
				   "%s has no port, or port 0 (every port), which is not supported yet; name a port",
				   value_quote(text).text);
	refused = address_refused(&e->address);
	if (refused)
		return reader_fail(r, node, "%s %s", value_quote(text).text, refused);
	return reader_place(r, e, reader_line(node));
}

static int read_backend_address(struct reader *r, yaml_node_t *node, void *backend)
{
	static const char what[] =
		"ADDRESS or ADDRESS:PORT, like 10.0.1.2, 10.0.1.2:8080 or \"[2001:db8::2]:8080\" in quotes";
	struct model_backend *b = backend;
	const char *text, *refused;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	if (address_port_parse(text, &b->address, &b->port))
		return schema_misread(r, node, what);
	/* fd00::1:80 is an address and looks like one with a port */
	if (!address_is_v4(&b->address) && *text != '[')
		return reader_fail(r, node,
				   "%s could be an address or an address with a port; write \"[ADDRESS]\" or "
				   "\"[ADDRESS]:PORT\", in quotes", value_quote(text).text);
	refused = address_refused(&b->address);
	return refused ? reader_fail(r, node, "%s %s", value_quote(text).text, refused) : 0;
}

static const struct schema_key backend_keys[] = {
	{ .name = "address", .required = true, .read = read_backend_address },
	{ .name = "weight", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_backend, weight),
	  .min = 1, .max = WEIGHT_MOST },
	{}
};
static const struct schema backend_schema = { "a backend", backend_keys };

static int read_backend(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_backend *b = element;

	b->weight = 1;
	b->line = reader_line(node);
	if (node->type == YAML_MAPPING_NODE)
		return schema_read(r, node, &backend_schema, b);
	return read_backend_address(r, node, b);
}

static int read_label(struct reader *r, const yaml_node_pair_t *pair, const struct model_version *v,
		      struct model_label *ret)
{
	yaml_node_t *key = reader_node(r, pair->key), *value = reader_node(r, pair->value);
	char name[PERCH_NAME_LEN];
	const char *text;
	size_t back;
	int err;

	err = read_name(r, key, name);
	if (err)
		return err;
	for (size_t i = 0; i < v->n_labels; i++)
		if (v->labels[i].key && !strcmp(v->labels[i].key, name))
			return reader_fail_at(r, reader_line(key), name, "is given twice; keep one");
	back = reader_enter(r, name);
	if (schema_text(r, value, "a text", &text))
		return -EINVAL;
	if (strlen(text) > LABEL_LENGTH)
		return reader_fail(r, value, "is %zu bytes long; at most %d are kept", strlen(text), LABEL_LENGTH);
	reader_leave(r, back);
	ret->key = strdup(name);
	ret->value = strdup(text);
	return ret->key && ret->value ? 0 : reader_no_memory(r);
}

static int read_labels(struct reader *r, yaml_node_t *node, void *version)
{
	struct model_version *v = version;
	yaml_node_pair_t *pair, *end;
	int err = 0;

	if (node->type != YAML_MAPPING_NODE)
		return reader_fail(r, node, "is not a mapping; labels are written { commit: ab12 }");
	end = node->data.mapping.pairs.top;
	if (end - node->data.mapping.pairs.start > LABELS)
		return reader_fail(r, node, "has %td labels; at most %d are kept",
				   end - node->data.mapping.pairs.start, LABELS);
	v->labels = calloc(LABELS, sizeof(*v->labels));
	if (!v->labels)
		return reader_no_memory(r);
	for (pair = node->data.mapping.pairs.start; !err && pair < end; pair++) {
		err = read_label(r, pair, v, &v->labels[v->n_labels]);
		v->n_labels++;
	}
	return err;
}

static const struct schema_list door_list = {
	.what = "addresses", .size = sizeof(struct perch_endpoint), .max = PERCH_LISTENERS - 1, .read = read_endpoint,
};
static const struct schema_list backend_list = {
	.what = "backends", .size = sizeof(struct model_backend), .min = 1, .max = PERCH_BACKENDS - 1,
	.read = read_backend,
};

static const struct schema_key version_keys[] = {
	{ .name = "name", .required = true, SCHEMA_FIELD(struct model_version, name), .read = read_version_name },
	{ .name = "role", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_version, role), .choices = roles },
	{ .name = "backends", .type = SCHEMA_LIST, .required = true, SCHEMA_FIELDS(struct model_version, backends),
	  .list = &backend_list },
	{ .name = "door", .type = SCHEMA_LIST, SCHEMA_FIELDS(struct model_version, doors), .list = &door_list },
	{ .name = "labels", .read = read_labels },
	{}
};
static const struct schema version_schema = { "a version", version_keys };

static int read_version(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_version *v = element;

	v->line = reader_line(node);
	v->role = PERCH_ROLE_CANARY;
	return schema_read(r, node, &version_schema, v);
}

static const struct schema_choice establisheds[] = {
	SCHEMA_WORD("keep", PERCH_KEEP), SCHEMA_WORD("drain", PERCH_DRAIN), SCHEMA_WORD("sever", PERCH_SEVER), {}
};
static const struct schema_key rollback_keys[] = {
	{ .name = "established", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_service, established),
	  .choices = establisheds },
	{ .name = "drainTimeout", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_service, drain_timeout),
	  .max = 24 * NS_PER_H },
	{}
};
static const struct schema rollback_schema = { "rollback", rollback_keys };

static const struct schema_choice forwards[] = {
	SCHEMA_WORD("nat", 0), SCHEMA_WORD_LATER("fullnat"), SCHEMA_WORD_LATER("dsr"), SCHEMA_WORD_LATER("ipip"),
	SCHEMA_WORD_LATER("gue"), {}
};
static const struct schema_choice affinities[] = {
	SCHEMA_WORD("client", PERCH_AFFINITY_CLIENT), SCHEMA_WORD("connection", PERCH_AFFINITY_CONNECTION), {}
};
static const struct schema_list listen_list = {
	.what = "addresses", .size = sizeof(struct perch_endpoint), .min = 1, .max = PERCH_LISTENERS - 1,
	.read = read_endpoint,
};
static const struct schema_list version_list = {
	.what = "versions", .size = sizeof(struct model_version), .min = 1, .max = VERSIONS, .read = read_version,
};

static const struct schema_key service_keys[] = {
	{ .name = "name", .required = true, SCHEMA_FIELD(struct model_service, name), .read = read_service_name },
	{ .name = "listen", .type = SCHEMA_LIST, .required = true, SCHEMA_FIELDS(struct model_service, listen),
	  .list = &listen_list },
	{ .name = "versions", .type = SCHEMA_LIST, .required = true, SCHEMA_FIELDS(struct model_service, versions),
	  .list = &version_list },
	{ .name = "forward", .type = SCHEMA_CHOICE, .choices = forwards },
	{ .name = "affinity", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_service, affinity),
	  .choices = affinities },
	{ .name = "rollback", .type = SCHEMA_MAP, .map = &rollback_schema },
	{ .name = "rollout", SCHEMA_FIELD(struct model_service, rollout), .read = policy_read },
	SCHEMA_NOT_YET("adopt", SCHEMA_OFF_ZERO),
	SCHEMA_NOT_YET("exclude", SCHEMA_OFF_LIST),
	SCHEMA_NOT_YET("fragments", SCHEMA_OFF_FALSE),
	SCHEMA_NOT_YET("fullnat", SCHEMA_OFF_MAP),
	SCHEMA_NOT_YET("healthCheck", SCHEMA_OFF_TYPE_NONE),
	SCHEMA_NOT_YET("observe", SCHEMA_OFF_LIST),
	SCHEMA_NOT_YET("onStableDown", SCHEMA_NO_OFF),
	SCHEMA_NOT_YET("rules", SCHEMA_OFF_LIST),
	SCHEMA_NOT_YET("tunnel", SCHEMA_OFF_MAP),
	{}
};
static const struct schema service_schema = { "a service", service_keys };

int service_read(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_service *s = element;

	s->line = reader_line(node);
	s->file = strdup(r->name);
	if (!s->file)
		return reader_no_memory(r);
	s->affinity = PERCH_AFFINITY_CLIENT;
	s->established = PERCH_DRAIN;
	s->drain_timeout = 30 * NS_PER_S;
	policy_set_defaults(&s->rollout);
	return schema_read(r, node, &service_schema, s);
}

static void version_free(struct model_version *v)
{
	for (size_t i = 0; i < v->n_labels; i++) {
		free(v->labels[i].key);
		free(v->labels[i].value);
	}
	free(v->labels);
	free(v->doors);
	free(v->backends);
}

void service_free(struct model_service *s)
{
	for (size_t i = 0; i < s->n_versions; i++)
		version_free(&s->versions[i]);
	free(s->versions);
	free(s->listen);
	free(s->file);
}
