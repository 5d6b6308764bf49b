/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where pins live: the mount of bpffs, the directories below the pin path,
 * and the locks on them.  Locks are flocks on directories of bpffs itself,
 * because an agent in a container and a command on its host share the pins
 * but not /run.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#include "internal.h"

#define SYSTEM_BPFFS "/sys/fs/bpf"
#define OUR_SOURCE "perch"	/* mount source of what we mounted ourselves */

static const char *const directories[] = { "maps", "programs", "links" };

bool bpffs_holds(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned int)fs.f_type == BPF_FS_MAGIC;
}

/* Is the path, or what exists of it, on bpffs? */
static bool nearest_on_bpffs(const char *path)
{
	char at[PATH_MAX];
	struct stat st;
	char *slash;

	snprintf(at, sizeof(at), "%s", path);
	while (stat(at, &st) && (slash = strrchr(at, '/')) && slash != at)
		*slash = '\0';
	return bpffs_holds(at);
}

static int make_directories(const char *path)
{
	char at[PATH_MAX];

	snprintf(at, sizeof(at), "%s", path);
	for (char *p = at + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(at, 0755) && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return mkdir(at, 0700) && errno != EEXIST ? -errno : 0;
}

/* Whoever holds the directory below the mount point looks again before it
 * mounts, so that two starts at once make one mount. */
static int mount_once(const char *target, const char *source)
{
	int fd = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX) ||
	    (!bpffs_holds(target) && mount(source, target, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700")))
		err = -errno;
	close(fd);
	return err;
}

static int mount_missing(const char *pin_path, char *why)
{
	size_t n = strlen(SYSTEM_BPFFS);
	bool system = !strncmp(pin_path, SYSTEM_BPFFS, n) && (!pin_path[n] || pin_path[n] == '/');
	const char *target = system ? SYSTEM_BPFFS : pin_path;
	int err = system ? 0 : make_directories(pin_path);

	if (!err)
		err = mount_once(target, system ? "bpf" : OUR_SOURCE);
	return err ? why_set(why, err, "mount bpffs on '%s': %s", target, strerror(-err)) : 0;
}

int bpffs_prepare(const char *pin_path, char *why)
{
	char path[PATH_MAX];
	int err;

	if (pin_path[0] != '/')
		return why_set(why, -EINVAL, "pin path '%s': must be absolute", pin_path);
	err = bpffs_path(path, pin_path, "programs", "perch_tc_out.new");
	if (err || strlen(pin_path) >= sizeof(((struct maps *)0)->pin_path))
		return why_set(why, -ENAMETOOLONG, "pin path '%.64s…': too long", pin_path);
	if (!nearest_on_bpffs(pin_path)) {
		err = mount_missing(pin_path, why);
		if (err)
			return err;
	}
	err = make_directories(pin_path);
	for (size_t i = 0; !err && i < sizeof(directories) / sizeof(directories[0]); i++) {
		err = bpffs_path(path, pin_path, directories[i], "");
		if (!err && mkdir(path, 0700) && errno != EEXIST)
			err = -errno;
	}
	return err ? why_set(why, err, "make pin path '%s': %s%s", pin_path, strerror(-err),
			     err == -EPERM && strchr(pin_path, '.') ? " (bpffs takes no dots in names)" : "")
		   : 0;
}

bool bpffs_same(int fd, const char *directory)
{
	struct stat ours, now;

	return !fstat(fd, &ours) && !stat(directory, &now) && ours.st_ino == now.st_ino &&
	       ours.st_dev == now.st_dev;
}

int bpffs_lock(const char *directory, int timeout_ms)
{
	const struct timespec nap = { .tv_nsec = 2000000 };
	int fd, err;

	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		err = -errno;
		if (err == -EINTR)
			continue;
		if (err == -EWOULDBLOCK && timeout_ms > 0) {
			timeout_ms -= 2;
			nanosleep(&nap, NULL);
			continue;
		}
		close(fd);
		return err == -EWOULDBLOCK ? -ETIMEDOUT : err;
	}
	/* it may have been removed, and made again, while we waited */
	if (bpffs_same(fd, directory))
		return fd;
	close(fd);
	return -ENOENT;
}

/* The kernel's list has device and inode of each lock, and no process that is
 * in another pid namespace. */
struct lock_holder bpffs_lock_holder(const char *directory)
{
	struct lock_holder ret = { "" };
	unsigned int major, minor;
	unsigned long inode;
	char line[256];
	struct stat st;
	FILE *f;
	int pid;

	if (stat(directory, &st))
		return ret;
	f = fopen("/proc/locks", "re");
	if (!f)
		return ret;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s FLOCK %*s WRITE %d %x:%x:%lu", &pid, &major, &minor, &inode) == 4 && pid > 0 &&
		    makedev(major, minor) == st.st_dev && inode == st.st_ino)
			snprintf(ret.text, sizeof(ret.text), " (pid %d)", pid);
	fclose(f);
	return ret;
}

int bpffs_path(char out[PATH_MAX], const char *pin_path, const char *directory, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s%s", pin_path, directory, *name ? "/" : "", name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int bpffs_clear(const char *pin_path, const char *directory)
{
	char path[PATH_MAX];
	struct dirent *e;
	int n = bpffs_path(path, pin_path, directory, "");
	DIR *dir;

	if (n)
		return n;
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while (n >= 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		n = unlinkat(dirfd(dir), e->d_name, 0) ? -errno : n + 1;
	}
	closedir(dir);
	return n;
}

static bool mounted_by_us(const char *pin_path)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	bool ours = false;
	struct mntent *e;

	if (!f)
		return false;
	while ((e = getmntent(f)))
		if (!strcmp(e->mnt_dir, pin_path))
			ours = !strcmp(e->mnt_type, "bpf") && !strcmp(e->mnt_fsname, OUR_SOURCE);
	endmntent(f);
	return ours;
}

int bpffs_leave(const char *pin_path)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		if (bpffs_path(path, pin_path, directories[i], "") ||
		    (rmdir(path) && errno != ENOENT))
			return -errno;
	if (mounted_by_us(pin_path))
		return umount2(pin_path, UMOUNT_NOFOLLOW | MNT_DETACH) ? -errno : 0;
	/* a mount point of somebody else's stays */
	return rmdir(pin_path) && errno != ENOENT && errno != EBUSY ? -errno : 0;
}
