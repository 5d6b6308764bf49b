/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A line of a batch as words. */
#ifndef PERCH_CLI_BATCH_WORDS_H
#define PERCH_CLI_BATCH_WORDS_H

#define BATCH_WORDS 64

/*
 * Cut line where it is: words end at blanks; 'as it stands' and "with \" and
 * \\" may hold any; \ takes the next character as it is; # begins a comment
 * where a word could.  The number of words (at most BATCH_WORDS, and argv ends
 * with NULL), or -1 with the sentence what is wrong.
 */
int batch_words(char *line, char *argv[BATCH_WORDS + 1], const char **ret_why);

#endif
