// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * bench_peers rollback PINS ROUNDS WAY: how long it takes to take the canary
 * out, by perch and by others, and until the last new connection that reaches
 * it.  WAY is one of
 *
 *   perch PINPATH SERVICE COMMAND	by the word, by all of a rollback, by COMMAND
 *   nft IN OUT FILE			a map's elements, by the library and by nft -f FILE
 *   haproxy SOCKET			the runtime API
 *   ring				65,537 elements, one by one, in one call, mapped
 *
 * bench_peers.sh makes balancer, backends and load; the canary begins with
 * half of the connections.  The sinks date each SYN by the clock read here.
 */
#include "../e2e/tools/tool.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <bpf/bpf.h>

#include "../../user/core/split.h"
#include "../../user/datapath/registry.h"
#include "peers_pins.h"

#define ROUNDS 1000
#define RING 65537		/* a prime, as consistent hashing wants it */
#define CANARY_SYNS 3		/* the canary is in, seen by so many */
#define STABLE_SYNS 40		/* it is out: so many came, and none to it */
#define PATIENCE (5 * NS_PER_S)

struct way {
	const char *name;
	void (*in)(void);	/* half of the connections go to the canary */
	void (*out)(void);	/* none does: what is timed */
	bool steers;		/* connections go by it */
};

static char **arguments;
static int seen;

/* perch */
static struct maps maps;
static int service;
static uint64_t canary_word;

static void perch_in(void)
{
	registry_unreject(&maps, arguments[1], "v2");
	__atomic_store_n(&maps.splits[service].word, canary_word, __ATOMIC_RELEASE);
}

static void perch_word_out(void)
{
	split_rollback(&maps.splits[service], PERCH_BY_DIRECT);
}

static void perch_whole_out(void)
{
	int err = registry_rollback(&maps, service, -1, PERCH_BY_DIRECT, "bench", NULL, NULL);

	if (err)
		die("rollback: %s", strerror(-err));
}

static void run(const char *const *words)
{
	posix_spawn_file_actions_t quiet;
	int status, err;
	pid_t pid;

	posix_spawn_file_actions_init(&quiet);
	posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	err = posix_spawnp(&pid, words[0], &quiet, NULL, (char *const *)words, environ);
	posix_spawn_file_actions_destroy(&quiet);
	if (err || waitpid(pid, &status, 0) < 0 || status)
		die("%s failed", words[0]);
}

static void perch_command_out(void)
{
	run((const char *const[]){ arguments[2], "rollback", arguments[1], "--direct", NULL });
}

/* nftables; the library by its name, so that building needs no more of it */
static void *nft_library;
static struct nft_ctx *nft;
static int (*nft_run)(struct nft_ctx *, const char *);
static char nft_canary[256], nft_stable[256];

static void nft_open(void)
{
	struct nft_ctx *(*new)(uint32_t);
	FILE *file = fopen(arguments[2], "w");

	nft_library = dlopen("libnftables.so.1", RTLD_NOW);
	new = nft_library ? (struct nft_ctx *(*)(uint32_t))dlsym(nft_library, "nft_ctx_new") : NULL;
	nft_run = nft_library ? (int (*)(struct nft_ctx *, const char *))dlsym(nft_library, "nft_run_cmd_from_buffer") : NULL;
	nft = new && nft_run ? new(0) : NULL;
	if (!nft)
		die("libnftables: %s", dlerror());
	/* one transaction each */
	snprintf(nft_canary, sizeof(nft_canary), "flush map ip bench split\nadd element ip bench split { %s }\n",
		 arguments[0]);
	snprintf(nft_stable, sizeof(nft_stable), "flush map ip bench split\nadd element ip bench split { %s }\n",
		 arguments[1]);
	if (!file || fputs(nft_stable, file) < 0 || fclose(file))
		die("%s: %s", arguments[2], strerror(errno));
}

static void nft_in(void)
{
	if (nft_run(nft, nft_canary))
		die("nft: refused");
}

static void nft_library_out(void)
{
	if (nft_run(nft, nft_stable))
		die("nft: refused");
}

static void nft_command_out(void)
{
	run((const char *const[]){ "nft", "-f", arguments[2], NULL });
}

/* HAProxy */
static void haproxy_say(const char *command)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char answer[256] = "";
	ssize_t n;
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", arguments[0]);
	if (s < 0 || connect(s, (struct sockaddr *)&address, sizeof(address)) ||
	    write(s, command, strlen(command)) != (ssize_t)strlen(command))
		die("HAProxy: %s", strerror(errno));
	n = read(s, answer, sizeof(answer) - 1);
	if (n < 0 || (n > 1 && answer[0] != '\n'))
		die("HAProxy: %s", n < 0 ? strerror(errno) : answer);
	close(s);
}

static void haproxy_in(void)
{
	haproxy_say("set server web/canary weight 50\n");
}

static void haproxy_out(void)
{
	haproxy_say("set server web/canary weight 0\n");
}

/* A ring of slots, each with the number of its backend. */
static int ring;
static uint32_t *ring_slots, ring_keys[RING], ring_values[RING];

static void ring_open(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);

	ring = bpf_map_create(BPF_MAP_TYPE_ARRAY, "ring", sizeof(uint32_t), sizeof(uint32_t), RING, &options);
	ring_slots = ring < 0 ? MAP_FAILED : mmap(NULL, sizeof(ring_values), PROT_READ | PROT_WRITE, MAP_SHARED, ring, 0);
	if (ring_slots == MAP_FAILED)
		die("ring: %s", strerror(errno));
	for (uint32_t i = 0; i < RING; i++)
		ring_keys[i] = i;
}

