// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * namesrv: a server that says who it is.  On every given port, TCP and UDP,
 * IPv4 and IPv6: a line is answered with the server's name; a datagram comes
 * back byte for byte, but "name?" is answered with the name.  Options make it
 * the bad version of a release:
 *
 *   namesrv [-d MS] [-x] [-b] [-r N] [-p PROCESSES] [-u] NAME PORT...
 *     -d MS  answer late        -x    half an answer, then a reset
 *     -b     never answer       -r N  close the TCP ports after N connections
 *     -u     UDP alone          -p P  share the ports between P processes
 *
 * SIGUSR1 switches -x on and off while it runs; after SIGUSR2 it is warm, and
 * answers three times as fast.
 */
#include "tool.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>

#define PORTS 32
#define FILES 131072
#define LATE 65536

enum kind { LISTENER = 1, DATAGRAM, STREAM };

static struct {
	const char *name;
	char answer[NAME_LEN + 2];
	size_t answer_length;
	long delay_ms, refuse_after, processes;
	bool blackhole, datagrams_only;
	int epoll;
	int listener[2 * PORTS], listeners;
	long accepted;
} server = { .processes = 1 };

static volatile sig_atomic_t resets, warm;
static uint8_t kinds[FILES];
static uint32_t generations[FILES];	/* of a descriptor, so that a reused one shows */

/* Answers that are due later.  All wait equally long, so a ring keeps order. */
static struct {
	uint64_t at;
	uint32_t generation;
	int fd;
} late[LATE];
static uint32_t late_head, late_tail;

static void on_usr1(int signal)
{
	resets = !resets;
}

static void on_usr2(int signal)
{
	warm = 1;
}

static void watch(int fd, enum kind kind)
{
	struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };

	if (fd >= FILES)
		die("more than %d sockets", FILES);
	kinds[fd] = kind;
	generations[fd]++;
	if (epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event))
		die("epoll: %s", strerror(errno));
}

static void serve_port(int family, int type, const char *port)
{
	struct endpoint e = endpoint_parse(family == AF_INET ? "0.0.0.0" : "::", port);
	int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, room = 4 << 20;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (type == SOCK_DGRAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (type == SOCK_DGRAM)
		setsockopt(fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
			   family == AF_INET ? IP_PKTINFO : IPV6_RECVPKTINFO, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&e.address, e.length) || (type == SOCK_STREAM && listen(fd, 4096)))
		die("port %s: %s", port, strerror(errno));
	watch(fd, type == SOCK_STREAM ? LISTENER : DATAGRAM);
	if (type == SOCK_STREAM)
		server.listener[server.listeners++] = fd;
}

/* A closed listening socket makes the kernel refuse who comes next. */
static void refuse(void)
{
	for (int i = 0; i < server.listeners; i++)
		close(server.listener[i]);
	server.listeners = 0;
}

static void take(int listener)
{
	int fd, one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		watch(fd, STREAM);
		if (server.refuse_after && ++server.accepted >= server.refuse_after) {
			refuse();
			return;
		}
	}
}

static void reset(int fd)
{
	struct linger now = { .l_onoff = 1 };

	if (write(fd, server.answer, server.answer_length / 2) < 0)
		perror("write");
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

static void answer(int fd)
{
	if (resets)
		reset(fd);
	else if (write(fd, server.answer, server.answer_length) < 0)
		close(fd);
}

static void answer_later(int fd)
{
	if (late_head - late_tail == LATE)
		die("more than %d answers are due", LATE);
	late[late_head % LATE].at = now_ns() + server.delay_ms / (warm ? 3 : 1) * NS_PER_MS;
	late[late_head % LATE].generation = generations[fd];
	late[late_head++ % LATE].fd = fd;
}

/* Answer what is due; milliseconds until the next is, -1 for none. */
static int answer_due(void)
{
	uint64_t now = now_ns();

	for (; late_tail != late_head; late_tail++) {
		uint32_t i = late_tail % LATE;

		if (late[i].at > now)
			return (late[i].at - now) / NS_PER_MS + 1;
		if (late[i].generation == generations[late[i].fd])
			answer(late[i].fd);
	}
	return -1;
}

static void receive(int fd)
{
	char buffer[4096];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		generations[fd]++;
		close(fd);
		return;
	}
	for (ssize_t i = 0; i < n && !server.blackhole; i++) {
		if (buffer[i] != '\n')
			continue;
		if (server.delay_ms) {
			answer_later(fd);
			continue;
		}
		answer(fd);
		if (resets)
			return;
	}
}

/* From the address that was asked, which need not be the first of this host;
 * by whichever way leads back. */
static void keep_address(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			((struct in_pktinfo *)CMSG_DATA(c))->ipi_ifindex = 0;
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
	}
}

static void echo(int fd)
{
	static char buffer[65536], control[256];
	struct sockaddr_storage from;
	struct iovec part = { buffer, sizeof(buffer) };
	struct msghdr m = { .msg_name = &from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control };
	ssize_t n;

	for (;;) {
		bool asks;

		m.msg_namelen = sizeof(from);
		m.msg_controllen = sizeof(control);
		part = (struct iovec){ buffer, sizeof(buffer) };
		n = recvmsg(fd, &m, 0);
		if (n < 0)
			return;
		asks = n >= 5 && !memcmp(buffer, "name?", 5);
		part = asks ? (struct iovec){ server.answer, server.answer_length } : (struct iovec){ buffer, n };
		keep_address(&m);
		if (!server.blackhole)
			sendmsg(fd, &m, 0);
	}
}

static void serve(char *const *ports, int n)
{
	struct epoll_event events[256];

	server.epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < n; i++) {
		if (!server.datagrams_only) {
			serve_port(AF_INET, SOCK_STREAM, ports[i]);
			serve_port(AF_INET6, SOCK_STREAM, ports[i]);
		}
		serve_port(AF_INET, SOCK_DGRAM, ports[i]);
		serve_port(AF_INET6, SOCK_DGRAM, ports[i]);
	}
	for (;;) {
		int ready = epoll_wait(server.epoll, events, 256, answer_due());

		for (int i = 0; i < ready; i++) {
			int fd = events[i].data.fd;

			if (kinds[fd] == LISTENER)
				take(fd);
			else if (kinds[fd] == DATAGRAM)
				echo(fd);
			else
				receive(fd);
		}
	}
}

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "d:r:p:xbu")) != -1) {
		switch (option) {
		case 'd': server.delay_ms = number(optarg, 0, 60000); break;
		case 'r': server.refuse_after = number(optarg, 1, 1 << 30); break;
		case 'p': server.processes = number(optarg, 1, 64); break;
		case 'x': resets = 1; break;
		case 'b': server.blackhole = true; break;
		case 'u': server.datagrams_only = true; break;
		default: return 2;
		}
	}
	if (argc - optind < 2 || argc - optind > PORTS + 1)
		die("usage: namesrv [-d MS] [-x] [-b] [-r N] [-p PROCESSES] [-u] NAME PORT...");
	server.name = argv[optind++];
	server.answer_length = snprintf(server.answer, sizeof(server.answer), "%.*s\n", NAME_LEN - 1, server.name);
	raise_file_limit(FILES);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGUSR1, on_usr1);
	signal(SIGUSR2, on_usr2);
	for (long i = 1; i < server.processes; i++) {
		if (fork())
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		break;
	}
	serve(argv + optind, argc - optind);
}
