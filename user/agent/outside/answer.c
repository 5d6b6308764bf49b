// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns how a number is read from an answer; what cannot be read is told, and
 * never guessed at. */
#include "answer.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define TOKEN 128		/* a key of an object */

static __attribute__((format(printf, 2, 3))) int wrong(char why[ANSWER_WHY], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, ANSWER_WHY, format, args);
	va_end(args);
	return -EINVAL;
}

static int number_of_text(const char *text, double *ret)
{
	char *end;

	*ret = strtod(text, &end);
	return end == text || *end ? -EINVAL : 0;
}

static int number_of(const json_t *value, double *ret, char why[ANSWER_WHY])
{
	if (json_is_number(value)) {
		*ret = json_number_value(value);
		return 0;
	}
	if (json_is_string(value) && !number_of_text(json_string_value(value), ret))
		return 0;
	return wrong(why, "the answer has no number there");
}

static int sample_of(const json_t *data, double *ret, char why[ANSWER_WHY])
{
	const json_t *result = json_object_get(data, "result");
	const char *type = json_string_value(json_object_get(data, "resultType"));

	if (type && !strcmp(type, "scalar"))
		return number_of(json_array_get(result, 1), ret, why);
	if (!type || strcmp(type, "vector") || !json_is_array(result))
		return wrong(why, "the query gives a %.24s; it must give one number", type ? type : "document without data");
	if (!json_array_size(result))
		return wrong(why, "the query gives no series");
	if (json_array_size(result) > 1)
		return wrong(why, "the query gives %zu series; sum or average them to one", json_array_size(result));
	return number_of(json_array_get(json_object_get(json_array_get(result, 0), "value"), 1), ret, why);
}

int answer_prometheus(const char *text, size_t length, double *ret, char why[ANSWER_WHY])
{
	json_t *doc = json_loadb(text, length, 0, NULL);
	const char *status = json_string_value(json_object_get(doc, "status")), *error;
	int r;

	if (!doc)
		return wrong(why, "the answer is not JSON");
	error = json_string_value(json_object_get(doc, "error"));
	if (!status || strcmp(status, "success"))
		r = wrong(why, "%.100s", error ? error : "the answer is not Prometheus'");
	else
		r = sample_of(json_object_get(doc, "data"), ret, why);
	json_decref(doc);
	return r;
}

/* "a~1b/…" to "a/b"; where the rest begins, or NULL: too long or not RFC 6901. */
static const char *token_next(const char *pointer, char token[TOKEN])
{
	size_t n = 0;

	for (; *pointer && *pointer != '/'; pointer++) {
		char c = *pointer;

		if (c == '~') {
			pointer++;
			if (*pointer != '0' && *pointer != '1')
				return NULL;
			c = *pointer == '0' ? '~' : '/';
		}
		if (n == TOKEN - 1)
			return NULL;
		token[n++] = c;
	}
	token[n] = 0;
	return pointer;
}

static const json_t *element(const json_t *in, const char *token)
{
	char *end;
	unsigned long i;

	if (json_is_object(in))
		return json_object_get(in, token);
	if (!json_is_array(in) || *token < '0' || *token > '9')
		return NULL;
	i = strtoul(token, &end, 10);
	return *end ? NULL : json_array_get(in, i);
}

int answer_pointer(const char *text, size_t length, const char *pointer, double *ret, char why[ANSWER_WHY])
{
	json_t *doc = json_loadb(text, length, JSON_DECODE_ANY, NULL);
	const json_t *at = doc;
	char token[TOKEN];
	int r;

	if (!doc)
		return wrong(why, "the answer is not JSON");
	while (at && pointer && *pointer == '/') {
		pointer = token_next(pointer + 1, token);
		at = pointer ? element(at, token) : NULL;
	}
	r = at ? number_of(at, ret, why) : wrong(why, "the answer has nothing at pointer");
	json_decref(doc);
	return r;
}
