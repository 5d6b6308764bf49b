// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * longconn: connections that live long, each asking for the server's name
 * once a second and seeing that it never changes and never breaks.
 *
 *   longconn [-n CONNECTIONS] [-i IDLE] [-p PROCESSES] [-r PER_SECOND]
 *            [-s SOURCE [-m ADDRESSES] [-P PORT]] [-e EVERY_MS] [-t SECONDS] [-u]
 *            ADDRESS PORT
 *
 * The first IDLE connections ask once and are then silent.  At the start and
 * on SIGUSR1 it prints its state as one JSON object on a line; SIGUSR2 makes
 * every connection ask at once (`waiting` is how many have not answered since);
 * With -u they are flows of datagrams, as QUIC's: a question without an answer
 * for three seconds is `lost`.  `refused` is how many saw a reset where an answer was due.
 * SIGTERM or -t ends it with a last state.  Times are CLOCK_MONOTONIC in ns.
 */
#include "tool.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define PROCESSES 16
#define LOST_S 3	/* a datagram that has not come back then is lost */
#define TURN_MS 10	/* how often who is to ask next is looked for */

struct connection {
	int fd;			/* -1: broken */
	int name;		/* -1: not known yet */
	uint64_t due;		/* when it asks next; 0: idle */
	bool connected, waiting;
	uint64_t asked;		/* ns: when it did last */
	char half[NAME_LEN];	/* a line of which the end has not come */
	size_t have;
};

/* What one process saw; the parent reads it while it changes. */
struct seen {
	char name[NAMES][NAME_LEN];
	struct {
		uint64_t open, ended, reset, answers, last_answer, first_break, last_break;
		uint64_t refused;	/* resets in place of an answer */
		uint64_t answer_wait, refused_wait;	/* ns, sums, from the question on */
	} by_name[NAMES];
	uint64_t connecting, connected, waiting, changed, unconnected, lost;
	bool ready;		/* all have answered once, or failed */
};

static struct {
	long connections, idle, processes, rate, addresses, port, every_ms, seconds;
	struct endpoint source, target;
	bool bound, datagrams;
} want = { .connections = 100, .processes = 1, .rate = 2000, .addresses = 1, .every_ms = 1000 };

static struct seen *seen;	/* one per process, shared */
static volatile sig_atomic_t wake;

static void on_usr2(int signal)
{
	wake = 1;
}

static void break_off(struct seen *s, struct connection *c, bool reset)
{
	uint64_t now = now_ns();

	close(c->fd);
	c->fd = -1;
	if (c->waiting)
		s->waiting--;
	if (c->name < 0) {
		s->unconnected++;
		s->connecting--;
		return;
	}
	s->by_name[c->name].open--;
	if (reset && c->waiting) {
		s->by_name[c->name].refused++;
		s->by_name[c->name].refused_wait += now - c->asked;
	}
	if (reset)
		s->by_name[c->name].reset++;
	else
		s->by_name[c->name].ended++;
	if (!s->by_name[c->name].first_break)
		s->by_name[c->name].first_break = now;
	s->by_name[c->name].last_break = now;
}

static void ask(struct seen *s, struct connection *c)
{
	const char *question = want.datagrams ? "name?" : "hello\n";

	if (c->waiting && (!want.datagrams || now_ns() - c->asked < LOST_S * NS_PER_S))
		return;
	if (c->waiting) {
		s->lost++;
		s->waiting--;
		c->waiting = false;
	}
	c->asked = now_ns();
	if (send(c->fd, question, strlen(question), MSG_NOSIGNAL) < 0) {
		if (errno != EAGAIN)
			break_off(s, c, true);
		return;
	}
	c->waiting = true;
	s->waiting++;
}

static void answered(struct seen *s, struct connection *c, const char *line, size_t length)
{
	int name = name_index(s->name, line, length);
	uint64_t now = now_ns();

	if (c->name < 0) {
		s->connecting--;
		s->connected++;
		s->by_name[name].open++;
		c->name = name;
	} else if (c->name != name) {
		s->changed++;
	}
	if (c->waiting) {
		c->waiting = false;
		s->waiting--;
		s->by_name[name].answer_wait += now - c->asked;
	}
	s->by_name[name].answers++;
	s->by_name[name].last_answer = now;
}

/* False when there is no more to receive. */
static bool receive(struct seen *s, struct connection *c)
{
	char *end;
	ssize_t n = recv(c->fd, c->half + c->have, sizeof(c->half) - c->have, 0);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		break_off(s, c, n < 0);
		return false;
	}
	c->have += n;
	while ((end = memchr(c->half, '\n', c->have))) {
		size_t line = end - c->half;

		answered(s, c, c->half, line);
		c->have -= line + 1;
		memmove(c->half, end + 1, c->have);
	}
	if (c->have == sizeof(c->half))
		die("an answer longer than a name");
	return true;
}

