// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Is what the files say what is in force, and is it wise? */
#include "doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../clock.h"
#include "../reload/files.h"
#include "../reload/reload.h"

#define LOADS_WITHIN_S 2
#define RELOAD "kill -HUP $(pidof perchd)"

/* A file that was written, or put into its place, since the last load, and not
 * just now: then it is about to be loaded. */
static bool files_moved(const struct agent *a)
{
	double now = clock_wall(), moved;
	struct stat st;

	for (size_t i = 0; i < a->config->n_files; i++) {
		if (stat(a->config->files[i], &st))
			continue;
		moved = st.st_ctim.tv_sec + st.st_ctim.tv_nsec / 1e9;
		if (moved > a->config_loaded && moved < now - LOADS_WITHIN_S)
			return true;
	}
	return false;
}

struct drift {
	size_t n;
	char first[96];
};

static void drift_note(void *arg, const char *path, const char *from, const char *to)
{
	struct drift *d = arg;

	if (!d->n++)
		snprintf(d->first, sizeof(d->first), "%.*s", (int)sizeof(d->first) - 1, path);
}

/* Files that read as they did are no change, however new they are. */
static void drift_check(struct doctor *d)
{
	struct agent *a = d->agent;
	char why[CONFIG_ERROR] = "", *text = NULL;
	struct model_config *config = NULL;
	struct drift drift = { 0 };
	size_t length;

	if (!files_moved(a) || file_read(a->config_path, &text, &length))
		return;
	if (reload_parse(a, text, length, &config, why)) {
		doctor_say(d, DOCTOR_ERROR, a->config_path, "mend the file; perch config check FILE tries it",
			   "the file has changed, was not loaded, and would be refused: %s", why);
	} else {
		config_diff(a->config, config, drift_note, &drift);
		config_free(config);
	}
	free(text);
	if (drift.n)
		doctor_say(d, DOCTOR_WARNING, a->config_path, RELOAD,
			   "the file is not what is in force: it has changed and was not loaded: %s%s", drift.first,
			   drift.n > 1 ? " and more (perch config diff)" : "");
}

void doctor_config(struct doctor *d)
{
	const struct agent *a = d->agent;

	if (a->config_error[0])
		doctor_say(d, DOCTOR_ERROR, a->config_path, "mend the file; it is loaded when it is saved",
			   "the last change was refused, the one before is in force: %s", a->config_error);
	else if (a->confirm)
		doctor_say(d, DOCTOR_NOTICE, a->config_path, "perch config confirm",
			   "a configuration that was applied waits to be confirmed; else it is taken back");
	else
		drift_check(d);
	if (!a->config->agent.deadman)
		doctor_say(d, DOCTOR_NOTICE, a->config_path, "agent: { deadman: 30s }",
			   "the dead-man is off: when perchd dies during a rollout, nobody takes the canary out");
}
