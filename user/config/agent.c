// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns the key `agent`: what concerns the process and its tables, not the
 * traffic.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <sys/un.h>

#include "../core/address.h"
#include "parts.h"
#include "values.h"

#define PATH_LENGTH 200		/* below a pin path stand names of maps and links */
#define FLOWS_LEAST 1024
#define FLOWS_MOST (1u << 26)
#define PINS_MOST (1u << 24)
#define DEADMAN_LEAST (2 * NS_PER_S)	/* the agent writes its heartbeat every second */
#define DEADMAN_MOST (24 * NS_PER_H)

static int replace(struct reader *r, char **field, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return reader_no_memory(r);
	free(*field);
	*field = copy;
	return 0;
}

static int read_path_within(struct reader *r, yaml_node_t *node, char **field, size_t longest)
{
	const char *text;

	if (schema_text(r, node, "an absolute path", &text))
		return -EINVAL;
	if (*text != '/')
		return reader_fail(r, node, "%s is not an absolute path; begin with /", value_quote(text).text);
	if (strlen(text) > longest)
		return reader_fail(r, node, "is %zu bytes long; at most %zu are possible", strlen(text), longest);
	return replace(r, field, text);
}

static int read_path(struct reader *r, yaml_node_t *node, void *field)
{
	return read_path_within(r, node, field, PATH_LENGTH);
}

static int read_socket(struct reader *r, yaml_node_t *node, void *field)
{
	return read_path_within(r, node, field, sizeof(((struct sockaddr_un *)0)->sun_path) - 1);
}

static int read_listen(struct reader *r, yaml_node_t *node, void *agent)
{
	static const char what[] = "ADDRESS:PORT, like 127.0.0.1:9911 or \"[::1]:9911\"";
	struct perch_address address;
	struct model_agent *a = agent;
	char host[ADDRESS_TEXT];
	const char *text;
	__be16 port;

	if (schema_text(r, node, what, &text))
		return -EINVAL;
	if (address_port_parse(text, &address, &port) || !port)
		return schema_misread(r, node, what);
	a->listen_port = ntohs(port);
	return replace(r, &a->listen_host, address_format(&address, host));
}

static int read_flow_table_size(struct reader *r, yaml_node_t *node, void *field)
{
	static const struct schema_key range = {
		.type = SCHEMA_COUNT, .size = sizeof(__u32), .min = FLOWS_LEAST, .max = FLOWS_MOST,
	};
	__u32 n, below = FLOWS_LEAST;
	int err;

	err = schema_field(r, node, &range, &n);
	if (err)
		return err;
	while (below * 2 <= n)
		below *= 2;
	if (n != below)
		return reader_fail(r, node, "%u is not a power of two; write %u or %u", n, below, below * 2);
	*(__u32 *)field = n;
	return 0;
}

static int read_deadman(struct reader *r, yaml_node_t *node, void *field)
{
	static const struct schema_key any = { .type = SCHEMA_DURATION, .size = sizeof(__u64), .max = DEADMAN_MOST };
	__u64 ns;
	int err;

	err = schema_field(r, node, &any, &ns);
	if (err)
		return err;
	if (ns && ns < DEADMAN_LEAST)
		return reader_fail(r, node,
				   "is too short for a heartbeat every second; it must be from 2s to 24h, or 0 for off");
	*(__u64 *)field = ns;
	return 0;
}

static const struct schema_key agent_keys[] = {
	{ .name = "socket", SCHEMA_FIELD(struct model_agent, socket), .read = read_socket },
	{ .name = "listen", .read = read_listen },
	{ .name = "stateDir", SCHEMA_FIELD(struct model_agent, state_dir), .read = read_path },
	{ .name = "pinPath", SCHEMA_FIELD(struct model_agent, pin_path), .read = read_path },
	{ .name = "sampleInterval", .type = SCHEMA_DURATION, SCHEMA_FIELD(struct model_agent, sample_interval),
	  .min = 10 * NS_PER_MS, .max = 10 * NS_PER_S },
	{ .name = "deadman", SCHEMA_FIELD(struct model_agent, deadman), .read = read_deadman },
	{ .name = "pinTableSize", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_agent, pin_table_size), .min = 1,
	  .max = PINS_MOST },
	{ .name = "serviceTableSize", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_agent, service_table_size), .min = 1,
	  .max = PERCH_SERVICES_MOST },
	{ .name = "backendTableSize", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_agent, backend_table_size), .min = 1,
	  .max = PERCH_BACKENDS_MOST - 1 },
	{ .name = "listenerTableSize", .type = SCHEMA_COUNT, SCHEMA_FIELD(struct model_agent, listener_table_size), .min = 1,
	  .max = PERCH_LISTENERS_MOST - 1 },
	{ .name = "flowTableSize", SCHEMA_FIELD(struct model_agent, flow_table_size), .read = read_flow_table_size },
	{ .name = "secretFile", SCHEMA_FIELD(struct model_agent, secret_file), .read = read_path },
	{ .name = "metricsTokenFile", SCHEMA_FIELD(struct model_agent, metrics_token_file), .read = read_path },
	{}
};
static const struct schema agent_schema = { "the agent", agent_keys };

int agent_read(struct reader *r, yaml_node_t *node, void *agent)
{
	const struct model_agent *a = agent;
	int err = schema_read(r, node, &agent_schema, agent);

	if (!err && a->metrics_token_file && !a->listen_host)
		return reader_fail_at(r, reader_line(schema_value(r, node, "metricsTokenFile")), "metricsTokenFile",
				      "is for values that come to listen, and there is none; write listen: 127.0.0.1:9911, or take it out");
	return err;
}

int agent_set_defaults(struct model_agent *a)
{
	a->socket = strdup("/run/perch/perch.sock");
	a->state_dir = strdup("/var/lib/perch");
	a->pin_path = strdup("/sys/fs/bpf/perch");
	a->secret_file = strdup("/etc/perch/secret");
	a->sample_interval = 100 * NS_PER_MS;
	a->deadman = 30 * NS_PER_S;
	a->flow_table_size = PERCH_FLOWS;
	a->pin_table_size = PERCH_PINS;
	return a->socket && a->state_dir && a->pin_path && a->secret_file ? 0 : -ENOMEM;
}

void agent_free(struct model_agent *a)
{
	free(a->socket);
	free(a->listen_host);
	free(a->state_dir);
	free(a->pin_path);
	free(a->secret_file);
	free(a->metrics_token_file);
}
