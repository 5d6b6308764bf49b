// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns a service as it is written, and the defaults that all begin with; what
 * holds between services is in check.c.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "parts.h"
#include "values.h"

#define VERSIONS 4
#define ADOPT_MOST (24 * NS_PER_H)

int name_read(struct reader *r, yaml_node_t *node, void *field)
{
	const char *text;

	if (schema_text(r, node, "a name", &text))
		return -EINVAL;
	if (!config_is_name(text))
		return reader_fail(r, node,
				   "%s is not a name; use letters, digits, '.', '_' and '-', at most 63, a letter or digit first",
				   value_quote(text).text);
	memcpy(field, text, strlen(text) + 1);	/* a name fits */
	return 0;
}

static int read_service_name(struct reader *r, yaml_node_t *node, void *field)
{
	int err = name_read(r, node, field);

	if (!err && !strcmp(field, "all"))
		return reader_fail(r, node, "'all' means every service in commands; choose another name");
	return err;
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

static const struct schema_choice stable_downs[] = {
	SCHEMA_WORD("reject", PERCH_DOWN_REJECT), SCHEMA_WORD("canary", PERCH_DOWN_CANARY), {}
};
static const struct schema_choice yes_no[] = { SCHEMA_WORD("true", true), SCHEMA_WORD("false", false), {} };
static const struct schema_choice forwards[] = {
	SCHEMA_WORD("nat", PERCH_NAT), SCHEMA_WORD("fullnat", PERCH_FULLNAT), SCHEMA_WORD("dsr", PERCH_DSR),
	SCHEMA_WORD("ipip", PERCH_IPIP), SCHEMA_WORD("gue", PERCH_GUE), {}
};
static const struct schema_choice affinities[] = {
	SCHEMA_WORD("client", PERCH_AFFINITY_CLIENT), SCHEMA_WORD("connection", PERCH_AFFINITY_CONNECTION), {}
};
static const struct schema_list listen_list = {
	.what = "addresses", .size = sizeof(struct perch_endpoint), .min = 1, .max = PERCH_LISTENERS_MOST - 1,
	.read = listener_read,
};
static const struct schema_list version_list = {
	.what = "versions", .size = sizeof(struct model_version), .min = 1, .max = VERSIONS, .read = version_read,
};

/* What defaults may give too. */
#define POLICY_KEYS                                                                                               \
	{ .name = "forward", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_service, forward),                  \
	  .choices = forwards },                                                                                  \
	{ .name = "tunnel", .read = tunnel_read },                                                                \
	{ .name = "fullnat", .read = fullnat_read },                                                              \
	{ .name = "affinity", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_service, affinity),                \
	  .choices = affinities },                                                                                \
	{ .name = "fragments", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_service, fragments),              \
	  .choices = yes_no },                                                                                    \
	{ .name = "adopt", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_service, adopt),                    \
	  .max = ADOPT_MOST },                                                                                    \
	{ .name = "exclude", .read = exclude_read },                                                              \
	{ .name = "rules", .read = rules_read },                                                                  \
	{ .name = "rollback", .type = SCHEMA_MAP, .map = &rollback_schema },                                      \
	{ .name = "onStableDown", .type = SCHEMA_CHOICE, SCHEMA_FIELD(struct model_service, stable_down),         \
	  .choices = stable_downs },                                                                              \
	{ .name = "healthCheck", SCHEMA_FIELD(struct model_service, health), .read = health_read },               \
	{ .name = "rollout", SCHEMA_FIELD(struct model_service, rollout), .read = policy_read },                  \
	{ .name = "observe", SCHEMA_FIELD(struct model_service, observe), .read = observe_read }, {}

static const struct schema_key service_keys[] = {
	{ .name = "name", .required = true, SCHEMA_FIELD(struct model_service, name), .read = read_service_name },
	{ .name = "listen", .type = SCHEMA_LIST, .required = true, SCHEMA_FIELDS(struct model_service, listen),
	  .list = &listen_list },
	{ .name = "versions", .type = SCHEMA_LIST, .required = true, SCHEMA_FIELDS(struct model_service, versions),
	  .list = &version_list },
	POLICY_KEYS
};
static const struct schema service_schema = { "a service", service_keys };

