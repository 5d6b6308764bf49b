/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What every object of the command line shares: the options, the tables that
 * name objects and their commands, the exit codes, and how words are read.
 */
#ifndef PERCH_CLI_H
#define PERCH_CLI_H

#include <stdbool.h>

#define CLI_SOCKET "/run/perch/perch.sock"
#define CLI_BPFFS "/sys/fs/bpf/perch"

enum cli_exit {
	CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2,
	/* of `rollout wait` alone */
	CLI_ROLLED_BACK = 3, CLI_NEEDS_PERSON = 4, CLI_TIMED_OUT = 5, CLI_SUPERSEDED = 6,
};

struct http;
struct json_t;

struct cli {
	const char *socket;	/* of perchd */
	const char *bpffs;	/* where its maps are pinned */
	bool json, pretty, help, direct;
	/* of a batch; else NULL */
	struct http *kept;	/* the connection that all its commands use */
	struct json_t *answers;	/* where documents go instead of stdout */
	const char *at;		/* "FILE:LINE", before errors */
};

/*
 * One word of the grammar: an object, or a command below one.  The first
 * entry of a table is what is meant when no word is given.  A table ends with
 * an entry that has no name.
 */
struct command {
	const char *name;
	/* NULL, and nothing below: not built yet */
	int (*func)(struct cli *cli, int argc, char **argv);
	const char *usage;	/* what may follow the name */
	const char *about;	/* one line, in lower case */
	const struct command *below;
	bool whole;		/* a prefix of it is not enough */
	bool takes_direct;	/* knows the option --direct */
};
#define COMMAND(n, f, u, a, ...) { .name = (n), .func = (f), .usage = (u), .about = (a), ##__VA_ARGS__ }
#define COMMANDS(n, table) { .name = (n), .below = (table) }
#define COMMAND_LATER(n, ...) { .name = (n), ##__VA_ARGS__ }

/* Run what the words mean below `table`; `path` ("perch", "perch weight") is
 * how the user got there.  Returns an exit code, having said what failed. */
int command_run(struct cli *cli, const struct command *table, const char *path, int argc, char **argv);
/* The entry that `word` means, by name or unambiguous prefix, else NULL with
 * the sentence in why. */
const struct command *command_find(const struct command *table, const char *word, char *why, int size);
int command_help(const struct cli *cli, const struct command *table, const char *path);

/*
 * What may follow a command: `key VALUE` in any order, flags (what is NULL),
 * and at most one key that may be left out (bare).  A list ends with an entry
 * that has no key.  *value is the text, or the key itself for a flag.
 */
struct word {
	const char *key;
	const char *what;	/* "NAME"; NULL: a flag */
	const char **value;
	bool bare;		/* the key may be left out */
	bool needed;
};
#define WORD(k, w, v) { .key = (k), .what = (w), .value = (v) }
#define WORD_FLAG(k, v) { .key = (k), .value = (v) }
#define WORD_BARE(k, w, v) { .key = (k), .what = (w), .value = (v), .bare = true }
#define WORD_NEEDED(k, w, v) { .key = (k), .what = (w), .value = (v), .bare = true, .needed = true }

/* 0, or CLI_USAGE with the wrong word named and what may stand there. */
int words_read(const struct cli *cli, int argc, char **argv, const struct word *words);
/* The same, but words that are no key are left in rest (room for argc), for
 * the command to read; *ret_n says how many. */
int words_split(const struct cli *cli, int argc, char **argv, const struct word *words, char **rest, int *ret_n);
/* A whole number from min to max after `key`; without text *ret stays. */
int words_number(const struct cli *cli, const char *key, const char *text, long min, long max, long *ret);
/* "100ms", "30s", "5m", "2h" after `key`, in ns, from min to max. */
int words_duration(const struct cli *cli, const char *key, const char *text, unsigned long long min,
		   unsigned long long max, unsigned long long *ret_ns);

/* All objects: the table to begin with. */
extern const struct command objects[];
extern const struct command service_commands[], version_commands[], backend_commands[],
	weight_commands[], rollout_commands[], flow_commands[], event_commands[], reason_commands[],
	datapath_commands[], config_commands[], pin_commands[], batch_commands[], judge_commands[], metric_commands[];
int do_status(struct cli *cli, int argc, char **argv);
int do_explain(struct cli *cli, int argc, char **argv);
int do_rollback(struct cli *cli, int argc, char **argv);
int do_trace(struct cli *cli, int argc, char **argv);
int do_top(struct cli *cli, int argc, char **argv);
int do_doctor(struct cli *cli, int argc, char **argv);

#endif
