// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/samples: what was counted over time. */
#include "api.h"

#define LIMIT 1000
#define LIMIT_MOST 20000

static void sample_take(void *arg, const struct stored_sample *sample)
{
	json_t *o = json_loads(sample->json, 0, NULL);

	if (!o)
		return;
	json_object_set_new(o, "time", json_integer(sample->time));
	json_object_set_new(o, "service", json_string(sample->service));
	json_object_set_new(o, "version", json_string(sample->version));
	json_array_append_new(arg, o);
}

/* Of services that are gone too, so the name is not looked for. */
void api_samples(struct request *q)
{
	struct agent *a = q->agent;
	__u64 since, limit;

	if (!request_query_number(q, "since", 0, 1ull << 40, &since) ||
	    !request_query_number(q, "limit", LIMIT, LIMIT_MOST, &limit))
		return;
	q->json = json_array();
	if (store_samples(a->store, request_query(q, "service"), since, limit, sample_take, q->json))
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "samples can't be read: %s", store_error(a->store));
}
