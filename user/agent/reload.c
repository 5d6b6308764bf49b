// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * When the file is read again: on SIGHUP, and when anything moves in its
 * directory, so that a ConfigMap's swapped symlink is seen too.  A file that
 * reads as it did is no change.
 */
#include "reload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "apply.h"
#include "clock.h"
#include "hostcheck.h"
#include "interfaces.h"
#include "log.h"
#include "notify.h"

#define QUIET_MS 200
#define QUIET_MOST_MS 1000	/* in a directory that never is */
#define FILE_MOST (4u << 20)

/* The whole file as text, or -errno. */
static int file_read(const char *path, char **ret_text, size_t *ret_length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	size_t length = 0;
	struct stat st;
	char *text;
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	text = malloc(FILE_MOST + 1);
	while (text && length < FILE_MOST && (n = read(fd, text + length, FILE_MOST - length)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			r = -errno;
			break;
		}
		length += n;
	}
	close(fd);
	if (!text || r || length == FILE_MOST) {
		free(text);
		return r ? r : text ? -EFBIG : -ENOMEM;
	}
	text[length] = 0;
	*ret_text = text;
	*ret_length = length;
	return 0;
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
	r = config_parse(a->config_path, text, length, ret, why);
	if (!r) {
		r = hostcheck_config(*ret, why);
		if (r)
			config_free(*ret);
	}
	*ret_text = text;	/* what was tried, good or not */
	return r;
}

int reload_first(struct agent *a, char why[CONFIG_ERROR])
{
	char *text = NULL;
	int r = config_read(a, &a->config, &text, why);

	if (r) {
		free(text);
		return r;
	}
	a->config_text = text;
	a->config_loaded = clock_wall();
	return 0;
}

/* Kept from before: what can't change under a running agent. */
static void tell_restart(const struct model_agent *was, const struct model_agent *is)
{
	bool differs = strcmp(was->socket, is->socket) || strcmp(was->state_dir, is->state_dir) ||
		       strcmp(was->pin_path, is->pin_path) || was->flow_table_size != is->flow_table_size ||
		       was->listen_port != is->listen_port || !was->listen_host != !is->listen_host;

	if (differs)
		log_warning("agent: socket, listen, stateDir, pinPath and flowTableSize take effect at the next start");
}

static void reload_failed(struct agent *a, const char *why)
{
	char error[CONFIG_ERROR];

	snprintf(error, sizeof(error), "%.*s%s", CONFIG_ERROR - 32, why, a->config_waits ? "; trying again" : "");
	if (a->config_waits && !strcmp(a->config_error, error))
		return;		/* told the first time */
	memcpy(a->config_error, error, sizeof(a->config_error));
	agent_emit(a, .kind = "config", .actor = &actor_file, .to = "refused", .reason = error);
}

static void reload_done(struct agent *a, char *text)
{
	free(a->config_text);
	a->config_text = text;
	a->config_loaded = clock_wall();
	a->config_error[0] = 0;
	agent_set_pace(a);
	interfaces_apply(a);
	hostcheck_watch(a);
	agent_emit(a, .kind = "config", .actor = &actor_file, .to = "loaded", .reason = a->config_path);
}

static bool tried_before(const struct agent *a, const char *text)
{
	const char *last = a->tried_text ? a->tried_text : a->config_text;

	return text && last && !strcmp(text, last);
}

static void reload_again(uv_timer_t *timer);

/* The new configuration in force, if nothing stands against it. */
static int reload_apply(struct agent *a, struct model_config *config, char why[AGENT_WHY])
{
	int r;

	tell_restart(&a->config->agent, &config->agent);
	r = apply_config(a, config, true, why);
	if (r)
		config_free(config);
	if (r == -EAGAIN) {
		a->config_waits = true;
		uv_timer_start(&a->again_timer, reload_again, APPLY_AGAIN_MS, 0);
	}
	return r;
}

static void reload(struct agent *a, bool always)
{
	struct model_config *config = NULL;
	char why[AGENT_WHY] = "", *text = NULL;
	int r = config_read(a, &config, &text, why);

	/* half a swap: the file is there again in a moment, and seen then */
	if (r == -ENOENT && !always) {
		free(text);
		return;
	}
	if (!always && tried_before(a, text)) {
		if (!r)
			config_free(config);
		free(text);
		return;
	}
	free(a->tried_text);
	a->tried_text = text ? strdup(text) : NULL;
	a->config_waits = false;
	uv_timer_stop(&a->again_timer);
	if (!r)
		r = reload_apply(a, config, why);
	if (r) {
		free(text);
		reload_failed(a, why);
	} else {
		reload_done(a, text);
	}
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

static void reload_quiet(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	a->changing_since = 0;
	reload(a, false);
}

static void directory_changed(uv_fs_event_t *watch, const char *name, int events, int status)
{
	struct agent *a = watch->data;
	__u64 now = clock_now();

	if (!a->changing_since)
		a->changing_since = now;
	if (now - a->changing_since > QUIET_MOST_MS * NS_PER_MS)
		return;		/* the timer is running */
	uv_timer_start(&a->reload_timer, reload_quiet, QUIET_MS, 0);
}

void reload_watch(struct agent *a)
{
	char dir[512];
	char *slash;

	uv_timer_init(&a->loop, &a->reload_timer);
	uv_timer_init(&a->loop, &a->again_timer);
	uv_fs_event_init(&a->loop, &a->config_watch);
	a->reload_timer.data = a->again_timer.data = a->config_watch.data = a;
	snprintf(dir, sizeof(dir), "%s", a->config_path);
	slash = strrchr(dir, '/');
	if (slash == dir)
		slash[1] = 0;
	else if (slash)
		*slash = 0;
	else
		snprintf(dir, sizeof(dir), ".");
	if (uv_fs_event_start(&a->config_watch, directory_changed, dir, 0))
		log_warning("%s: can't be watched; reload by SIGHUP", dir);
}
