// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The gates from outside of a rollout as text. */
#include <math.h>
#include <stdio.h>

#include "output.h"
#include "rollout.h"
#include "text.h"

static void number(struct table *t, const json_t *gate, const char *key)
{
	double value = field_number(gate, key);

	if (isnan(value))
		table_cell(t, "-");
	else
		table_cell(t, "%.6g", value);
}

static void remark(struct table *t, const json_t *gate)
{
	const json_t *test = json_object_get(gate, "test");

	if (field_is(gate, "trouble"))
		table_cell(t, "%s", field_line(gate, "trouble"));
	else if (json_is_object(test))
		table_cell(t, "%s: %s", field_line(test, "classification"), field_line(test, "why"));
	else
		table_cell(t, "%s", field_is(gate, "group") ? "compared at the end of the step" : "");
}

void rollout_outside(const json_t *rollout)
{
	struct table *t = table_new("  ", "GATE FROM OUTSIDE", "SOURCE", "VERDICT", ">VALUE", ">STABLE", ">MIN", ">MAX", ">FAILURES",
				    ">FAILS AT", ">AGE", "");
	const json_t *gate;
	size_t i;

	json_array_foreach(field_list(rollout, "outside"), i, gate) {
		table_text(t, gate, "name");
		table_text(t, gate, "source");
		table_cell(t, "%s%s", field_text(gate, "verdict"), field_true(gate, "skipped") ? ", left out" : "");
		number(t, gate, "value");
		number(t, gate, "baseline");
		number(t, gate, "min");
		number(t, gate, "max");
		table_count(t, gate, "failures");
		table_count(t, gate, "threshold");
		table_seconds(t, gate, "age");
		remark(t, gate);
	}
	table_print(t);
}
