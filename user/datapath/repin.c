// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Pins that are gone while we run: bpffs was unmounted, or somebody deleted
 * them.  What this process holds open lives on, but would not outlive it.  Maps
 * and programs are pinned again from its descriptors; links from the directory
 * that the lock keeps open, which an unmounted bpffs stays reachable by.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "internal.h"

bool datapath_pinned(const struct datapath *d)
{
	char path[PATH_MAX];

	return bpffs_same(d->lock_fd, d->maps.pin_path) && !bpffs_path(path, d->maps.pin_path, "maps", "control") &&
	       !access(path, F_OK);
}

static int pin_at(int fd, const char *pin_path, const char *directory, const char *name)
{
	char path[PATH_MAX];
	int err = bpffs_path(path, pin_path, directory, name);

	return err ?: bpf_obj_pin(fd, path);
}

static int pin_map(void *arg, const char *name, int *fd)
{
	const struct datapath *d = arg;

	return pin_at(*fd, d->maps.pin_path, "maps", name);
}

/* Links that were deleted are detached, and not missed here. */
static int pin_links(const struct datapath *d, int old_fd)
{
	int links = openat(old_fd, "links", O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;
	DIR *dir = links >= 0 ? fdopendir(links) : NULL;
	char path[64 + NAME_MAX];
	struct dirent *e;

	if (!dir)
		return links >= 0 ? -errno : 0;
	while (!err && (e = readdir(dir))) {
		int fd;

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dirfd(dir), e->d_name);
		fd = bpf_obj_get(path);
		err = fd < 0 ? fd : pin_at(fd, d->maps.pin_path, "links", e->d_name);
		if (fd >= 0)
			close(fd);
	}
	closedir(dir);
	return err;
}

/* old_fd: the directory where the links are, -1: here. */
static int pin_all(struct datapath *d, int old_fd)
{
	static const char *const directories[] = { "maps", "programs", "links" };
	int err = 0;

	/* what is left, and what a try before this one came to; a link that is
	 * pinned here alone must stay */
	for (int i = 0; err >= 0 && i < (old_fd < 0 ? 2 : 3); i++)
		err = bpffs_clear(d->maps.pin_path, directories[i]);
	if (err >= 0)
		err = old_fd < 0 ? 0 : pin_links(d, old_fd);
	for (size_t i = 0; !err && i < sizeof(d->program) / sizeof(d->program[0]); i++)
		err = pin_at(d->program[i].fd, d->maps.pin_path, "programs", d->program[i].name);
	return err ?: maps_each(&d->maps, pin_map, d);
}

int datapath_repin(struct datapath *d, char why[WHY])
{
	int err = bpffs_prepare(d->maps.pin_path, why), fd;

	if (err)
		return err;
	/* its pins were deleted in place: the lock is still ours */
	if (bpffs_same(d->lock_fd, d->maps.pin_path)) {
		err = pin_all(d, -1);
		return err ? why_set(why, err, "pin in '%s': %s", d->maps.pin_path, strerror(-err)) : 0;
	}
	fd = bpffs_lock(d->maps.pin_path, 0);
	if (fd == -ETIMEDOUT)
		return why_set(why, -EBUSY, "'%s': another perchd%s has pinned there", d->maps.pin_path,
			       bpffs_lock_holder(d->maps.pin_path).text);
	if (fd < 0)
		return why_set(why, fd, "lock '%s': %s", d->maps.pin_path, strerror(-fd));
	err = pin_all(d, d->lock_fd);
	if (err) {
		close(fd);
		return why_set(why, err, "pin in '%s': %s", d->maps.pin_path, strerror(-err));
	}
	close(d->lock_fd);
	d->lock_fd = fd;
	return 0;
}
