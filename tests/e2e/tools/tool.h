/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the traffic tools share: addresses, sockets that start at a chosen
 * source address, time, and a tally of the names that servers answer with.
 */
#ifndef PERCH_TOOL_H
#define PERCH_TOOL_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define NAME_LEN 32
#define NAMES 16

struct endpoint {
	struct sockaddr_storage address;
	socklen_t length;
};

static inline void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static inline uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/*
 * Thousands of sockets need more descriptors than a login shell grants.  Asks
 * for `files` and returns how many it may have: without CAP_SYS_RESOURCE the
 * hard limit stands.
 */
static inline rlim_t raise_file_limit(rlim_t files)
{
	struct rlimit limit, more;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= files)
		return limit.rlim_cur;
	more.rlim_cur = files;
	more.rlim_max = limit.rlim_max > files ? limit.rlim_max : files;
	if (!setrlimit(RLIMIT_NOFILE, &more))
		return files;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur;
}

static inline struct endpoint endpoint_parse(const char *host, const char *port)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV }, *found;
	struct endpoint e = { 0 };
	int err = getaddrinfo(host, port, &hints, &found);

	if (err)
		die("%s port %s: %s", host, port ? port : "any", gai_strerror(err));
	memcpy(&e.address, found->ai_addr, found->ai_addrlen);
	e.length = found->ai_addrlen;
	freeaddrinfo(found);
	return e;
}

/* The nth address after `base` (only the last 32 bits count up) with a port,
 * 0: any. */
static inline struct endpoint endpoint_nth(const struct endpoint *base, uint32_t n, uint16_t port)
{
	struct endpoint e = *base;
	uint8_t *last = e.address.ss_family == AF_INET ?
		(uint8_t *)&((struct sockaddr_in *)&e.address)->sin_addr :
		(uint8_t *)&((struct sockaddr_in6 *)&e.address)->sin6_addr + 12;
	uint32_t word;

	memcpy(&word, last, sizeof(word));
	word = htonl(ntohl(word) + n);
	memcpy(last, &word, sizeof(word));
	if (e.address.ss_family == AF_INET)
		((struct sockaddr_in *)&e.address)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)&e.address)->sin6_port = htons(port);
	return e;
}

/*
 * A non-blocking socket on its way from `source` (NULL: any) to `target`.
 * The port is chosen at connect, so that one source can use every port once
 * per target.  Returns the socket or -errno.
 */
static inline int socket_connect(const struct endpoint *source, const struct endpoint *target, int type)
{
	int fd = socket(target->address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, err;

	if (fd < 0)
		return -errno;
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (source && bind(fd, (const struct sockaddr *)&source->address, source->length))
		goto fail;
	if (connect(fd, (const struct sockaddr *)&target->address, target->length) && errno != EINPROGRESS)
		goto fail;
	return fd;
fail:
	err = -errno;
	close(fd);
	return err;
}

static inline int socket_error(int fd)
{
	socklen_t length = sizeof(int);
	int err = 0;

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &length);
	return err;
}

/* Index of a name in a table that grows as names turn up. */
static inline int name_index(char table[NAMES][NAME_LEN], const char *name, size_t length)
{
	if (length >= NAME_LEN)
		length = NAME_LEN - 1;
	for (int i = 0; i < NAMES; i++) {
		if (!table[i][0])
			memcpy(table[i], name, length);
		if (strlen(table[i]) == length && !memcmp(table[i], name, length))
			return i;
	}
	die("more than %d names", NAMES);
}

/* "02:00:00:00:00:01" */
static inline void mac_parse(const char *text, uint8_t mac[6])
{
	unsigned int byte[6];

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &byte[0], &byte[1], &byte[2], &byte[3], &byte[4], &byte[5]) != 6)
		die("'%s' is not a MAC address", text);
	for (int i = 0; i < 6; i++)
		mac[i] = byte[i];
}

static inline long number(const char *text, long least, long most)
{
	char *end;
	long v = strtol(text, &end, 10);

	if (*end || end == text || v < least || v > most)
		die("'%s' is not a number from %ld to %ld", text, least, most);
	return v;
}

#endif
