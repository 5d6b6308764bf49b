// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * shortconn: many short connections, each one request, one answer and a
 * close, from as many source addresses as wanted.
 *
 *   shortconn [-n CONNECTIONS] [-t SECONDS] [-j PARALLEL] [-r PER_SECOND]
 *             [-s SOURCE [-m ADDRESSES] [-P PORT]] [-H | -u] [-w TIMEOUT_MS]
 *             [-o FILE] ADDRESS PORT
 *
 * It speaks to namesrv over TCP, with -u over UDP, with -H to an HTTP server
 * whose X-Version header is the name.  It ends after -n connections or -t
 * seconds or SIGTERM, and prints one JSON object: counts per name with the
 * times (CLOCK_MONOTONIC, ns) when the first and last connection to it began,
 * failures by errno, and how long those that succeeded took (p50, p99, ns).  -P gives all the same source port.  -o takes a line "SOURCE NAME" per connection.
 */
#include "tool.h"

#include <signal.h>
#include <sys/epoll.h>

#define ERRORS 16
#define ANSWER 4096

struct connection {
	int fd;			/* -1: free */
	uint32_t source;
	bool asked;
	uint64_t began;
	size_t have;
	char answer[ANSWER];
};

static struct {
	long connections, seconds, parallel, rate, addresses, port, timeout_ms;
	bool http, udp;
	struct endpoint source, target;
	bool bound;
	FILE *log;
} want = { .parallel = 32, .addresses = 1, .timeout_ms = 3000 };

static struct {
	uint64_t began, started, done, failed, first_failure, last_failure;
	char name[NAMES][NAME_LEN];
	struct { uint64_t count, first, last; } by_name[NAMES];
	struct { int code; uint64_t count; } error[ERRORS];
	uint64_t *took;		/* ns, of those that succeeded */
	size_t room;
} seen;

static struct connection *slots;
static int epoll;
static volatile sig_atomic_t stop;

static void on_term(int signal)
{
	stop = 1;
}

static void release(struct connection *c)
{
	close(c->fd);
	c->fd = -1;
}

/* Code 0 stands for an end of file before the answer. */
static void fail(int code)
{
	uint64_t now = now_ns();
	int i = 0;

	while (i < ERRORS - 1 && seen.error[i].count && seen.error[i].code != code)
		i++;
	seen.error[i].code = code;
	seen.error[i].count++;
	seen.failed++;
	if (!seen.first_failure)
		seen.first_failure = now;
	seen.last_failure = now;
}

static void log_line(const struct connection *c, const char *name)
{
	struct endpoint e = endpoint_nth(&want.source, c->source, want.port);
	char text[INET6_ADDRSTRLEN];

	getnameinfo((struct sockaddr *)&e.address, e.length, text, sizeof(text), NULL, 0, NI_NUMERICHOST);
	fprintf(want.log, "%s %s\n", text, name);
}

static void took(uint64_t ns)
{
	if (seen.done == seen.room) {
		uint64_t *more = realloc(seen.took, (2 * seen.room + 4096) * sizeof(*more));

		if (!more)
			die("no memory");
		seen.took = more;
		seen.room = 2 * seen.room + 4096;
	}
	seen.took[seen.done] = ns;
}

static void succeed(struct connection *c, const char *name, size_t length)
{
	int i = name_index(seen.name, name, length);

	if (!seen.by_name[i].count++ || c->began < seen.by_name[i].first)
		seen.by_name[i].first = c->began;
	if (c->began > seen.by_name[i].last)
		seen.by_name[i].last = c->began;
	took(now_ns() - c->began);
	seen.done++;
	if (want.log)
		log_line(c, seen.name[i]);
}

static void begin(struct connection *c)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	struct endpoint source;

	c->source = seen.started++ % want.addresses;
	c->began = now_ns();
	c->have = 0;
	c->asked = false;
	source = endpoint_nth(&want.source, c->source, want.port);
	c->fd = socket_connect(want.bound ? &source : NULL, &want.target, want.udp ? SOCK_DGRAM : SOCK_STREAM);
	if (c->fd < 0)
		fail(-c->fd);
	else if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event))
		die("epoll: %s", strerror(errno));
}

static bool ask(struct connection *c)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: perch\r\nConnection: close\r\n\r\n";
	const char *text = want.http ? http : want.udp ? "name?\n" : "hello\n";

	c->asked = true;
	if (send(c->fd, text, strlen(text), MSG_NOSIGNAL) < 0) {
		fail(errno);
		release(c);
		return false;
	}
	return true;
}

/* The name in what was received; NULL when it is not whole yet. */
static const char *name_in(struct connection *c, size_t *ret_length)
{
	static const char header[] = "X-Version: ";
	char *from = c->answer, *to;

	c->answer[c->have] = 0;
	if (want.http) {
		from = strstr(c->answer, header);
		if (!from)
			return NULL;
		from += strlen(header);
	}
	to = strpbrk(from, "\r\n");
	*ret_length = to ? (size_t)(to - from) : 0;
	return to && to > from ? from : NULL;
}

static void finish(struct connection *c)
{
	size_t length;
	const char *name = name_in(c, &length);

	if (name)
		succeed(c, name, length);
	else
		fail(0);
	release(c);
}

