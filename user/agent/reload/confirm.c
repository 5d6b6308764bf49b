// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The order of writes.  The text before is on the disk before anything moves;
 * then the kernel, then the file.  Who is killed before the file was renamed
 * starts with the old text: nothing was applied.  Who is killed after it finds
 * the file as it was applied, and the time until which that holds.  A file that
 * is neither was changed by somebody else, whose word counts.
 */
#include "confirm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../alarms.h"
#include "../clock.h"
#include "../fault.h"
#include "files.h"
#include "../log.h"
#include "reload.h"

#define AGAIN_MS 10000		/* a file that could not be put back */

struct confirm {
	char *before, *after;
	char *meanwhile;	/* in the file until `after` is, and not confirmed
				 * either; NULL: before */
	double due;		/* seconds since 1970 */
	double seconds;		/* that were given */
	struct actor actor;
	char *comment;		/* NULL: none */
	const char *over;	/* what became of it while no agent ran */
};

static void confirm_path(const struct agent *a, char out[FILE_PATH])
{
	char folder[FILE_PATH];
	const char *name = strrchr(a->config_path, '/');

	file_folder(a->config_path, folder);
	name = name ? name + 1 : a->config_path;
	if (snprintf(out, FILE_PATH, "%s/.%s.before", folder, name) >= FILE_PATH)
		*out = 0;	/* no file has that name */
}

static void confirm_drop(struct confirm *c)
{
	if (!c)
		return;
	free(c->before);
	free(c->after);
	free(c->meanwhile);
	free(c->comment);
	free(c);
}

static json_t *text_json(const char *text)
{
	return text ? json_string(text) : json_null();
}

static int confirm_write(const struct agent *a, const struct confirm *c)
{
	json_t *o = json_pack("{s:s, s:s, s:f, s:f, s:b, s:I, s:I, s:s, s:o, s:o}", "before", c->before, "after", c->after, "due",
			      c->due, "confirm", c->seconds, "known", c->actor.known, "uid", (json_int_t)c->actor.uid,
			      "pid", (json_int_t)c->actor.pid, "user", actor_user(&c->actor), "comment", text_json(c->comment),
			      "meanwhile", text_json(c->meanwhile));
	char path[FILE_PATH], *text = o ? json_dumps(o, JSON_INDENT(1) | JSON_REAL_PRECISION(15)) : NULL;
	int r;

	confirm_path(a, path);
	r = text ? file_replace(path, text, strlen(text)) : -EINVAL;
	json_decref(o);
	free(text);
	return r;
}

static void confirm_unlink(const struct agent *a)
{
	char path[FILE_PATH];

	confirm_path(a, path);
	if (unlink(path) && errno != ENOENT)
		log_error("%s: %s; remove it, or the next start takes the configuration back", path, strerror(errno));
}

static struct confirm *confirm_of_json(const json_t *o)
{
	struct confirm *c = calloc(1, sizeof(*c));
	const char *before = json_string_value(json_object_get(o, "before"));
	const char *after = json_string_value(json_object_get(o, "after"));
	const char *comment = json_string_value(json_object_get(o, "comment"));
	const char *user = json_string_value(json_object_get(o, "user"));
	const char *meanwhile = json_string_value(json_object_get(o, "meanwhile"));

	if (!c || !before || !after)
		goto out;
	c->before = strdup(before);
	c->after = strdup(after);
	c->comment = comment ? strdup(comment) : NULL;
	c->meanwhile = meanwhile ? strdup(meanwhile) : NULL;
	c->due = json_number_value(json_object_get(o, "due"));
	c->seconds = json_number_value(json_object_get(o, "confirm"));
	c->actor = (struct actor){ .via = "socket", .known = json_is_true(json_object_get(o, "known")),
				   .uid = json_integer_value(json_object_get(o, "uid")),
				   .pid = json_integer_value(json_object_get(o, "pid")) };
	snprintf(c->actor.user, sizeof(c->actor.user), "%s", user ? user : "");
	if (c->before && c->after)
		return c;
out:
	confirm_drop(c);
	return NULL;
}

static struct confirm *confirm_read(const struct agent *a)
{
	char path[FILE_PATH], *text;
	struct confirm *c = NULL;
	size_t length;
	json_t *o;
	int r;

	confirm_path(a, path);
	r = file_read(path, &text, &length);
	if (r) {
		if (r != -ENOENT)
			log_error("%s: %s", path, strerror(-r));
		return NULL;
	}
	o = json_loadb(text, length, 0, NULL);
	c = confirm_of_json(o);
	if (!c)
		log_error("%s: is not what perchd writes there, and is left alone", path);
	json_decref(o);
	free(text);
	return c;
}

static void confirm_over(struct agent *a)
{
	confirm_unlink(a);
	confirm_drop(a->confirm);
	a->confirm = NULL;
	uv_timer_stop(&a->confirm_timer);
	alarm_clear(a, "confirm", "");
}

