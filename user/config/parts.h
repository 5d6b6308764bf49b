/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How the parts of a configuration are read; one file each. */
#ifndef PERCH_CONFIG_PARTS_H
#define PERCH_CONFIG_PARTS_H

#include "../core/model.h"
#include "schema.h"

/* agent.c: into struct model_agent. */
int agent_set_defaults(struct model_agent *a);
void agent_free(struct model_agent *a);
schema_reader agent_read;

/* interface.c: an element of interfaces, into struct model_interface, and what
 * holds between them and with the services. */
schema_reader interface_read;
void interface_free(struct model_interface *i);
int interfaces_check(struct reader *r, const struct model_config *c);

/* include.c: the files that the patterns name, into struct model_config. */
int include_read(struct reader *r, yaml_node_t *node);

/* config.c: a list of services, after those of struct model_config. */
schema_reader services_read;
/* The number of a schema that is known. */
schema_reader schema_number_read;

/* service.c: an element of services, into struct model_service, and what all
 * of them begin with. */
schema_reader service_read;
void service_free(struct model_service *s);
/* What a service has that says nothing. */
void service_set_built_in(struct model_service *s);
int defaults_read(struct reader *r, yaml_node_t *node, struct model_service **ret);
/* Into a name of PERCH_NAME_LEN bytes. */
schema_reader name_read;

/* endpoint.c: into struct perch_endpoint, its place remembered. */
schema_reader listener_read;
schema_reader door_read;
/* What is wrong with an address that packets are to go to, or NULL. */
const char *endpoint_refused(const struct perch_address *a);

/* exclude.c: into struct model_service; whether it makes sense there (node:
 * where it is written, NULL: in the defaults). */
schema_reader exclude_read;
int exclude_check(struct reader *r, yaml_node_t *node, struct model_service *s);
bool exclude_has(const struct model_service *s, __u16 port);

/* forward.c: into struct model_service; whether a service can be forwarded so
 * (node: as it is written), and a backend of it. */
schema_reader tunnel_read;
int forward_check(struct reader *r, yaml_node_t *node, struct model_service *s);
int forward_check_backend(struct reader *r, const struct model_service *s, const struct model_version *v,
			  const struct model_backend *b);

/* fullnat.c: into struct model_service; whether it makes sense there (node:
 * where it is written, NULL: in the defaults). */
schema_reader fullnat_read;
int fullnat_check(struct reader *r, yaml_node_t *node, struct model_service *s);

/* version.c: an element of versions, into struct model_version. */
schema_reader version_read;
void version_free(struct model_version *v);

/* health.c: into struct model_health, and whether the service can be checked. */
void health_set_defaults(struct model_health *h);
schema_reader health_read;
int health_check(struct reader *r, int line, const struct model_service *s);

/* rules.c: into struct model_service. */
schema_reader rules_read;
int rules_copy(struct reader *r, const struct model_service *from, struct model_service *to);
int rules_check(struct reader *r, const struct model_service *s);
void rules_free(struct model_service *s);

struct leaves_list;

/* observe.c: bits of enum model_observe; the gates that need them. */
schema_reader observe_read;
int observe_check(struct reader *r, yaml_node_t *node, struct model_service *s);
void observe_words(struct leaves_list *list, __u32 observe);

/* comparison.c: gates without a limit, and their margins. */
struct comparison_text {
	enum model_signal signal;
	const char *name;
	double ratio, slowdown, quantile;	/* 0: not given */
	int line;
};
void comparison_defaults(struct model_compare *c);
schema_reader comparison_margin;	/* into a double */
int comparison_gate(struct reader *r, struct model_compare *c, const struct comparison_text *t);
void comparison_default(struct model_service *s);
void comparison_clear(struct model_compare *c);	/* a list begins */

/* gates.c: a list, into struct model_rollout. */
schema_reader gates_read;

/* policy.c: a service's rollout, into struct model_rollout. */
void policy_set_defaults(struct model_rollout *p);
schema_reader policy_read;
int policy_copy(struct reader *r, const struct model_rollout *from, struct model_rollout *to);
void policy_free(struct model_rollout *p);

/* outside.c: gates that look at what others measured.  Is this one? */
bool outside_is(const struct reader *r, const yaml_node_t *node);
int outside_read(struct reader *r, yaml_node_t *node, struct model_outside *g);
int outside_check_weights(struct reader *r, const struct model_rollout *p);
int outside_copy(struct reader *r, const struct model_rollout *from, struct model_rollout *to);

/* webhooks.c: into struct model_rollout. */
schema_reader webhooks_read;
int webhooks_copy(struct reader *r, const struct model_rollout *from, struct model_rollout *to);

/* target.c: into a URL of MODEL_URL_LENGTH, a path of MODEL_PATH and a text of
 * MODEL_QUERY bytes; headers into struct model_target. */
schema_reader target_read_url, target_read_file, target_read_text, target_read_headers;

/* check.c: what holds between the parts.  0 or -EINVAL, said. */
int check_config(struct reader *r, const struct model_config *c);
int check_services(struct reader *r, const struct model_config *c);
/* Go to a key of a service, wherever that was written. */
void check_at(struct reader *r, const struct model_service *s, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* check_backends.c: likewise, with the reader's places sorted. */
int check_backends(struct reader *r, const struct model_config *c);

/* check_fragments.c: likewise, with the reader's places sorted. */
int check_fragments(struct reader *r, const struct model_config *c);

#endif
