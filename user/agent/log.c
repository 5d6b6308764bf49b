// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The log's one format.  A line is written by one write(2), so that lines of
 * several processes on one stderr do not mix. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *level_word(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR: return "error: ";
	case LOG_LEVEL_WARNING: return "warning: ";
	default: return "";
	}
}

void log_at(enum log_level level, const char *format, ...)
{
	char line[1024];
	int at, n;
	va_list args;

	if (isatty(STDERR_FILENO))
		at = snprintf(line, sizeof(line), "perchd: %s", level_word(level));
	else
		at = snprintf(line, sizeof(line), "<%d>", (int)level);
	va_start(args, format);
	n = vsnprintf(line + at, sizeof(line) - at - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	at = at + n < (int)sizeof(line) - 1 ? at + n : (int)sizeof(line) - 2;
	for (int i = 0; i < at; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = ' ';	/* a comment is no terminal's command */
	line[at++] = '\n';
	if (write(STDERR_FILENO, line, at) < 0)
		return;		/* nowhere left to say so */
}
