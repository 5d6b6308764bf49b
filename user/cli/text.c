// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Text for people: three significant digits where more would only hide the
 * first, and a dash for what cannot be seen.
 */
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "text.h"

void text_append(char *text, size_t size, const char *format, ...)
{
	size_t used = strlen(text);
	va_list args;

	va_start(args, format);
	vsnprintf(text + used, size - used, format, args);
	va_end(args);
}

void text_printable(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		/* U+0080 to U+009F are control characters too. */
		if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			*c++ = '?';
		else if (*c >= ' ' && *c != 0x7f)
			continue;
		*c = '?';
	}
}

static const char *text_plain(char out[TEXT_NUMBER], const char *text)
{
	snprintf(out, TEXT_NUMBER, "%s", text);
	return out;
}

const char *text_count(double n, char out[TEXT_NUMBER])
{
	char digits[TEXT_NUMBER];
	int length, at = 0;

	if (isnan(n))
		return text_plain(out, "-");
	if (fabs(n) >= 1e15) {
		snprintf(out, TEXT_NUMBER, "%.3g", n);
		return out;
	}
	length = snprintf(digits, sizeof(digits), "%.0f", n);
	for (int i = 0; i < length; i++) {
		if (i && digits[i - 1] != '-' && (length - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = 0;
	return out;
}

const char *text_percent(double percent, char out[TEXT_NUMBER])
{
	if (isnan(percent))
		return text_plain(out, "-");
	snprintf(out, TEXT_NUMBER, "%.2f", percent);
	for (char *end = out + strlen(out) - 1; *end == '0' || *end == '.'; end--) {
		bool point = *end == '.';

		*end = 0;
		if (point)
			break;
	}
	text_append(out, TEXT_NUMBER, " %%");
	return out;
}

/* Three significant digits, without zeros at the end. */
static void text_short(char out[TEXT_NUMBER], double n, const char *unit)
{
	snprintf(out, TEXT_NUMBER, "%.*f", n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2, n);
	if (strchr(out, '.')) {
		char *end = out + strlen(out);

		while (end[-1] == '0')
			*--end = 0;
		if (end[-1] == '.')
			end[-1] = 0;
	}
	text_append(out, TEXT_NUMBER, "%s", unit);
}

const char *text_seconds(double s, char out[TEXT_NUMBER])
{
	double whole = floor(s + .5);

	if (isnan(s))
		return text_plain(out, "-");
	if (s <= 0)
		return text_plain(out, "0s");
	if (s < 999.5e-9)
		text_short(out, s * 1e9, "ns");
	else if (s < 999.5e-6)
		text_short(out, s * 1e6, "us");
	else if (s < .9995)
		text_short(out, s * 1e3, "ms");
	else if (whole < 60)
		text_short(out, s, "s");
	else if (whole < 3600)
		snprintf(out, TEXT_NUMBER, "%.0fm%02.0fs", floor(whole / 60), fmod(whole, 60));
	else if (whole < 86400)
		snprintf(out, TEXT_NUMBER, "%.0fh%02.0fm", floor(whole / 3600), floor(fmod(whole, 3600) / 60));
	else
		snprintf(out, TEXT_NUMBER, "%.0fd%02.0fh", floor(whole / 86400), floor(fmod(whole, 86400) / 3600));
	return out;
}

const char *text_bytes(double n, char out[TEXT_NUMBER])
{
	static const char *const unit[] = { " B", " KiB", " MiB", " GiB", " TiB", " PiB" };
	unsigned i = 0;

	if (isnan(n))
		return text_plain(out, "-");
	for (; n >= 1023.5 && i < 5; i++)
		n /= 1024;
	text_short(out, n, unit[i]);
	return out;
}

const char *text_clock(double since_1970, char out[TEXT_NUMBER])
{
	time_t whole;
	struct tm tm;

	if (isnan(since_1970))
		return text_plain(out, "-");
	whole = since_1970;
	if (!localtime_r(&whole, &tm) || !strftime(out, TEXT_NUMBER, "%Y-%m-%d %H:%M:%S", &tm))
		return text_plain(out, "-");
	return out;
}