static void happen(struct seen *s, struct connection *c, uint32_t events)
{
	if (c->fd < 0)
		return;
	if (!c->connected) {
		if (socket_error(c->fd) || (events & EPOLLHUP)) {
			break_off(s, c, true);
			return;
		}
		c->connected = true;
		ask(s, c);
	}
	if (c->fd < 0 || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return;
	while (receive(s, c))
		;
}

static void begin(struct seen *s, struct connection *c, int epoll, long index)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	struct endpoint source = endpoint_nth(&want.source, index % want.addresses, want.port);

	c->fd = socket_connect(want.bound ? &source : NULL, &want.target,
			       want.datagrams ? SOCK_DGRAM : SOCK_STREAM);
	c->name = -1;
	if (c->fd < 0) {
		s->unconnected++;
		return;
	}
	s->connecting++;
	/* spread over the interval, so that they don't ask in step */
	if (index >= want.idle)
		c->due = now_ns() + want.every_ms * NS_PER_MS * (1000 + index % 1000) / 1000;
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event))
		die("epoll: %s", strerror(errno));
}

/* Who is due asks; after SIGUSR2 everybody does. */
static void turn(struct seen *s, struct connection *all, long n, uint64_t now)
{
	bool everybody = wake;

	wake = 0;
	for (long i = 0; i < n; i++) {
		struct connection *c = &all[i];
		bool due = c->due && now >= c->due;

		if (c->fd < 0 || !c->connected || (!due && !everybody))
			continue;
		ask(s, c);
		while (c->due && c->due <= now)
			c->due += want.every_ms * NS_PER_MS;
	}
}

static void __attribute__((noreturn)) work(struct seen *s, long first, long n)
{
	struct connection *all = calloc(n, sizeof(*all));
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	uint64_t start = now_ns(), next = start;
	struct epoll_event events[256];
	long begun = 0;

	if (!all || epoll < 0)
		die("no memory");
	for (;;) {
		uint64_t now = now_ns();
		int ready;

		for (; begun < n && begun * NS_PER_S * want.processes <= (now - start) * want.rate; begun++)
			begin(s, &all[begun], epoll, first + begun);
		s->ready = begun == n && !s->connecting;
		if (now >= next || wake) {
			turn(s, all, begun, now);
			next = now + TURN_MS * NS_PER_MS;
		}
		ready = epoll_wait(epoll, events, 256, begun < n ? 1 : TURN_MS);
		for (int i = 0; i < ready; i++)
			happen(s, events[i].data.ptr, events[i].events);
	}
}

static void add(struct seen *sum, const struct seen *s)
{
	sum->connecting += s->connecting;
	sum->connected += s->connected;
	sum->waiting += s->waiting;
	sum->changed += s->changed;
	sum->unconnected += s->unconnected;
	sum->lost += s->lost;
	sum->ready &= s->ready;
	for (int i = 0; i < NAMES && s->name[i][0]; i++) {
		int to = name_index(sum->name, s->name[i], strlen(s->name[i]));
		uint64_t first = s->by_name[i].first_break;

		sum->by_name[to].open += s->by_name[i].open;
		sum->by_name[to].ended += s->by_name[i].ended;
		sum->by_name[to].reset += s->by_name[i].reset;
		sum->by_name[to].answers += s->by_name[i].answers;
		sum->by_name[to].refused += s->by_name[i].refused;
		sum->by_name[to].answer_wait += s->by_name[i].answer_wait;
		sum->by_name[to].refused_wait += s->by_name[i].refused_wait;
		if (s->by_name[i].last_answer > sum->by_name[to].last_answer)
			sum->by_name[to].last_answer = s->by_name[i].last_answer;
		if (first && (!sum->by_name[to].first_break || first < sum->by_name[to].first_break))
			sum->by_name[to].first_break = first;
		if (s->by_name[i].last_break > sum->by_name[to].last_break)
			sum->by_name[to].last_break = s->by_name[i].last_break;
	}
}

