// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Reading a file, and putting another in its place by a rename. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, char *text, size_t *ret_length)
{
	size_t length = 0;
	ssize_t n;

	while (length < FILE_MOST && (n = read(fd, text + length, FILE_MOST - length)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		length += n;
	}
	*ret_length = length;
	return length < FILE_MOST ? 0 : -EFBIG;
}

int file_read(const char *path, char **ret_text, size_t *ret_length)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	struct stat st;
	char *text;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	text = malloc(FILE_MOST + 1);
	r = text ? read_all(fd, text, ret_length) : -ENOMEM;
	close(fd);
	if (r) {
		free(text);
		return r;
	}
	text[*ret_length] = 0;
	*ret_text = text;
	return 0;
}

void file_folder(const char *path, char out[FILE_PATH])
{
	const char *slash = strrchr(path, '/');

	if (slash)
		snprintf(out, FILE_PATH, "%.*s", slash == path ? 1 : (int)(slash - path), path);
	else
		snprintf(out, FILE_PATH, ".");
}

static int write_all(int fd, const char *text, size_t length)
{
	ssize_t n;

	for (size_t at = 0; at < length; at += n) {
		n = write(fd, text + at, length - at);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return -errno;
	}
	return fsync(fd) ? -errno : 0;
}

/* What may be read by whom is to stay so, whoever runs the agent. */
static int take_after(int fd, const char *path)
{
	struct stat st, own;

	if (stat(path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &own))
		return -errno;
	if ((st.st_uid != own.st_uid || st.st_gid != own.st_gid) && fchown(fd, st.st_uid, st.st_gid))
		return -errno;
	return fchmod(fd, st.st_mode & 07777) ? -errno : 0;
}

/* Where the new text waits: no pattern for configurations finds it there. */
static int prepared_path(const char *path, char out[FILE_PATH])
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;

	return snprintf(out, FILE_PATH, "%.*s.%s.new", (int)(name - path), path, name) < FILE_PATH ? 0 : -ENAMETOOLONG;
}

int file_prepare(const char *path, const char *text, size_t length, char tmp[FILE_PATH])
{
	int fd, r = prepared_path(path, tmp);

	if (r)
		return r;
	unlink(tmp);		/* of who was killed before it was in its place */
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = take_after(fd, path);
	if (!r)
		r = write_all(fd, text, length);
	close(fd);
	if (r)
		unlink(tmp);
	return r;
}

void file_discard(const char *path)
{
	char tmp[FILE_PATH];

	if (!prepared_path(path, tmp))
		unlink(tmp);
}

/* The folder's entry on the disk; without it the rename may be lost. */
static int sync_folder(const char *path)
{
	char folder[FILE_PATH];
	int fd, r;

	file_folder(path, folder);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fsync(fd) ? -errno : 0;
	close(fd);
	return r;
}

int file_commit(const char *tmp, const char *path)
{
	if (rename(tmp, path)) {
		int r = -errno;

		unlink(tmp);
		return r;
	}
	sync_folder(path);	/* it is in place; nothing to take back */
	return 0;
}

int file_replace(const char *path, const char *text, size_t length)
{
	char tmp[FILE_PATH];
	int r = file_prepare(path, text, length, tmp);

	return r ? r : file_commit(tmp, path);
}