static void ring_in(void)
{
	for (uint32_t i = 0; i < RING; i++)
		__atomic_store_n(&ring_slots[i], i & 1, __ATOMIC_RELAXED);
}

static void ring_elements_out(void)
{
	for (uint32_t i = 0; i < RING; i++)
		if (bpf_map_update_elem(ring, &i, &ring_values[i], BPF_ANY))
			die("ring: %s", strerror(errno));
}

static void ring_batch_out(void)
{
	uint32_t n = RING;

	if (bpf_map_update_batch(ring, ring_keys, ring_values, &n, NULL) || n != RING)
		die("ring: %s", strerror(errno));
}

static void ring_mapped_out(void)
{
	for (uint32_t i = 0; i < RING; i++)
		__atomic_store_n(&ring_slots[i], ring_values[i], __ATOMIC_RELAXED);
}

/* Until so many more SYNs came to a place. */
static void wait_for_syns(enum peers_place place, unsigned more, const struct way *way)
{
	uint64_t from = peers_seen_read(seen, place).first, until = now_ns() + PATIENCE;
	const struct timespec pause = { 0, 200000 };

	while (peers_seen_read(seen, place).first < from + more) {
		if (now_ns() > until)
			die("%s: %s", way->name, place == PEERS_CANARY ? "nothing new reaches the canary" :
									 "nothing new reaches stable");
		nanosleep(&pause, NULL);
	}
}

static void round_run(const struct way *way, double *ret_write, double *ret_last)
{
	uint64_t began, done;
	struct peers_seen canary;

	way->in();
	if (way->steers)
		wait_for_syns(PEERS_CANARY, CANARY_SYNS, way);
	now_ns();	/* the clock's own pages are not to be timed */
	began = now_ns();
	way->out();
	done = now_ns();
	*ret_write = (double)(done - began);
	*ret_last = *ret_write;
	if (!way->steers)
		return;
	wait_for_syns(PEERS_STABLE, STABLE_SYNS, way);
	canary = peers_seen_read(seen, PEERS_CANARY);
	*ret_last = canary.last_first > began ? (double)(canary.last_first - began) : 0;
	wait_for_syns(PEERS_STABLE, STABLE_SYNS, way);
	if (peers_seen_read(seen, PEERS_CANARY).first != canary.first)
		die("%s: the canary gets new connections after its rollback", way->name);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void way_measure(const struct way *way, int rounds)
{
	static double write[ROUNDS], last[ROUNDS];

	for (int i = 0; i < rounds; i++)
		round_run(way, &write[i], &last[i]);
	qsort(write, rounds, sizeof(*write), by_value);
	qsort(last, rounds, sizeof(*last), by_value);
	printf("{\"contender\":\"%s\",\"rounds\":%d,\"write\":[%.0f,%.0f]", way->name, rounds, write[(rounds - 1) / 2],
	       write[(rounds - 1) * 99 / 100]);
	if (way->steers)
		printf(",\"last\":[%.0f,%.0f]", last[(rounds - 1) / 2], last[(rounds - 1) * 99 / 100]);
	puts("}");
}

static const struct way perch_ways[] = {
	{ "perch: the word", perch_in, perch_word_out, true },
	{ "perch: all of a rollback", perch_in, perch_whole_out, true },
	{ "perch rollback --direct (process)", perch_in, perch_command_out, true },
	{ 0 }
}, nft_ways[] = {
	{ "nftables map, libnftables", nft_in, nft_library_out, true },
	{ "nftables map, nft -f (process)", nft_in, nft_command_out, true },
	{ 0 }
}, haproxy_ways[] = {
	{ "HAProxy runtime API", haproxy_in, haproxy_out, true },
	{ 0 }
}, ring_ways[] = {
	{ "ring of 65,537, call by call", ring_in, ring_elements_out, false },
	{ "ring of 65,537, one batch", ring_in, ring_batch_out, false },
	{ "ring of 65,537, mapped", ring_in, ring_mapped_out, false },
	{ 0 }
};

static void perch_open(void)
{
	char why[WHY] = "";

	if (maps_open(&maps, arguments[0], why))
		die("%s", why);
	service = registry_find(&maps, arguments[1]);
	if (service < 0)
		die("no service '%s'", arguments[1]);
	canary_word = split_word(&maps.splits[service]);
	setenv("PERCH_BPFFS", arguments[0], 1);
}

int peers_rollback(int argc, char **argv)
{
	static const struct {
		const char *name;
		int arguments;
		void (*open)(void);
		const struct way *ways;
	} groups[] = {
		{ "perch", 3, perch_open, perch_ways },
		{ "nft", 3, nft_open, nft_ways },
		{ "haproxy", 1, NULL, haproxy_ways },
		{ "ring", 0, ring_open, ring_ways },
	};
	cpu_set_t cpus;

	/* the load is on the last one */
	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	seen = peers_pinned(argv[0], "seen");
	arguments = argv + 3;
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		if (strcmp(argv[2], groups[i].name) || argc != 3 + groups[i].arguments)
			continue;
		if (groups[i].open)
			groups[i].open();
		for (const struct way *way = groups[i].ways; way->name; way++)
			way_measure(way, (int)number(argv[1], 1, ROUNDS));
		return 0;
	}
	die("bench_peers rollback PINS ROUNDS perch|nft|haproxy|ring ...");
}
