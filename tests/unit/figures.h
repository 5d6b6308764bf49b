/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How tests that simulate hold figures to their bounds and write them down:
 * FIGURES=FILE appends them there, with FIGURES_RUNS runs each (1,000 unless
 * said), as docs/judge.md shows them. */
#ifndef PERCH_TESTS_FIGURES_H
#define PERCH_TESTS_FIGURES_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define FIGURES(a) (sizeof(a) / sizeof(*(a)))
#define ALPHA 0.01

static FILE *out;

static unsigned runs(unsigned quick)
{
	const char *many = getenv("FIGURES_RUNS");

	return out ? (many ? (unsigned)atoi(many) : 1000) : quick;
}

static void say(const char *format, ...)
{
	va_list args;

	if (!out)
		return;
	va_start(args, format);
	vfprintf(out, format, args);
	va_end(args);
	fflush(out);
}

/* The share of times, at most `most` but for two standard errors. */
static void at_most(const char *what, unsigned times, unsigned n, double most)
{
	double limit = most + 2 * sqrt(most * (1 - most) / n);

	if ((double)times / n > limit)
		fail_msg("%s: %u of %u, more than %.4f", what, times, n, limit);
}

static double middle(double *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned j = i; j && v[j] < v[j - 1]; j--) {
			double x = v[j];

			v[j] = v[j - 1];
			v[j - 1] = x;
		}
	return v[n / 2];
}

static int open_out(void **state)
{
	const char *file = getenv("FIGURES");

	out = file ? fopen(file, "a") : NULL;
	return file && !out ? -1 : 0;
}

static int close_out(void **state)
{
	return out ? fclose(out) : 0;
}

#endif
