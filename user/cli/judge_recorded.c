// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Samples as perchd keeps them (GET /v1/samples), read as traffic: what all
 * versions of a service got between one sample and the next.  Counters are
 * cumulative by version, and begin again at 0 when the kernel's tables do.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "judge_simulate.h"

#define VERSIONS 64
#define GAP_S 600		/* between two samples: perchd was away, and nobody knows */

struct counted {
	const char *version;
	double n, bad;
	__u64 time;
};

struct reader {
	struct counted last[VERSIONS];
	size_t versions;
	struct simulate_tick *tick;
	size_t n, room;
	__u64 time;		/* of the samples that are summed up now */
};

static double grown(double now, double before)
{
	return now >= before ? now - before : now;
}

static struct counted *version_of(struct reader *r, const char *name)
{
	for (size_t i = 0; i < r->versions; i++)
		if (strcmp(r->last[i].version, name) == 0)
			return &r->last[i];
	if (r->versions == VERSIONS)
		return NULL;
	r->last[r->versions] = (struct counted){ .version = name };
	return &r->last[r->versions++];
}

/* The tick that ends at this time; NULL: no memory. */
static struct simulate_tick *tick_at(struct reader *r, __u64 time)
{
	struct simulate_tick *list;

	if (r->n && r->time == time)
		return &r->tick[r->n - 1];
	if (r->n == r->room) {
		list = reallocarray(r->tick, r->room ? 2 * r->room : 256, sizeof(*list));
		if (!list)
			return NULL;
		r->tick = list;
		r->room = r->room ? 2 * r->room : 256;
	}
	r->tick[r->n] = (struct simulate_tick){ .seconds = r->n && time - r->time <= GAP_S ? time - r->time : 0 };
	r->time = time;
	return &r->tick[r->n++];
}

/* 0, -1: no memory, or too many versions. */
static int sample_take(struct reader *r, const json_t *sample, __u64 time)
{
	struct counted *v = version_of(r, json_string_value(json_object_get(sample, "version")) ?: "");
	double n = json_number_value(json_object_get(sample, "connections"));
	double bad = json_number_value(json_object_get(sample, "connectFailures")) + json_number_value(json_object_get(sample, "resets"));
	struct simulate_tick *tick = tick_at(r, time);

	if (!v || !tick)
		return -1;
	if (v->time && tick->seconds && time - v->time <= GAP_S) {
		double more = grown(n, v->n), worse = grown(bad, v->bad);

		tick->n += (__u64)more;
		tick->bad += (__u64)fmin(worse, more);
	}
	*v = (struct counted){ v->version, n, bad, time };
	return 0;
}

/* Ticks in which some time passed. */
static size_t kept(struct simulate_tick *tick, size_t n, __u64 *ret_connections)
{
	size_t to = 0;

	*ret_connections = 0;
	for (size_t i = 0; i < n; i++)
		if (tick[i].seconds) {
			*ret_connections += tick[i].n;
			tick[to++] = tick[i];
		}
	return to;
}

static int samples_read(const struct cli *cli, const char *file, const json_t *doc, const char *service, struct reader *r)
{
	const json_t *sample;
	size_t i;

	if (!json_is_array(doc))
		return cli_error(cli, "%s: not a list of samples, as GET /v1/samples gives it", file);
	json_array_foreach(doc, i, sample) {
		const char *name = json_string_value(json_object_get(sample, "service"));
		const json_t *time = json_object_get(sample, "time");

		if (!name || !json_is_number(time) || !json_is_number(json_object_get(sample, "connections")))
			return cli_error(cli, "%s: [%zu] is not a sample: service, time or connections is missing", file, i);
		service = service ?: name;
		if (strcmp(service, name) != 0)
			continue;
		if (r->n && (__u64)json_number_value(time) < r->time)
			return cli_error(cli, "%s: [%zu] is older than the sample before it", file, i);
		if (sample_take(r, sample, (__u64)json_number_value(time)))
			return cli_error(cli, "%s: too many versions, or out of memory", file);
	}
	return 0;
}

/* With one service in the file nobody needs to name it. */
static int service_check(const struct cli *cli, const char *file, const json_t *doc)
{
	const json_t *sample;
	const char *first = NULL;
	size_t i;

	json_array_foreach(doc, i, sample) {
		const char *name = json_string_value(json_object_get(sample, "service")) ?: "";

		first = first ?: name;
		if (strcmp(first, name) != 0)
			return cli_error(cli, "%s: samples of several services, %s and %s: say service NAME", file, first, name);
	}
	return 0;
}

int judge_recorded(const struct cli *cli, const char *file, const char *service, struct simulate_tick **ret, size_t *ret_n)
{
	FILE *in = judge_open(cli, file);
	struct reader r = { .n = 0 };
	json_error_t error;
	__u64 connections = 0;
	json_t *doc;
	int err;

	if (!in)
		return CLI_FAILED;
	doc = json_loadf(in, 0, &error);
	judge_close(in);
	if (!doc)
		return cli_error(cli, "%s:%d: %s", file, error.line, error.text);
	err = service ? 0 : service_check(cli, file, doc);
	err = err ?: samples_read(cli, file, doc, service, &r);
	json_decref(doc);
	r.n = kept(r.tick, r.n, &connections);
	if (!err && !connections)
		err = cli_error(cli, "%s: no connections between two samples%s%s", file, service ? " of " : "", service ?: "");
	if (err) {
		free(r.tick);
		return err;
	}
	*ret = r.tick;
	*ret_n = r.n;
	return 0;
}
