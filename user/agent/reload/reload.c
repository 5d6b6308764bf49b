// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * When the configuration is read again: on SIGHUP, when anything moves where
 * its files are, and when the API changes a part of it.  Files that read as
 * they did, and a mistake that was told before, are no change.
 */
#include "reload.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "applied.h"
#include "../clock.h"
#include "files.h"
#include "../doctor/hostcheck.h"
#include "../interfaces.h"
#include "../log.h"
#include "../notify.h"
#include "watch.h"

#define QUIET_MS 200
#define QUIET_MOST_MS 1000	/* in a directory that never is */
#define REFUSED_MS 3000		/* until files that were refused are read again */
#define DIGEST_START 0xcbf29ce484222325ull

int reload_parse(struct agent *a, const char *text, size_t length, struct model_config **ret, char why[CONFIG_ERROR])
{
	struct model_config *config;
	struct config_text *texts;
	size_t n;
	int r = applied_texts(a, &texts, &n);

	if (r) {
		snprintf(why, CONFIG_ERROR, "%s: %s", a->config_path, strerror(-r));
		return r;
	}
	r = config_parse_with(a->config_path, text, length, texts, n, &config, why);
	free(texts);
	if (r)
		return r;
	r = hostcheck_config(config, why);
	if (r)
		config_free(config);
	else
		*ret = config;
	return r;
}

static int config_read(struct agent *a, struct model_config **ret, char **ret_text, char why[CONFIG_ERROR])
{
	char *text = NULL;
	size_t length = 0;
	int r = file_read(a->config_path, &text, &length);

	if (r) {
		snprintf(why, CONFIG_ERROR, "%s: %s", a->config_path, strerror(-r));
		return r;
	}
	r = reload_parse(a, text, length, ret, why);
	if (r)
		free(text);
	else
		*ret_text = text;
	return r;
}

int reload_first(struct agent *a, char why[CONFIG_ERROR])
{
	int r = config_read(a, &a->config, &a->config_text, why);

	if (!r)
		a->config_loaded = clock_wall();
	return r;
}

int reload_with_applied(struct agent *a, char why[CONFIG_ERROR])
{
	struct model_config *config;
	int r;

	if (!a->applied)
		return 0;
	r = reload_parse(a, a->config_text, strlen(a->config_text), &config, why);
	if (r)
		return r;
	config_free(a->config);
	a->config = config;
	return 0;
}

/* FNV-1a: told apart are files of one host, not what somebody made collide. */
static void digest(__u64 *to, const void *data, size_t length)
{
	const __u8 *byte = data;

	for (size_t i = 0; i < length; i++)
		*to = (*to ^ byte[i]) * 0x100000001b3ull;
}

static void digest_of_stat(__u64 *to, const char *path, struct stat *st)
{
	if (stat(path, st))
		memset(st, 0, sizeof(*st));
	digest(to, &st->st_dev, sizeof(st->st_dev));
	digest(to, &st->st_ino, sizeof(st->st_ino));
	digest(to, &st->st_size, sizeof(st->st_size));
	digest(to, &st->st_mtim, sizeof(st->st_mtim));
}

/* Changed at or after this wall time, or a tick of the file system before it:
 * what was read may not be what is there. */
static bool changed_since(const struct stat *st, double wall)
{
	return st->st_ctim.tv_sec + st->st_ctim.tv_nsec / 1e9 > wall - 0.02;
}

/* What the files look like from outside, the same while nobody touches them;
 * 0: read them to know. */
static __u64 files_seen(const struct agent *a)
{
	double settled = clock_wall() - 1;
	__u64 seen = DIGEST_START;
	char folder[FILE_PATH];
	struct stat st;

	for (size_t i = 0; i < a->config->n_files; i++) {
		digest_of_stat(&seen, a->config->files[i], &st);
		if (changed_since(&st, settled))
			return 0;
	}
	for (size_t i = 0; i < a->config->n_includes; i++) {
		file_folder(a->config->includes[i], folder);
		if (strpbrk(folder, "*?["))
			return 0;
		digest_of_stat(&seen, folder, &st);
		if (changed_since(&st, settled))
			return 0;
	}
	return seen;
}

/* A list of addresses may be larger than what is read at once. */
static int digest_of_file(__u64 *to, const char *path)
{
	FILE *f = fopen(path, "re");
	char part[16384];
	size_t n;
	int r;

	if (!f)
		return -errno;
	digest(to, path, strlen(path) + 1);
	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		digest(to, part, n);
	r = ferror(f) ? -EIO : 0;
	fclose(f);
	return r;
}

/* What is in the files of a configuration whose main text is this, and that was
 * read since `began`; 0: that can't be said. */
static __u64 files_digest(const struct model_config *config, const char *main, double began)
{
	__u64 sum = DIGEST_START;

	digest(&sum, main, strlen(main) + 1);
	for (size_t i = 0; i < config->n_files; i++) {
		struct stat st;

		if (!strcmp(config->files[i], config->file))
			continue;
		if (digest_of_file(&sum, config->files[i]) || stat(config->files[i], &st) || changed_since(&st, began))
			return 0;
	}
	return sum;
}

/* Kept from before: what can't change under a running agent. */
static bool needs_restart(const struct model_agent *was, const struct model_agent *is)
{
	return strcmp(was->socket, is->socket) || strcmp(was->state_dir, is->state_dir) ||
	       strcmp(was->pin_path, is->pin_path) || was->flow_table_size != is->flow_table_size ||
	       was->pin_table_size != is->pin_table_size || was->listen_port != is->listen_port ||
	       strcmp(was->listen_host ?: "", is->listen_host ?: "");
}

