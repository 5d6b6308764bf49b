// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A ConfigMap swaps a symbolic link above the files, an editor renames, git
 * replaces folders: what is watched are directories, those of the files and
 * those of every link that leads to them.
 */
#include "watch.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "../log.h"

#define LINKS 16		/* that lead to one file; more is a circle */

struct watch {
	uv_fs_event_t event;
	struct watch *next;
	struct agent *agent;
	watch_changed *changed;
	char path[FILE_PATH];
	dev_t device;
	ino_t inode;
	bool wanted;
};

/* A folder that is not there comes into being in the one above it. */
static void folder_there(const char *folder, void (*fn)(void *arg, const char *folder), void *arg)
{
	char path[FILE_PATH];
	struct stat st;

	snprintf(path, sizeof(path), "%s", folder);
	while (stat(path, &st) && strcmp(path, "/") && strcmp(path, ".")) {
		char above[FILE_PATH];

		file_folder(path, above);
		memcpy(path, above, sizeof(path));
	}
	fn(arg, path);
}

/* Where the link at the first `length` bytes of path leads, with the rest of
 * path after it.  False for one that is gone, or too long. */
static bool link_follow(const char *path, size_t length, char out[FILE_PATH])
{
	char link[FILE_PATH], target[FILE_PATH], folder[FILE_PATH];
	ssize_t n;
	int size;

	snprintf(link, sizeof(link), "%.*s", (int)length, path);
	n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = 0;
	file_folder(link, folder);
	if (*target == '/')
		size = snprintf(out, FILE_PATH, "%s%s", target, path + length);
	else
		size = snprintf(out, FILE_PATH, "%s/%s%s", folder, target, path + length);
	return size < FILE_PATH;
}

static void each_folder(const char *path, int links, void (*fn)(void *arg, const char *folder), void *arg)
{
	char folder[FILE_PATH], next[FILE_PATH];

	for (size_t i = 1; path[i - 1]; i++) {
		char part[FILE_PATH];
		struct stat st;

		if (path[i] && path[i] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (lstat(part, &st) || !S_ISLNK(st.st_mode))
			continue;
		file_folder(part, folder);
		folder_there(folder, fn, arg);
		if (links < LINKS && link_follow(path, i, next))
			each_folder(next, links + 1, fn, arg);
		return;		/* the rest is seen by where it leads */
	}
	file_folder(path, folder);
	folder_there(folder, fn, arg);
}

void watch_each_folder(const char *path, void (*fn)(void *arg, const char *folder), void *arg)
{
	each_folder(path, 0, fn, arg);
}

static void watch_event(uv_fs_event_t *event, const char *name, int events, int status)
{
	struct watch *w = event->data;

	w->changed(w->agent);
}

static void watch_closed(uv_handle_t *handle)
{
	free(handle->data);
}

struct wish {
	struct agent *agent;
	watch_changed *changed;
};

static void watch_folder(void *arg, const char *folder)
{
	const struct wish *wish = arg;
	struct agent *a = wish->agent;
	struct watch *w;
	struct stat st;

	if (stat(folder, &st))
		return;		/* it was there just now; the one above tells */
	for (w = a->watches; w; w = w->next) {
		if (w->device == st.st_dev && w->inode == st.st_ino) {
			w->wanted = true;
			return;
		}
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return;
	uv_fs_event_init(&a->loop, &w->event);
	w->event.data = w;
	w->agent = a;
	w->changed = wish->changed;
	w->device = st.st_dev;
	w->inode = st.st_ino;
	w->wanted = true;
	snprintf(w->path, sizeof(w->path), "%s", folder);
	if (uv_fs_event_start(&w->event, watch_event, folder, 0)) {
		log_warning("%s: can't be watched; reload by SIGHUP", folder);
		uv_close((uv_handle_t *)&w->event, watch_closed);
		return;
	}
	w->next = a->watches;
	a->watches = w;
}

static void watch_unwanted(struct agent *a)
{
	struct watch **at = &a->watches;

	while (*at) {
		struct watch *w = *at;

		if (w->wanted) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		uv_close((uv_handle_t *)&w->event, watch_closed);
	}
}

void watch_files(struct agent *a, watch_changed *fn)
{
	struct wish wish = { .agent = a, .changed = fn };

	for (struct watch *w = a->watches; w; w = w->next)
		w->wanted = false;
	watch_each_folder(a->config_path, watch_folder, &wish);
	for (size_t i = 0; a->config && i < a->config->n_files; i++)
		watch_each_folder(a->config->files[i], watch_folder, &wish);
	for (size_t i = 0; a->config && i < a->config->n_includes; i++)
		watch_each_folder(a->config->includes[i], watch_folder, &wish);
	watch_unwanted(a);
}

void watch_free(struct agent *a)
{
	while (a->watches) {
		struct watch *next = a->watches->next;

		free(a->watches);
		a->watches = next;
	}
}
