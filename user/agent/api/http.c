// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * libmicrohttpd without threads: its epoll descriptor is polled by the loop,
 * and it is run when that is readable or its timeout is over.
 */
#define _GNU_SOURCE	/* accept4 flags */
#include "http.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "../agent.h"
#include "api.h"
#include "../log.h"

#define IDLE_S 30
#define CONNECTIONS 128

struct http {
	struct agent *agent;
	struct MHD_Daemon *daemon;
	uv_poll_t poll;
	uv_timer_t timer;
	char *path;		/* of the unix socket; NULL: TCP */
	int open_handles;
	bool kicked;		/* run again, whatever libmicrohttpd says */
};

static void http_run(struct http *h);

static void http_timer(uv_timer_t *timer)
{
	http_run(timer->data);
}

static void http_readable(uv_poll_t *poll, int status, int events)
{
	http_run(poll->data);
}

static void http_run(struct http *h)
{
	MHD_UNSIGNED_LONG_LONG wait;

	h->kicked = false;
	MHD_run(h->daemon);
	/* a handler may have had something for another connection */
	if (h->kicked)
		uv_timer_start(&h->timer, http_timer, 0, 0);
	else if (MHD_get_timeout(h->daemon, &wait) == MHD_YES)
		uv_timer_start(&h->timer, http_timer, wait, 0);
	else
		uv_timer_stop(&h->timer);
}

void http_kick(struct http *h)
{
	h->kicked = true;
	uv_timer_start(&h->timer, http_timer, 0, 0);
}

/* One call per part of a request: first the head, then the body's parts, at
 * last with no part. */
static enum MHD_Result http_handle(void *arg, struct MHD_Connection *c, const char *url, const char *method,
				   const char *version, const char *data, size_t *size, void **state)
{
	struct http *h = arg;
	struct request *q = *state;

	if (!q) {
		q = request_new(h->agent, h, c, h->path != NULL, method, url);
		*state = q;
		return q ? MHD_YES : MHD_NO;
	}
	if (*size) {
		request_body(q, data, *size);
		*size = 0;
		return MHD_YES;
	}
	return request_answer(q);
}

static void http_completed(void *arg, struct MHD_Connection *c, void **state, enum MHD_RequestTerminationCode code)
{
	request_free(*state);
	*state = NULL;
}

static int http_start(struct agent *a, int fd, const char *path, struct http **ret)
{
	const union MHD_DaemonInfo *info;
	struct http *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->agent = a;
	h->path = path ? strdup(path) : NULL;
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC, 0, NULL, NULL, http_handle,
				     h, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_COMPLETED, http_completed, h,
				     MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S, MHD_OPTION_CONNECTION_LIMIT,
				     (unsigned)CONNECTIONS, MHD_OPTION_END);
	info = h->daemon ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info || uv_poll_init(&a->loop, &h->poll, info->epoll_fd)) {
		if (h->daemon)
			MHD_stop_daemon(h->daemon);
		free(h->path);
		free(h);
		return -EIO;
	}
	uv_timer_init(&a->loop, &h->timer);
	h->poll.data = h->timer.data = h;
	h->open_handles = 2;
	uv_poll_start(&h->poll, UV_READABLE, http_readable);
	*ret = h;
	return 0;
}

static void http_closed(uv_handle_t *handle)
{
	struct http *h = handle->data;

	if (--h->open_handles)
		return;
	free(h->path);
	free(h);
}

void http_stop(struct http *h)
{
	if (!h)
		return;
	MHD_run(h->daemon);	/* let what was resumed see its end */
	MHD_stop_daemon(h->daemon);
	if (h->path)
		unlink(h->path);
	uv_close((uv_handle_t *)&h->poll, http_closed);
	uv_close((uv_handle_t *)&h->timer, http_closed);
}

/* The directory of the socket, if it is missing. */
static void make_parent(const char *path)
{
	char dir[sizeof(((struct sockaddr_un *)0)->sun_path)];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return;
	*slash = 0;
	mkdir(dir, 0755);
}

/* A socket that nobody listens on any more is taken away. */
static int remove_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r = 0;

	if (fd < 0)
		return -errno;
	if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)))
		r = -EADDRINUSE;
	else if (errno == ECONNREFUSED)
		unlink(address->sun_path);
	close(fd);
	return r;
}

static void give_to_group(const char *path)
{
	const struct group *group = getgrnam("perch");

	if (group && chown(path, -1, group->gr_gid))
		log_warning("%s: group perch: %s", path, strerror(errno));
}

int http_start_unix(struct agent *a, const char *path, struct http **ret)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	make_parent(path);
	r = remove_stale(&address);
	if (r)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	mask = umask(0117);	/* never wider than 0660, not even for a moment */
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) || listen(fd, CONNECTIONS) ? -errno : 0;
	umask(mask);
	if (!r) {
		give_to_group(path);
		r = http_start(a, fd, path, ret);
	}
	if (r)
		close(fd);
	return r;
}

int http_start_tcp(struct agent *a, const char *host, int port, struct http **ret)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, *found;
	char service[16];
	int fd, one = 1, r;

	snprintf(service, sizeof(service), "%d", port);
	if (getaddrinfo(host, service, &hints, &found))
		return -EINVAL;
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = fd < 0 ? -errno : 0;
	if (!r && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
		   bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, CONNECTIONS)))
		r = -errno;
	freeaddrinfo(found);
	if (!r)
		r = http_start(a, fd, NULL, ret);
	if (r && fd >= 0)
		close(fd);
	return r;
}