static void receive(struct connection *c)
{
	size_t length;

	for (;;) {
		size_t room = sizeof(c->answer) - 1 - c->have;
		ssize_t n = recv(c->fd, c->answer + c->have, room, 0);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			fail(errno);
			release(c);
			return;
		}
		c->have += n;
		if (!n || n == (ssize_t)room) {
			finish(c);
			return;
		}
	}
	/* HTTP is whole when the server closes. */
	if (!want.http && name_in(c, &length))
		finish(c);
}

static void happen(struct connection *c, uint32_t events)
{
	int err;

	if (c->fd < 0)
		return;
	err = !c->asked && (events & (EPOLLERR | EPOLLHUP)) ? socket_error(c->fd) : 0;
	if (err) {
		fail(err);
		release(c);
		return;
	}
	if (!c->asked && (!(events & EPOLLOUT) || !ask(c)))
		return;
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
		receive(c);
}

/* Start what rate and free slots allow; true while anything goes on. */
static bool refill(uint64_t now)
{
	bool more = !stop && (!want.connections || seen.started < (uint64_t)want.connections) &&
		    (!want.seconds || now - seen.began < want.seconds * NS_PER_S), busy = false;

	for (long i = 0; i < want.parallel; i++) {
		struct connection *c = &slots[i];

		if (c->fd >= 0 && now > c->began && now - c->began > want.timeout_ms * NS_PER_MS) {
			fail(ETIMEDOUT);
			release(c);
		}
		if (c->fd < 0 && more && (!want.rate || seen.started * NS_PER_S < (now - seen.began) * want.rate)) {
			begin(c);
			more = !want.connections || seen.started < (uint64_t)want.connections;
		}
		busy |= c->fd >= 0;
	}
	return more || busy;
}

static void run(void)
{
	struct epoll_event events[256];

	seen.began = now_ns();
	while (refill(now_ns())) {
		int n = epoll_wait(epoll, events, 256, 1);

		for (int i = 0; i < n; i++)
			happen(events[i].data.ptr, events[i].events);
	}
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void print_times(void)
{
	if (!seen.done)
		return;
	qsort(seen.took, seen.done, sizeof(*seen.took), by_value);
	printf(",\"p50\":%lu,\"p99\":%lu", seen.took[(seen.done - 1) / 2], seen.took[(seen.done - 1) * 99 / 100]);
}

static void print(void)
{
	double seconds = (now_ns() - seen.began) / 1e9;
	const char *comma = "";

	printf("{\"connections\":%lu,\"ok\":%lu,\"failed\":%lu,\"seconds\":%.3f,\"rate\":%.0f,\"first_failure\":%lu,"
	       "\"last_failure\":%lu,\"errors\":{", seen.started, seen.done, seen.failed, seconds,
	       seen.started / seconds, seen.first_failure, seen.last_failure);
	for (int i = 0; i < ERRORS && seen.error[i].count; i++, comma = ",")
		printf("%s\"%s\":%lu", comma, seen.error[i].code ? strerrorname_np(seen.error[i].code) : "EOF",
		       seen.error[i].count);
	printf("},\"names\":{");
	comma = "";
	for (int i = 0; i < NAMES && seen.name[i][0]; i++, comma = ",")
		printf("%s\"%s\":{\"count\":%lu,\"first\":%lu,\"last\":%lu}", comma, seen.name[i],
		       seen.by_name[i].count, seen.by_name[i].first, seen.by_name[i].last);
	putchar('}');
	print_times();
	printf("}\n");
}

static void options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "n:t:j:r:s:m:P:w:o:Hu")) != -1) {
		switch (option) {
		case 'n': want.connections = number(optarg, 1, 1 << 30); break;
		case 't': want.seconds = number(optarg, 1, 86400); break;
		case 'j': want.parallel = number(optarg, 1, 20000); break;
		case 'r': want.rate = number(optarg, 1, 1 << 24); break;
		case 's': want.source = endpoint_parse(optarg, NULL); want.bound = true; break;
		case 'm': want.addresses = number(optarg, 1, 65536); break;
		case 'P': want.port = number(optarg, 1, 65535); break;
		case 'w': want.timeout_ms = number(optarg, 1, 600000); break;
		case 'H': want.http = true; break;
		case 'u': want.udp = true; break;
		case 'o':
			want.log = fopen(optarg, "w");
			if (!want.log)
				die("%s: %s", optarg, strerror(errno));
			break;
		default: exit(2);
		}
	}
	if (argc - optind != 2 || (want.http && want.udp) || (want.log && !want.bound))
		die("usage: shortconn [-n N] [-t S] [-j N] [-r N] [-s SOURCE [-m N] [-P PORT]] [-H | -u] [-w MS] "
		    "[-o FILE] ADDRESS PORT");
	want.target = endpoint_parse(argv[optind], argv[optind + 1]);
}

int main(int argc, char **argv)
{
	options(argc, argv);
	if (raise_file_limit(want.parallel + 64) < (rlim_t)want.parallel + 64)
		die("not enough descriptors for %ld at a time", want.parallel);
	signal(SIGTERM, on_term);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	slots = calloc(want.parallel, sizeof(*slots));
	if (epoll < 0 || !slots)
		die("no memory");
	for (long i = 0; i < want.parallel; i++)
		slots[i].fd = -1;
	run();
	print();
	if (want.log)
		fclose(want.log);
	free(slots);
	free(seen.took);
	return seen.failed != 0;
}
