// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What the host's agent and datapath are like: /v1/status, reasons, datapath,
 * config, and the probes. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../alarms.h"
#include "api.h"
#include "../clock.h"
#include "../interfaces.h"
#include "../leaving.h"
#include "reasons.h"
#include "view.h"

void api_status(struct request *q)
{
	struct agent *a = q->agent;
	json_t *services = json_array();

	for (const struct service *s = a->services; s; s = s->next)
		json_array_append_new(services, view_service(a, s));
	for (const struct service *s = a->leaving; s; s = s->next)
		json_array_append_new(services, leaving_view(a, s));
	q->json = json_pack("{s:s, s:i, s:f, s:b, s:{s:s, s:f, s:o}, s:b, s:o, s:o}", "version", PERCH_VERSION, "pid",
			    (int)getpid(), "uptime", clock_wall() - a->started, "ready", a->ready, "config", "file",
			    a->config_path, "loaded", a->config_loaded, "error", view_text(a->config_error),
			    "takenOver", a->datapath.taken_over, "alarms", alarms_json(a), "services", services);
}

void api_reasons(struct request *q)
{
	const struct perch_reason_counts *c = &q->agent->host.reasons;

	q->json = json_array();
	for (unsigned i = 0; i < PERCH_REASON_COUNT; i++) {
		const struct reason_text *r = reason_find(i);
		json_int_t xdp = c->n[PERCH_HOOK_XDP][i], in = c->n[PERCH_HOOK_TC_IN][i], out = c->n[PERCH_HOOK_TC_OUT][i];

		json_array_append_new(q->json, json_pack("{s:s, s:s, s:I, s:{s:I, s:I, s:I}, s:s}", "name", r->name,
							 "verdict", r->verdict, "count", xdp + in + out, "hooks", "xdp",
							 xdp, "tcIn", in, "tcOut", out, "text", r->text));
	}
}

/* What the kernel says of a map, in fdinfo: without asking for its id's
 * privileges and without libbpf here. */
static void add_map(json_t *maps, const char *name, int fd, json_int_t *memory)
{
	long long type = 0, key = 0, value = 0, entries = 0, bytes = 0, id = 0;
	char path[64], line[128];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	if (!f)
		return;
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "map_type:\t%lld", &type);
		sscanf(line, "key_size:\t%lld", &key);
		sscanf(line, "value_size:\t%lld", &value);
		sscanf(line, "max_entries:\t%lld", &entries);
		sscanf(line, "memlock:\t%lld", &bytes);
		sscanf(line, "map_id:\t%lld", &id);
	}
	fclose(f);
	*memory += bytes;
	json_array_append_new(maps, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "name", name, "id", id, "entries", entries,
					      "keySize", key, "valueSize", value, "bytes", bytes));
}

static json_t *view_programs(const struct agent *a)
{
	json_t *array = json_array();

	for (size_t i = 0; i < sizeof(a->datapath.program) / sizeof(a->datapath.program[0]); i++)
		if (a->datapath.program[i].name)
			json_array_append_new(array, json_pack("{s:s, s:I, s:I}", "name", a->datapath.program[i].name, "id",
							       (json_int_t)a->datapath.program[i].id, "verified",
							       (json_int_t)a->datapath.program[i].verified));
	return array;
}

void api_datapath(struct request *q)
{
	const struct agent *a = q->agent;
	const struct maps *m = &a->datapath.maps;
	const struct perch_control *c = m->control;
	json_t *maps = json_array();
	json_int_t memory = 0;

#define X(name) add_map(maps, #name, m->name##_fd, &memory);
	PERCH_MAPS(X)
#undef X
	q->json = json_pack("{s:I, s:s, s:b, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "abi",
			    (json_int_t)c->abi_version, "pinPath", m->pin_path, "takenOver", a->datapath.taken_over,
			    "timerGeneration", (json_int_t)c->timer_generation, "routeGeneration",
			    (json_int_t)c->route_generation, "memory", memory, "sampleInterval",
			    c->sample_interval / 1e9, "flowEntries", (json_int_t)c->flow_entries, "flowCapacity",
			    (json_int_t)c->flow_sets * PERCH_WAYS, "samplesLost", (json_int_t)c->samples_lost,
			    "eventsLost", (json_int_t)c->events_lost, "sweepPasses", (json_int_t)c->sweep_passes,
			    "programs", view_programs(a), "maps", maps, "interfaces", interfaces_json(a));
}

void api_healthz(struct request *q)
{
	q->json = json_pack("{s:b}", "ok", 1);
}

void api_readyz(struct request *q)
{
	if (q->agent->ready)
		q->json = json_pack("{s:b}", "ok", 1);
	else
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "services are not applied yet");
}
