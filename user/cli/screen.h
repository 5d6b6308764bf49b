/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A terminal for a view that is drawn again and again: the other screen, keys
 * as they are pressed, and everything as it was when the view is left, by
 * whatever way.  Plain ANSI (ECMA-48), at any size.
 */
#ifndef PERCH_CLI_SCREEN_H
#define PERCH_CLI_SCREEN_H

#define SCREEN_STOP (-1)	/* interrupted, or the terminal is gone */
#define SCREEN_RESIZED (-2)

/* Is stdout a terminal to draw on? */
int screen_here(void);
void screen_open(void);
void screen_close(void);
/* Lines of text, cut at the terminal's width and height.  The first one is
 * the title; one that begins with "ALARM" stands out. */
void screen_draw(const char *text);
/* A key, 0 after `ms`, or one of the above. */
int screen_wait(int ms);

#endif