#define OWN "each service has its own"
static const struct schema_key defaults_keys[] = {
	SCHEMA_NOT_HERE("name", OWN), SCHEMA_NOT_HERE("listen", OWN), SCHEMA_NOT_HERE("versions", OWN), POLICY_KEYS
};
static const struct schema defaults_schema = { "defaults", defaults_keys };

void service_set_built_in(struct model_service *s)
{
	s->affinity = PERCH_AFFINITY_CLIENT;
	s->established = PERCH_DRAIN;
	s->drain_timeout = 30 * NS_PER_S;
	s->stable_down = PERCH_DOWN_REJECT;
	health_set_defaults(&s->health);
	policy_set_defaults(&s->rollout);
}

/* Its own copy of all that defaults may give. */
static int copy_policy(struct reader *r, const struct model_service *from, struct model_service *to)
{
	to->forward = from->forward;
	memcpy(to->tunnel, from->tunnel, sizeof(to->tunnel));
	memcpy(to->sources, from->sources, sizeof(to->sources));
	to->n_sources = from->n_sources;
	to->source_first = from->source_first;
	to->source_last = from->source_last;
	to->affinity = from->affinity;
	to->fragments = from->fragments;
	to->observe = from->observe;
	to->adopt = from->adopt;
	to->established = from->established;
	to->drain_timeout = from->drain_timeout;
	to->stable_down = from->stable_down;
	to->health = from->health;
	to->health.path = from->health.path ? strdup(from->health.path) : NULL;
	if (from->health.path && !to->health.path)
		return reader_no_memory(r);
	if (from->n_exclude) {
		to->exclude = malloc(from->n_exclude * sizeof(*to->exclude));
		if (!to->exclude)
			return reader_no_memory(r);
		memcpy(to->exclude, from->exclude, from->n_exclude * sizeof(*to->exclude));
		to->n_exclude = from->n_exclude;
	}
	return policy_copy(r, &from->rollout, &to->rollout) ?: rules_copy(r, from, to);
}

int defaults_read(struct reader *r, yaml_node_t *node, struct model_service **ret)
{
	struct model_service *s = calloc(1, sizeof(*s));

	if (!s)
		return reader_no_memory(r);
	*ret = s;		/* freed with its configuration */
	service_set_built_in(s);
	return schema_read(r, node, &defaults_schema, s);
}

/* What its keys mean to each other. */
static int check_keys(struct reader *r, yaml_node_t *node, struct model_service *s)
{
	yaml_node_t *health = schema_value(r, node, "healthCheck");

	return exclude_check(r, schema_value(r, node, "exclude"), s) ?:
	       health_check(r, reader_line(health ?: node), s) ?: rules_check(r, s) ?: forward_check(r, node, s) ?:
	       observe_check(r, schema_value(r, node, "observe"), s) ?:
	       fullnat_check(r, schema_value(r, node, "fullnat"), s);
}

int service_read(struct reader *r, yaml_node_t *node, void *element)
{
	struct model_service *s = element;
	int err = 0;

	s->line = reader_line(node);
	if (*r->path)
		snprintf(s->at, sizeof(s->at), "%.*s.", MODEL_AT - 2, r->path);
	s->origin = strdup(r->name);
	s->file = r->in_file ? strdup(r->name) : NULL;
	if (!s->origin || (r->in_file && !s->file))
		return reader_no_memory(r);
	r->origin = s->origin;
	r->n_services++;
	if (r->defaults)
		err = copy_policy(r, r->defaults, s);
	else
		service_set_built_in(s);
	if (!err)
		err = schema_read(r, node, &service_schema, s);
	if (!err)
		comparison_default(s);
	return err ?: check_keys(r, node, s);
}

void service_free(struct model_service *s)
{
	for (size_t i = 0; i < s->n_versions; i++)
		version_free(&s->versions[i]);
	free(s->versions);
	free(s->listen);
	free(s->exclude);
	free(s->health.path);
	rules_free(s);
	policy_free(&s->rollout);
	free(s->file);
	free(s->origin);
}
