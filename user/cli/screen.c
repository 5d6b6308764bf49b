// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The terminal's state, kept and given back. */
#define _GNU_SOURCE	/* open_memstream */
#include "screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "../datapath/clock.h"

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"
#define HOME "\033[H"
#define CLEAR_LINE "\033[K"
#define CLEAR_BELOW "\033[J"
#define TITLE "\033[7m"
#define ALARM "\033[1;31m"
#define PLAIN "\033[0m"

static volatile sig_atomic_t stop, resized;
static struct termios before;
static bool open_now, keys;

int screen_here(void)
{
	const char *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && (!term || strcmp(term, "dumb"));
}

static void on_stop(int signal)
{
	stop = 1;
}

static void on_resize(int signal)
{
	resized = 1;
}

/* All of it, or the terminal is gone. */
static void screen_write(const char *text, size_t length)
{
	while (length && !stop) {
		ssize_t n = write(STDOUT_FILENO, text, length);

		if (n > 0) {
			text += n;
			length -= n;
		} else if (n < 0 && errno != EINTR) {
			stop = 1;
		}
	}
}

void screen_close(void)
{
	if (!open_now)
		return;
	open_now = false;
	stop = 0;	/* so that this is written yet */
	screen_write(LEAVE, strlen(LEAVE));
	if (keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

void screen_open(void)
{
	const struct sigaction end = { .sa_handler = on_stop }, resize = { .sa_handler = on_resize };
	struct termios raw;

	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	sigaction(SIGQUIT, &end, NULL);
	sigaction(SIGWINCH, &resize, NULL);
	keys = !tcgetattr(STDIN_FILENO, &before);
	if (keys) {
		raw = before;
		raw.c_lflag &= ~(ICANON | ECHO);
		raw.c_cc[VMIN] = 0;
		raw.c_cc[VTIME] = 0;
		raw.c_cc[VSUSP] = _POSIX_VDISABLE;	/* no stop on the other screen */
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	open_now = true;
	atexit(screen_close);
	screen_write(ENTER, strlen(ENTER));
}

static void screen_size(int *ret_columns, int *ret_rows)
{
	struct winsize size;
	bool known = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col && size.ws_row;

	*ret_columns = known ? size.ws_col : 80;
	*ret_rows = known ? size.ws_row : 24;
}

/* As much of a line as the width takes: bytes that begin a character count. */
static int line_cut(const char *line, int length, int columns)
{
	int width = 0, n = 0;

	while (n < length && (((line[n] & 0xc0) == 0x80) || width++ < columns))
		n++;
	return n;
}

static void line_draw(FILE *to, const char *line, int length, int columns, bool title)
{
	const char *style = NULL, *no_color = getenv("NO_COLOR");
	int shown = line_cut(line, length, columns);
	bool plain = no_color && *no_color;

	if (title)
		style = TITLE;
	else if (!plain && length > 5 && !strncmp(line, "ALARM", 5))
		style = ALARM;
	fprintf(to, "%s%.*s%s%s", style ?: "", shown, line, style ? PLAIN : "", CLEAR_LINE);
}

/* One write for the whole screen, so that it does not flicker. */
void screen_draw(const char *text)
{
	char *drawn = NULL;
	size_t size = 0;
	int columns, rows;
	FILE *to = open_memstream(&drawn, &size);

	if (!to)
		return;
	screen_size(&columns, &rows);
	fputs(HOME, to);
	for (int row = 0; *text && row < rows; row++) {
		int length = strcspn(text, "\n");

		if (row)
			fputs("\r\n", to);
		line_draw(to, text, length, columns, !row);
		text += length + !!text[length];
	}
	fputs(CLEAR_BELOW, to);
	if (!fclose(to))
		screen_write(drawn, size);
	free(drawn);
}

int screen_wait(int ms)
{
	struct pollfd p = { .fd = keys ? STDIN_FILENO : -1, .events = POLLIN };
	long long until = clock_ms() + ms, left;
	char key;

	while ((left = until - clock_ms()) > 0) {
		int r;

		if (stop)
			return SCREEN_STOP;
		if (resized) {
			resized = 0;
			return SCREEN_RESIZED;
		}
		r = poll(&p, 1, left);
		if (r > 0)	/* a terminal that has nothing to say has hung up */
			return read(STDIN_FILENO, &key, 1) == 1 ? key : SCREEN_STOP;
		if (r < 0 && errno != EINTR)
			return SCREEN_STOP;
	}
	return stop ? SCREEN_STOP : 0;
}