static void print_name(const struct seen *sum, int i)
{
	printf("%s\"%s\":{\"open\":%lu,\"ended\":%lu,\"reset\":%lu,\"answers\":%lu,\"last_answer\":%lu,", i ? "," : "",
	       sum->name[i], sum->by_name[i].open, sum->by_name[i].ended, sum->by_name[i].reset, sum->by_name[i].answers,
	       sum->by_name[i].last_answer);
	printf("\"first_break\":%lu,\"last_break\":%lu,\"refused\":%lu,\"answer_wait\":%lu,\"refused_wait\":%lu}",
	       sum->by_name[i].first_break, sum->by_name[i].last_break, sum->by_name[i].refused,
	       sum->by_name[i].answer_wait, sum->by_name[i].refused_wait);
}

static void print(void)
{
	struct seen sum = { .ready = true };
	uint64_t open = 0, broken = 0;

	for (long i = 0; i < want.processes; i++)
		add(&sum, &seen[i]);
	for (int i = 0; i < NAMES; i++) {
		open += sum.by_name[i].open;
		broken += sum.by_name[i].ended + sum.by_name[i].reset;
	}
	printf("{\"time\":%lu,\"ready\":%s,\"connected\":%lu,\"connecting\":%lu,\"unconnected\":%lu,\"open\":%lu,",
	       now_ns(), sum.ready ? "true" : "false", sum.connected, sum.connecting, sum.unconnected, open);
	printf("\"broken\":%lu,\"changed\":%lu,\"waiting\":%lu,\"lost\":%lu,\"names\":{", broken, sum.changed,
	       sum.waiting, sum.lost);
	for (int i = 0; i < NAMES && sum.name[i][0]; i++)
		print_name(&sum, i);
	printf("}}\n");
	fflush(stdout);
}

/* The parent only listens to signals; the children see it die. */
static void watch(const pid_t *children, int signals)
{
	uint64_t end = want.seconds ? now_ns() + want.seconds * NS_PER_S : UINT64_MAX;
	struct pollfd poll_signals = { .fd = signals, .events = POLLIN };
	struct signalfd_siginfo info;

	while (now_ns() < end) {
		if (poll(&poll_signals, 1, 200) <= 0 || read(signals, &info, sizeof(info)) != sizeof(info))
			continue;
		if (info.ssi_signo == SIGUSR1) {
			print();
		} else if (info.ssi_signo == SIGUSR2) {
			for (long i = 0; i < want.processes; i++)
				kill(children[i], SIGUSR2);
		} else if (info.ssi_signo == SIGCHLD) {
			die("a child ended early");
		} else {
			break;
		}
	}
}

static void options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "n:i:p:r:s:m:P:e:t:u")) != -1) {
		switch (option) {
		case 'n': want.connections = number(optarg, 1, 1 << 20); break;
		case 'i': want.idle = number(optarg, 0, 1 << 20); break;
		case 'p': want.processes = number(optarg, 1, PROCESSES); break;
		case 'r': want.rate = number(optarg, 1, 1 << 20); break;
		case 's': want.source = endpoint_parse(optarg, NULL); want.bound = true; break;
		case 'm': want.addresses = number(optarg, 1, 65536); break;
		case 'P': want.port = number(optarg, 1, 65535); break;
		case 'e': want.every_ms = number(optarg, 1, 600000); break;
		case 't': want.seconds = number(optarg, 1, 86400); break;
		case 'u': want.datagrams = true; break;
		default: exit(2);
		}
	}
	if (argc - optind != 2)
		die("usage: longconn [-n N] [-i IDLE] [-p N] [-r N] [-s SOURCE [-m N] [-P PORT]] [-e MS] [-t S] [-u] ADDRESS PORT");
	want.target = endpoint_parse(argv[optind], argv[optind + 1]);
}

static pid_t spawn(long i, const sigset_t *mask)
{
	long first = want.connections * i / want.processes, last = want.connections * (i + 1) / want.processes;
	pid_t child = fork();

	if (child < 0)
		die("fork: %s", strerror(errno));
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR2, on_usr2);
	sigprocmask(SIG_UNBLOCK, mask, NULL);
	work(&seen[i], first, last - first);
}

int main(int argc, char **argv)
{
	pid_t children[PROCESSES];
	sigset_t mask;
	int signals;

	options(argc, argv);
	if (raise_file_limit(want.connections / want.processes + 64) < (rlim_t)want.connections / want.processes + 64)
		die("not enough descriptors; use more processes (-p)");
	seen = mmap(NULL, want.processes * sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (seen == MAP_FAILED)
		die("no memory");
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	signals = signalfd(-1, &mask, SFD_CLOEXEC);
	for (long i = 0; i < want.processes; i++)
		children[i] = spawn(i, &mask);
	/* says that signals are listened to from now on */
	print();
	watch(children, signals);
	print();
	for (long i = 0; i < want.processes; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	return 0;
}