/* The agent's own deed, on the word of who applied. */
static void emit_reverted(struct agent *a, const struct confirm *c, const char *detail)
{
	char reason[AGENT_WHY + 64];

	snprintf(reason, sizeof(reason), "not confirmed within %g s%s%s", c->seconds, detail[0] ? "; " : "", detail);
	agent_emit(a, .kind = "config", .actor = &c->actor, .from = "applied", .to = "reverted", .reason = reason,
		   .comment = c->comment);
}

/* The running state back to the text before.  What is needed stays: there is
 * nobody to refuse it to. */
static int state_revert(struct agent *a, const struct confirm *c, char why[AGENT_WHY])
{
	const struct apply how = { .actor = &c->actor, .comment = c->comment };
	struct model_config *config;
	int r = reload_parse(a, c->before, strlen(c->before), &config, why);

	return r ? r : reload_adopt(a, config, c->before, &how, why);
}

static void emit_superseded(struct agent *a)
{
	agent_emit(a, .kind = "config", .actor = &actor_file, .from = "applied", .to = "superseded",
		   .reason = "the file was changed before it was confirmed");
}

static void confirm_due(uv_timer_t *timer)
{
	struct agent *a = timer->data;
	struct confirm *c = a->confirm;
	char why[AGENT_WHY] = "";
	int r;

	if (strcmp(a->config_text, c->after) && strcmp(a->config_text, c->before)) {
		emit_superseded(a);	/* what somebody wrote since is in force */
		confirm_over(a);
		return;
	}
	r = file_replace(a->config_path, c->before, strlen(c->before));
	if (r)
		alarm_raise(a, "confirm", "", NULL, "make the file writable, or put the text before back by hand",
			    "%s: could not be taken back: %s", a->config_path, strerror(-r));
	fault_point("revert", "written");
	if (!r || strcmp(a->config_text, c->before)) {
		int err = state_revert(a, c, why);

		if (err == -EAGAIN) {
			uv_timer_start(timer, confirm_due, APPLY_AGAIN_MS, 0);
			return;
		}
		if (err)
			log_error("back to the configuration before: %s", why);
	}
	if (r) {
		uv_timer_start(timer, confirm_due, AGAIN_MS, 0);
		return;
	}
	reload_written(a);
	emit_reverted(a, c, why);
	confirm_over(a);
}

static void confirm_wait(struct agent *a)
{
	double left = a->confirm->due - clock_wall();

	if (left > a->confirm->seconds)	/* the clock was set back */
		left = a->confirm->seconds;
	uv_timer_start(&a->confirm_timer, confirm_due, left > 0 ? left * 1000 : 0, 0);
	alarm_raise(a, "confirm", "", NULL, "`perch config confirm` keeps it",
		    "the configuration applied by %s is not confirmed yet and will be taken back",
		    a->confirm->actor.known ? actor_user(&a->confirm->actor) : "somebody");
}

/* A link is not ours to replace: what it leads to comes from elsewhere. */
static int check_writable(const struct agent *a, char why[AGENT_WHY])
{
	struct stat st;

	if (lstat(a->config_path, &st)) {
		snprintf(why, AGENT_WHY, "%s: %s", a->config_path, strerror(errno));
		return -EBUSY;
	}
	if (!S_ISLNK(st.st_mode))
		return 0;
	snprintf(why, AGENT_WHY, "%s: is a symbolic link, like a ConfigMap's; change it where it comes from", a->config_path);
	return -EBUSY;
}

static int not_writable(const struct agent *a, int err, char why[AGENT_WHY])
{
	snprintf(why, AGENT_WHY, "%s: can't be written: %s; change it where it comes from, or let perchd write there",
		 a->config_path, strerror(-err));
	return err == -ENOSPC || err == -EIO ? err : -EBUSY;
}

/* What there is to go back to: before an earlier change that still waits, if
 * there is one. */
static struct confirm *confirm_new(const struct agent *a, const char *text, double seconds, const struct apply *how)
{
	struct confirm *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->before = strdup(a->confirm ? a->confirm->before : a->config_text);
	c->after = strdup(text);
	c->meanwhile = a->confirm ? strdup(a->confirm->after) : NULL;
	c->seconds = seconds;
	c->due = clock_wall() + seconds;
	c->actor = *how->actor;
	c->comment = how->comment ? strdup(how->comment) : NULL;
	if (c->before && c->after)
		return c;
	confirm_drop(c);
	return NULL;
}

/* The kernel, then the file.  On -errno both are as they were. */
static int apply_and_write(struct agent *a, struct model_config *config, const char *text, const char *tmp,
			   const struct apply *how, char why[AGENT_WHY])
{
	char *before = strdup(a->config_text), detail[AGENT_WHY];
	const struct apply back = { .actor = how->actor };
	int r;

	if (!before) {
		snprintf(why, AGENT_WHY, "%s", strerror(ENOMEM));
		config_free(config);
		unlink(tmp);
		return -ENOMEM;
	}
	fault_point("config", "kept");
	r = reload_adopt(a, config, text, how, why);
	if (r) {
		unlink(tmp);
		goto out;
	}
	fault_point("config", "unwritten");
	r = file_commit(tmp, a->config_path);
	fault_point("config", "written");
	if (r) {
		r = not_writable(a, r, why);
		if (reload_parse(a, before, strlen(before), &config, detail) ||
		    reload_adopt(a, config, before, &back, detail))
			log_error("back to the configuration before: %s", detail);
	}
out:
	free(before);
	return r;
}

