// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Services in little room: a line each, and a row for each version below it.
 * For `status` and `top`. */
#include "overview.h"

#include <math.h>
#include <string.h>

#include "output.h"
#include "service.h"
#include "text.h"

#define LINE 512

/* "Progressing, step 2 of 6 at 5 %, the next in about 42s" */
static void overview_phase(const json_t *service, const json_t *rollout, char *out, size_t size)
{
	double step = field_number(rollout, "step"), eta = field_number(rollout, "eta");
	const json_t *leaving = json_object_get(service, "leaving");
	const char *phase = field_text(service, "phase");
	char number[TEXT_NUMBER], most[TEXT_NUMBER];

	text_append(out, size, "%s", phase);
	if (leaving)
		text_append(out, size, ", %s connections left, %s", text_count(field_number(leaving, "connections"), number),
			    text_seconds(field_number(leaving, "seconds"), most));
	if (field_true(service, "rolledBack") && strcmp(phase, "RolledBack"))
		text_append(out, size, " (rolled back)");
	if (step > 0)
		text_append(out, size, ", step %.0f of %zu", step, json_array_size(field_list(rollout, "steps")));
	if (step > 0 && !isnan(eta))
		text_append(out, size, ", the next in about %s", text_seconds(eta, number));
}

static void overview_listeners(const json_t *service, char *out, size_t size)
{
	const json_t *listen = field_list(service, "listen");
	size_t n = json_array_size(listen);

	if (n)
		text_append(out, size, "  %s", json_string_value(json_array_get(listen, 0)) ?: "-");
	if (n > 1)
		text_append(out, size, " +%zu", n - 1);
}

void overview_line(const json_t *service, const json_t *rollout, char *out, size_t size)
{
	*out = 0;
	text_append(out, size, "%s  ", field_text(service, "name"));
	overview_phase(service, rollout, out, size);
	overview_listeners(service, out, size);
}

static void overview_bad(struct table *t, const json_t *version)
{
	char number[TEXT_NUMBER];

	table_cell(t, "%s", text_count(field_number(version, "connectFailures") + field_number(version, "resets"), number));
}

void overview_services(const json_t *services, const json_t *rollouts)
{
	struct table *t = table_new("  ", "VERSION", "ROLE", ">WEIGHT", ">NEW", ">ACTIVE", ">OPEN", ">BAD", ">P99",
				    "BACKENDS");
	const json_t *service, *version;
	char text[LINE];
	size_t i, k;

	json_array_foreach(services, i, service) {
		const json_t *rollout = field_find(rollouts, "service", field_text(service, "name"));

		overview_line(service, rollout, text, sizeof(text));
		table_span(t, "%s", text);
		json_array_foreach(field_list(service, "versions"), k, version) {
			table_text(t, version, "name");
			table_text(t, version, "role");
			table_percent(t, version, "weight");
			table_percent(t, version, "newShare");
			table_percent(t, version, "activeShare");
			table_count(t, version, "active");
			overview_bad(t, version);
			table_seconds(t, json_object_get(version, "responseTime"), "p99");
			service_backends(version, text, sizeof(text));
			table_cell(t, "%s", text);
		}
		if (field_is(rollout, "blockedBy"))
			table_span(t, "  blocked by %s%s%s", field_text(rollout, "blockedBy"),
				   field_is(rollout, "next") ? "; next: " : "",
				   field_is(rollout, "next") ? field_text(rollout, "next") : "");
	}
	table_print(t);
}
