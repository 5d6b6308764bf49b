// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns how gates from outside and webhooks are written again.  Files with secrets are named,
 * never read. */
#include <math.h>
#include <stdio.h>

#include "../core/judge/mannwhitney.h"
#include "leaves.h"
#include "values.h"

/* As YAML reads it between double quotes. */
static void quoted(FILE *f, const char *key, const char *text)
{
	if (!*text)
		return;
	fprintf(f, ", %s: \"", key);
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", f);
		else
			fprintf(f, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	}
	fputc('"', f);
}

static void duration(FILE *f, const char *key, __u64 ns)
{
	char text[VALUE_TEXT];

	fprintf(f, ", %s: %s", key, value_format_duration(ns, text));
}

static void target(FILE *f, const struct model_target *t)
{
	quoted(f, "url", t->url);
	quoted(f, "urlFile", t->url_file);
	quoted(f, "caFile", t->ca_file);
	if (!t->n_headers)
		return;
	fputs(", headers: {", f);
	for (size_t i = 0; i < t->n_headers; i++)
		fprintf(f, "%s%s: { file: \"%s\" }", i ? ", " : " ", t->header[i].name, t->header[i].file);
	fputs(" }", f);
}

static void bounds(FILE *f, const struct model_outside *g)
{
	if (!isinf(g->min))
		fprintf(f, ", min: %.15g", g->min);
	if (!isinf(g->max))
		fprintf(f, ", max: %.15g", g->max);
	fprintf(f, ", threshold: %u, consecutive: %s", g->threshold, g->consecutive ? "true" : "false");
}

static void compared(FILE *f, const struct model_outside *g)
{
	static const char *const directions[] = { [MANNWHITNEY_EITHER] = "either", [MANNWHITNEY_INCREASE] = "increase",
						  [MANNWHITNEY_DECREASE] = "decrease" };

	fprintf(f, ", compare: mannWhitney, direction: %s, tolerance: %.6g, confidence: %.6g, effect: %s, group: %s",
		directions[g->direction], g->tolerance, g->confidence, g->effect == MANNWHITNEY_CLES ? "cles" : "meanRatio",
		g->group);
	if (!isnan(g->weight))
		fprintf(f, ", weight: %.6g", g->weight);
}

static void events(FILE *f, __u32 told)
{
	static const char *const names[MODEL_TELLS] = { "step", "hold", "rollback", "promote", "alarm" };
	const char *separator = "";

	fputs(", events: [", f);
	for (unsigned i = 0; i < MODEL_TELLS; i++) {
		if (!(told & 1u << i))
			continue;
		fprintf(f, "%s%s", separator, names[i]);
		separator = ", ";
	}
	fputc(']', f);
}

void leaves_webhook(FILE *f, const struct model_webhook *w)
{
	static const char *const formats[] = { "json", "slack", "alertmanager" };
	char text[VALUE_TEXT];

	fprintf(f, "{ timeout: %s", value_format_duration(w->timeout, text));
	target(f, &w->target);
	quoted(f, "secretFile", w->secret_file);
	if (w->gate) {
		fputs(", gate: step }", f);
		return;
	}
	events(f, w->events);
	fprintf(f, ", format: %s, retries: %u }", formats[w->format], w->retries);
}

void leaves_outside(FILE *f, const struct model_outside *g)
{
	fprintf(f, "{ name: %s", g->name);
	if (g->metric[0])
		fprintf(f, ", metric: %s", g->metric);
	quoted(f, "prometheus", g->prometheus);
	quoted(f, "query", g->query);
	target(f, &g->target);
	quoted(f, "pointer", g->pointer);
	if (g->compare)
		compared(f, g);
	else
		bounds(f, g);
	fprintf(f, ", critical: %s", g->critical ? "true" : "false");
	duration(f, "checkInterval", g->check_interval);
	duration(f, "maxAge", g->max_age);
	duration(f, "initialDelay", g->initial_delay);
	fprintf(f, ", action: %s }", g->hold ? "hold" : "rollback");
}