/* What waits on the disk is what waits in memory. */
static void confirm_rewrite(struct agent *a)
{
	int r = a->confirm ? confirm_write(a, a->confirm) : 0;

	if (r)
		log_error("%s: the text before was not kept: %s", a->config_path, strerror(-r));
	if (!a->confirm)
		confirm_unlink(a);
}

static void confirm_applied(struct agent *a, struct confirm *c, const struct apply *how)
{
	char reason[128] = "for good";

	if (a->confirm)
		confirm_drop(a->confirm);
	a->confirm = c;
	if (c) {
		snprintf(reason, sizeof(reason), "to be confirmed within %g s", c->seconds);
		confirm_wait(a);
	} else {
		confirm_over(a);
	}
	reload_written(a);
	agent_emit(a, .kind = "config", .actor = how->actor, .to = "applied", .reason = reason, .comment = how->comment);
}

int confirm_apply(struct agent *a, const char *text, size_t length, double seconds, const struct apply *how,
		  char why[AGENT_WHY])
{
	struct model_config *config;
	struct confirm *c = NULL;
	char tmp[FILE_PATH];
	int r = check_writable(a, why);

	if (!r)
		r = reload_parse(a, text, length, &config, why);
	if (r)
		return r;
	r = file_prepare(a->config_path, text, length, tmp);
	if (r) {
		config_free(config);
		return not_writable(a, r, why);
	}
	if (seconds > 0) {
		c = confirm_new(a, text, seconds, how);
		r = c ? confirm_write(a, c) : -ENOMEM;
	}
	if (r) {
		not_writable(a, r, why);
		config_free(config);
		unlink(tmp);
	} else {
		r = apply_and_write(a, config, text, tmp, how, why);
	}
	if (r) {
		confirm_drop(c);
		confirm_rewrite(a);
		return r;
	}
	confirm_applied(a, c, how);
	return 0;
}

int confirm_now(struct agent *a, const struct apply *how, char why[AGENT_WHY])
{
	if (!a->confirm) {
		snprintf(why, AGENT_WHY, "nothing waits to be confirmed");
		return -ENOENT;
	}
	confirm_over(a);
	agent_emit(a, .kind = "config", .actor = how->actor, .from = "applied", .to = "confirmed", .reason = a->config_path,
		   .comment = how->comment);
	return 0;
}

json_t *confirm_json(const struct agent *a)
{
	const struct confirm *c = a->confirm;

	if (!c)
		return json_null();
	return json_pack("{s:f, s:f, s:s?, s:s?}", "due", c->due, "confirm", c->seconds, "user",
			 c->actor.known ? actor_user(&c->actor) : NULL, "comment", c->comment);
}

void confirm_first(struct agent *a)
{
	struct confirm *c = confirm_read(a);
	size_t length;
	char *text;
	int r;

	file_discard(a->config_path);
	if (!c || file_read(a->config_path, &text, &length)) {
		confirm_drop(c);
		return;
	}
	a->confirm = c;
	if (c->meanwhile && !strcmp(text, c->meanwhile)) {
		/* killed before the second text was there: the first one waits */
		free(c->after);
		c->after = c->meanwhile;
		c->meanwhile = NULL;
	}
	if (strcmp(text, c->after) && strcmp(text, c->before)) {
		c->over = "superseded";
	} else if (strcmp(text, c->after)) {
		c->over = c->due <= clock_wall() ? "reverted" : "lost";
	} else if (c->due <= clock_wall()) {
		r = file_replace(a->config_path, c->before, strlen(c->before));
		if (r)	/* and again when the agent runs */
			log_error("%s: could not be taken back: %s", a->config_path, strerror(-r));
		else
			c->over = "reverted";
	}
	free(text);
}

void confirm_start(struct agent *a)
{
	const struct confirm *c = a->confirm;

	uv_timer_init(&a->loop, &a->confirm_timer);
	a->confirm_timer.data = a;
	if (!c)
		return;
	if (!c->over) {
		confirm_wait(a);
		return;
	}
	if (!strcmp(c->over, "reverted"))
		emit_reverted(a, c, "");
	else if (!strcmp(c->over, "superseded"))
		emit_superseded(a);
	else
		agent_emit(a, .kind = "config", .actor = &c->actor, .to = "lost", .comment = c->comment,
			   .reason = "perchd ended while it was applied; the file is as it was before");
	confirm_over(a);
}

void confirm_free(struct agent *a)
{
	confirm_drop(a->confirm);
	a->confirm = NULL;
}
