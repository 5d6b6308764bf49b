// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /v1/backends, and what a person says of one: drain and resume. */
#include <string.h>

#include "../../core/address.h"
#include "api.h"
#include "../health/drains.h"
#include "view.h"

static void add_backends(struct request *q, const struct service *s)
{
	for (int i = -1; (i = view_next_slot(s, i)) >= 0;) {
		json_t *backends = view_backends(q->agent, s, i), *backend;
		size_t at;

		json_array_foreach(backends, at, backend) {
			json_object_set_new(backend, "service", json_string(s->name));
			json_object_set_new(backend, "version", json_string(s->slot[i].name));
		}
		json_array_extend(q->json, backends);
		json_decref(backends);
	}
}

void api_backends(struct request *q)
{
	request_list(q, add_backends);
}

/* All of the service's backends, less those of another address. */
static void answer_address(struct request *q, const struct service *s, const char *address)
{
	struct perch_address a;
	char text[ADDRESS_TEXT];
	__be16 port;
	size_t i = 0;

	address_port_parse(address, &a, &port);
	address_port_format(&a, port, text);
	q->json = json_array();
	add_backends(q, s);
	while (i < json_array_size(q->json)) {
		const json_t *backend = json_array_get(q->json, i);

		if (strcmp(json_string_value(json_object_get(backend, "address")), text))
			json_array_remove(q->json, i);
		else
			i++;
	}
}

static void backend_set(struct request *q, bool resume)
{
	static const char *const known[] = { "address", "force", "comment", NULL };
	struct drain d = { .resume = resume, .actor = &q->actor, .comment = q->comment };
	char why[AGENT_WHY];
	struct service *s;
	int r;

	if (!request_service(q, &s) || !request_known(q, known) || !request_string(q, "address", &d.address) ||
	    !request_bool(q, "force", &d.force))
		return;
	if (!d.address) {
		answer_error(q, MHD_HTTP_BAD_REQUEST, "address: missing: {\"address\": \"10.0.1.4:8080\"}");
		return;
	}
	r = drains_set(q->agent, s, &d, why);
	if (r)
		answer_errno(q, r, why);
	else
		answer_address(q, s, d.address);
}

void api_backend_drain(struct request *q)
{
	backend_set(q, false);
}

void api_backend_resume(struct request *q)
{
	backend_set(q, true);
}
