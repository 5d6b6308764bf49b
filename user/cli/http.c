// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * HTTP/1.1 over a unix socket.  Everything waits against one deadline, so a
 * server that trickles is no slower than one that is silent.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "../datapath/clock.h"
#include "http.h"

#define HEADERS 100

void http_start(struct http *h, int fd, int timeout_ms)
{
	*h = (struct http){ .fd = fd, .deadline = clock_ms() + timeout_ms };
}

bool http_again(struct http *h, int timeout_ms)
{
	char c;

	/* what comes unasked, an end included, is no answer to the next one */
	if (h->fd < 0 || h->last || !h->ended || h->used != h->have ||
	    recv(h->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN)
		return false;
	http_start(h, h->fd, timeout_ms);
	return true;
}

void http_patient(struct http *h, const volatile sig_atomic_t *stop)
{
	h->deadline = -1;
	h->stop = stop;
}

void http_close(struct http *h)
{
	if (h->fd >= 0)
		close(h->fd);
	h->fd = -1;
}

int http_open(struct http *h, const char *socket_path, int timeout_ms)
{
	struct timeval timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000 };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd, err;

	h->fd = -1;
	if (strlen(socket_path) >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, socket_path, strlen(socket_path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	http_start(h, fd, timeout_ms);
	/* A full backlog makes connect wait; this bounds it. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
		return 0;
	err = errno == EAGAIN ? -ETIMEDOUT : -errno;
	http_close(h);
	return err;
}

/* 0 when the socket is ready for what is asked. */
static int http_wait(const struct http *h, short events)
{
	struct pollfd p = { .fd = h->fd, .events = events };

	for (;;) {
		long long left = h->deadline < 0 ? -1 : h->deadline - clock_ms();

		if (h->stop && *h->stop)
			return -EINTR;
		if (h->deadline >= 0 && left <= 0)
			return -ETIMEDOUT;
		switch (poll(&p, 1, left)) {
		case 1:
			return 0;
		case -1:
			if (errno != EINTR)
				return -errno;
		}
	}
}

int http_idle(const struct http *h, int ms)
{
	struct pollfd p = { .fd = h->fd, .events = POLLIN };
	int n;

	if (h->used < h->have || h->ended)
		return 1;
	do {
		if (h->stop && *h->stop)
			return -EINTR;
		n = poll(&p, 1, ms);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int http_send(const struct http *h, const char *data, size_t length)
{
	while (length) {
		ssize_t n = send(h->fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL);
		int err;

		if (n >= 0) {
			data += n;
			length -= n;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		err = http_wait(h, POLLOUT);
		if (err)
			return err;
	}
	return 0;
}

int http_request(struct http *h, const char *method, const char *path, const char *body, size_t length)
{
	char head[2048];
	int n, err;

	n = snprintf(head, sizeof(head),
		     "%s %s HTTP/1.1\r\nHost: perch\r\n%s"
		     "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		     method, path, h->keep ? "" : "Connection: close\r\n", length);
	if (n >= (int)sizeof(head))
		return -ENAMETOOLONG;
	/* what is short goes at once: the server wakes once */
	if (length <= sizeof(head) - n) {
		memcpy(head + n, body, length);
		n += length;
		length = 0;
	}
	err = http_send(h, head, n);
	/* One who refuses early may have answered: that is what to read then. */
	if (!err && length)
		err = http_send(h, body, length);
	return err == -EPIPE ? 0 : err;
}

/* More bytes into an empty buffer: 1, 0 at the end, or -errno. */
static int http_fill(struct http *h)
{
	for (;;) {
		ssize_t n = recv(h->fd, h->buffer, sizeof(h->buffer), MSG_DONTWAIT);
		int err;

		if (n >= 0) {
			h->used = 0;
			h->have = n;
			return n > 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		err = http_wait(h, POLLIN);
		if (err)
			return err;
	}
}

/* One line of the head or of a chunk's frame, without its end. */
static int http_line(struct http *h, char *line, size_t size)
{
	size_t n = 0;

	for (;;) {
		char c;

		if (h->used == h->have) {
			int filled = http_fill(h);

			if (filled <= 0)
				return filled ?: -ECONNRESET;
		}
		c = h->buffer[h->used++];
		if (c == '\n')
			break;
		if (n + 1 == size)
			return -EPROTO;
		line[n++] = c;
	}
	if (n && line[n - 1] == '\r')
		n--;
	line[n] = 0;
	return 0;
}

static int http_number(const char *text, int base, unsigned long long *ret)
{
	char *end;

	text += strspn(text, " \t");
	if (!strchr("0123456789abcdefABCDEF", *text) || !*text)
		return -EPROTO;
	errno = 0;
	*ret = strtoull(text, &end, base);
	end += strspn(end, " \t");
	/* What follows ';' are extensions of a chunk, which mean nothing. */
	return errno || (*end && (base != 16 || *end != ';')) ? -EPROTO : 0;
}

static int http_header(struct http *h, const char *line)
{
	const char *colon = strchr(line, ':');
	size_t name;

	if (!colon)
		return -EPROTO;
	name = colon - line;
	if (name == strlen("Content-Length") && strncasecmp(line, "Content-Length", name) == 0) {
		h->until_close = false;
		return http_number(colon + 1, 10, &h->left);
	}
	if (name == strlen("Connection") && strncasecmp(line, "Connection", name) == 0)
		h->last = strncasecmp(colon + 1 + strspn(colon + 1, " \t"), "close", 5) == 0;
	if (name == strlen("Transfer-Encoding") && strncasecmp(line, "Transfer-Encoding", name) == 0) {
		const char *coding = colon + 1 + strspn(colon + 1, " \t");

		if (strncasecmp(coding, "chunked", 7) != 0)
			return -EPROTO;
		h->chunked = true;
	}
	return 0;
}

static int http_headers(struct http *h)
{
	char line[4096];
	int err;

	err = http_line(h, line, sizeof(line));
	if (err)
		return err;
	if (sscanf(line, "HTTP/1.%*1[01] %3d", &h->status) != 1 || h->status < 100)
		return -EPROTO;
	h->until_close = true;
	h->chunked = false;
	for (int i = 0; i < HEADERS; i++) {
		err = http_line(h, line, sizeof(line));
		if (err || !*line)
			return err;
		err = http_header(h, line);
		if (err)
			return err;
	}
	return -EPROTO;
}

int http_answer(struct http *h)
{
	int err;

	do
		err = http_headers(h);
	while (!err && h->status < 200);
	if (err)
		return err;
	if (h->chunked || h->status == 204 || h->status == 304) {
		h->until_close = false;
		h->left = 0;
	}
	h->ended = !h->chunked && !h->until_close && !h->left;
	return 0;
}

/* The frame before the next chunk; after the last one, the trailers too. */
static int http_chunk(struct http *h)
{
	char line[4096];
	int err;

	err = h->inside ? http_line(h, line, sizeof(line)) : 0;
	if (!err && h->inside && *line)
		err = -EPROTO;
	if (!err)
		err = http_line(h, line, sizeof(line));
	if (!err)
		err = http_number(line, 16, &h->left);
	h->inside = true;
	if (err || h->left)
		return err;
	h->ended = true;
	do
		err = http_line(h, line, sizeof(line));
	while (!err && *line);
	return err;
}

ssize_t http_read(struct http *h, char *to, size_t size)
{
	size_t n;
	int err;

	if (h->chunked && !h->left && !h->ended) {
		err = http_chunk(h);
		if (err)
			return err;
	}
	if (h->ended)
		return 0;
	if (h->used == h->have) {
		err = http_fill(h);
		if (err < 0)
			return err;
		if (err == 0)
			return h->until_close ? 0 : -ECONNRESET;
	}
	n = h->have - h->used;
	if (n > size)
		n = size;
	if (!h->until_close && n > h->left)
		n = h->left;
	memcpy(to, h->buffer + h->used, n);
	h->used += n;
	if (h->until_close)
		return n;
	h->left -= n;
	h->ended = !h->left && !h->chunked;
	return n;
}