static void directory_changed(struct agent *a);

/* Everything that follows the configuration in force. */
static void settle(struct agent *a)
{
	a->config_loaded = clock_wall();
	a->config_error[0] = 0;
	a->config_waits = false;
	uv_timer_stop(&a->again_timer);
	agent_set_pace(a);
	interfaces_apply(a);
	hostcheck_watch(a);
	watch_files(a, directory_changed);
}

int reload_adopt(struct agent *a, struct model_config *config, const char *text, const struct apply *how,
		 char why[AGENT_WHY])
{
	bool restart = needs_restart(&a->config->agent, &config->agent);
	char *copy = strdup(text);
	int r = copy ? 0 : -ENOMEM;

	if (r)
		snprintf(why, AGENT_WHY, "%s", strerror(-r));
	else
		r = apply_config(a, config, how, why);
	if (r) {
		config_free(config);
		free(copy);
		return r;
	}
	free(a->config_text);
	a->config_text = copy;
	if (restart)
		log_warning("agent: socket, listen, stateDir, pinPath, flowTableSize and pinTableSize take effect at the next start");
	settle(a);
	return 0;
}

void reload_written(struct agent *a)
{
	a->files_tried = files_digest(a->config, a->config_text, INFINITY);
}

int reload_read(struct agent *a, struct model_config **ret, char **ret_text, char why[AGENT_WHY])
{
	int r = config_read(a, ret, ret_text, why);

	/* who changes a service may not know of the files */
	if (r && strncmp(why, APPLIED_ORIGIN, strlen(APPLIED_ORIGIN)))
		snprintf(why + strlen(why), AGENT_WHY - strlen(why), "; mend the files first, which are read again with it");
	return r;
}

int reload_applied(struct agent *a, const struct apply *how, char why[AGENT_WHY])
{
	struct model_config *config;
	char *text;
	int r = reload_read(a, &config, &text, why);

	if (r)
		return r;
	r = reload_adopt(a, config, text, how, why);
	free(text);
	return r;
}

static void reload_again(uv_timer_t *timer);
static void reload_refused(uv_timer_t *timer);

static void reload_failed(struct agent *a, const char *why)
{
	char error[CONFIG_ERROR];

	snprintf(error, sizeof(error), "%.*s%s", CONFIG_ERROR - 32, why, a->config_waits ? "; trying again" : "");
	/* what it is to include is not all known, and so not all watched */
	if (!a->config_waits)
		uv_timer_start(&a->again_timer, reload_refused, REFUSED_MS, 0);
	if (!strcmp(a->config_error, error))
		return;		/* told the first time */
	memcpy(a->config_error, error, sizeof(a->config_error));
	agent_emit(a, .kind = "config", .actor = &actor_file, .to = "refused", .reason = error);
}

/* The new configuration in force, if nothing stands against it. */
static int reload_apply(struct agent *a, struct model_config *config, const char *text, char why[AGENT_WHY])
{
	const struct apply how = { .strict = true, .actor = &actor_file };
	int r = reload_adopt(a, config, text, &how, why);

	if (r == -EAGAIN) {
		a->config_waits = true;
		uv_timer_start(&a->again_timer, reload_again, APPLY_AGAIN_MS, 0);
	}
	return r;
}

/* always: although nothing seems to have changed. */
static void reload(struct agent *a, bool always)
{
	struct model_config *config = NULL;
	char why[AGENT_WHY] = "", *text = NULL;
	double began = clock_wall();
	int r = config_read(a, &config, &text, why);
	__u64 tried = r ? 0 : files_digest(config, text, began);

	/* half a swap: the file is there again in a moment, and seen then */
	if (r == -ENOENT && !always)
		return;
	if (!r && !always && tried && tried == a->files_tried) {
		config_free(config);
		free(text);
		return;
	}
	a->files_tried = tried;
	a->config_waits = false;
	if (!r)
		r = reload_apply(a, config, text, why);
	if (r)
		reload_failed(a, why);
	else
		agent_emit(a, .kind = "config", .actor = &actor_file, .to = "loaded", .reason = a->config_path);
	free(text);
}

void reload_now(struct agent *a)
{
	notify_reloading();
	reload(a, true);
	notify_ready();
}

static void reload_again(uv_timer_t *timer)
{
	reload(timer->data, true);
}

static void reload_refused(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	reload(a, false);
	if (a->config_error[0] && !a->config_waits)
		uv_timer_start(&a->again_timer, reload_refused, REFUSED_MS, 0);
}

static void reload_quiet(uv_timer_t *timer)
{
	struct agent *a = timer->data;
	__u64 seen = files_seen(a);

	a->changing_since = 0;
	if (seen && seen == a->files_seen && !a->config_error[0])
		return;
	watch_files(a, directory_changed);	/* links may lead elsewhere now */
	reload(a, false);
	a->files_seen = files_seen(a);
}

static void directory_changed(struct agent *a)
{
	__u64 now = clock_now();

	if (!a->changing_since)
		a->changing_since = now;
	if (now - a->changing_since > QUIET_MOST_MS * NS_PER_MS)
		return;		/* the timer is running */
	uv_timer_start(&a->reload_timer, reload_quiet, QUIET_MS, 0);
}

void reload_watch(struct agent *a)
{
	uv_timer_init(&a->loop, &a->reload_timer);
	uv_timer_init(&a->loop, &a->again_timer);
	a->reload_timer.data = a->again_timer.data = a;
	watch_files(a, directory_changed);
	a->files_tried = files_digest(a->config, a->config_text, a->config_loaded);
}
