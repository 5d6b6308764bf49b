/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bench_scale [-j] [services]: what a packet costs as services, backends and
 * flows grow, in ns of CPU time, by bench_path's method; and what the flow
 * table costs besides: memory, time to load, time of a walk of the sweeper.
 * With `services` only one service against ten thousand.
 *
 * One service and ten thousand are two datapaths whose rounds take turns, so
 * that what else the machine does falls on both.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include "bench.h"

#define SERVICES 10000u
#define SOME_SERVICES 100u
#define BACKENDS 20000u
#define FLOWS 65536u		/* of each case, where nothing else is said */
#define HOSTS 16u		/* of the lab's backends; ports tell the rest apart */
#define FIRST_HOST 2u
#define FIRST_ID 2u		/* elements 0 and 1 are the lab's own services */
#define NEW_FLOWS (1u << 14)	/* of a round of new connections */
#define ISN 1000u
#define BACKEND_ISN 5000u
#define LARGE (1u << 20)	/* entries of a table whose walk is worth waiting for */
#define BAR 1.1			/* of what one service takes */

static bool json;
static bool begun;		/* of JSON's one object: a list is in it */

static void print(const char *list, const struct bench_case *c, size_t n)
{
	if (!json) {
		bench_print(c, n);
		return;
	}
	printf("%s\"%s\":[", begun ? "," : "{", list);
	bench_print_json(c, n);
	putchar(']');
	begun = true;
}

static struct perch_address destination(unsigned n)
{
	return (struct perch_address){ { 0, 0, htonl(0xffff), htonl(0xc6120000 + n) } };	/* RFC 2544's */
}

static int place(struct bench *b, unsigned n, __u8 protocol, const struct model_backend *backends, size_t n_backends)
{
	const struct perch_endpoint listen = { destination(n), htons(LAB_PORT), protocol, 0 };
	const struct placed_service s = {
		.id = FIRST_ID + n, .name = "many", .listen = &listen, .n_listen = 1,
		.affinity = PERCH_AFFINITY_CONNECTION, .established = PERCH_DRAIN, .drain_ms = 30000, .n_versions = 1,
		.version[0] = { .name = "v1", .role = PERCH_ROLE_STABLE, .backends = backends, .n_backends = n_backends },
	};
	const struct lab_service plain = { .salt = 0x5a17 };
	struct perch_plan plan, twin;
	char why[WHY] = "";
	int err;

	lab_plan(&plain, &plan, &twin);
	err = tables_apply(b->lab.tables, &s, &plan, &twin, why);
	if (err)
		fprintf(stderr, "bench: service %u: %s (%s)\n", n, why, strerror(-err));
	return err;
}

static struct model_backend backend(unsigned n)
{
	return (struct model_backend){
		.address = lab_backend(false, FIRST_HOST + n % HOSTS), .weight = 1,
		.port = htons(LAB_BACKEND_PORT + n / HOSTS),
	};
}

/* Each with an element of its own for the lab's first backend. */
static int place_services(struct bench *b, unsigned n)
{
	const struct model_backend first = backend(0);
	int err = 0;

	for (unsigned i = 0; i < n && !err; i++)
		err = place(b, i, IPPROTO_TCP, &first, 1);
	return err;
}

/* Service i of three has so many backends. */
static const unsigned backends_of[] = { 2, 200, BACKENDS };

static int place_backends(struct bench *b)
{
	struct model_backend *list = calloc(BACKENDS, sizeof(*list));
	int err = list ? 0 : -ENOMEM;

	for (unsigned i = 0; i < BACKENDS && !err; i++)
		list[i] = backend(i);
	for (unsigned i = 0; i < 3 && !err; i++)
		err = place(b, i, IPPROTO_UDP, list, backends_of[i]);
	free(list);
	return err;
}

/* Client `base` and those after it, to service `service` and those after it. */
static struct bench_case request(const struct bench *b, const char *name, __u8 protocol, unsigned service, __u32 spread,
				 __u32 base, __u32 clients)
{
	struct bench_case c = {
		.name = name, .hook = LAB_XDP, .clients = clients, .base = base, .spread = spread,
		.program = bench_program(b, "perch_xdp"), .ifindex = b->lab.client.ifindex, .vary = WRAP_SOURCE,
		.verdict = lab_forward(LAB_XDP),
		.packet = {
			.from = lab_client(false, 0), .to = destination(service), .from_port = wrap_port(base),
			.to_port = LAB_PORT, .protocol = protocol, .ttl = 64, .payload = 46, .window = 512,
			.flags = TCP_ACK, .seq = ISN + 1, .ack = BACKEND_ISN + 1,
		},
	};

	if (protocol == IPPROTO_UDP)
		c.packet.flags = c.packet.seq = c.packet.ack = c.packet.window = 0;
	c.packet.from.word[3] = htonl(0x0a640000 + wrap_address(base));
	memcpy(c.packet.from_mac, lab_gateway_mac(), 6);
	memcpy(c.packet.to_mac, b->lab.client.mac, 6);
	return c;
}

/* The first backend's SYN-ACK to the clients of a case. */
static struct bench_case answer(const struct bench *b, const struct bench_case *to)
{
	struct bench_case c = *to;

	c.ifindex = b->lab.backend.ifindex;
	c.vary = WRAP_DESTINATION;
	c.spread = 0;
	c.packet.to = to->packet.from;
	c.packet.to_port = to->packet.from_port;
	c.packet.from = lab_backend(false, FIRST_HOST);
	c.packet.from_port = LAB_BACKEND_PORT;
	c.packet.flags = TCP_SYN | TCP_ACK;
	c.packet.seq = BACKEND_ISN;
	c.packet.ack = ISN + 1;
	lab_backend_mac(FIRST_HOST, c.packet.from_mac);
	memcpy(c.packet.to_mac, b->lab.backend.mac, 6);
	return c;
}

/* A packet of so many clients, from the one on that it was told last. */
static int run_some(struct bench *b, struct bench_case *c, __u32 n)
{
	double ns;

	return bench_run(b, c, c->program, n, c->verdict, &ns);
}

/* The flows of a case: a handshake each, or a datagram.  Not all SYNs first:
 * of millions on a busy machine some would expire before they are answered. */
static int fill(struct bench *b, const struct bench_case *of)
{
	struct bench_case syn = *of, back = answer(b, of), ack = *of;
	__u32 some = of->clients < FLOWS ? of->clients : FLOWS;
	int err = 0;

	if (of->packet.protocol == IPPROTO_UDP)
		return run_some(b, &syn, of->clients);
	syn.packet.payload = back.packet.payload = 26;
	syn.packet.flags = TCP_SYN;
	syn.packet.seq = ISN;
	syn.packet.ack = 0;
	back.packet.ack += 26;
	ack.packet.seq = ISN + 1 + 26;
	ack.packet.ack = BACKEND_ISN + 1;
	for (__u32 n = 0; n < of->clients && !err; n += some)
		err = run_some(b, &syn, some) ?: run_some(b, &back, some) ?: run_some(b, &ack, some);
	return err;
}

static int fill_all(struct bench *b, const struct bench_case *c, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++)
		if (!(c[i].packet.flags & TCP_SYN))
			err = fill(b, &c[i]);
	return err;
}

static struct bench_case fresh(const struct bench *b, const char *name, __u32 spread, __u32 base)
{
	struct bench_case c = request(b, name, IPPROTO_TCP, 0, spread, base, 1 << 20);

	c.packet.flags = TCP_SYN;
	c.packet.seq = ISN;
	c.packet.ack = 0;
	c.repeat = NEW_FLOWS;
	return c;
}

static void set_bars(struct bench_case *many, size_t n, const struct bench_case *one)
{
	for (size_t i = 0; i < n; i++)
		many[i].bar = BAR * one[many[i].packet.flags & TCP_SYN ? 2 : many[i].clients > 1].median;
}

#define CASES(list) (sizeof(list) / sizeof((list)[0]))

static int measure_services(struct bench *one, struct bench *all, struct bench_case *small, struct bench_case *large)
{
	const struct bench_case few[] = {
		request(one, "1 service: 1 flow", IPPROTO_TCP, 0, 0, 0, 1),
		request(one, "1 service: 65,536 flows", IPPROTO_TCP, 0, 0, FLOWS, FLOWS),
		fresh(one, "1 service: new connection", 0, 1 << 20),
	};
	const struct bench_case many[] = {
		request(all, "10,000 services: 1 flow", IPPROTO_TCP, 0, 0, 0, 1),
		request(all, "10,000 services: 65,536 flows on one", IPPROTO_TCP, 0, 0, FLOWS, FLOWS),
		request(all, "10,000 services: 65,536 flows on 100", IPPROTO_TCP, 0, SOME_SERVICES, 2 * FLOWS, FLOWS),
		request(all, "10,000 services: 65,536 flows on all", IPPROTO_TCP, 0, SERVICES, 3 * FLOWS, FLOWS),
		fresh(all, "10,000 services: new connection on one", 0, 1 << 20),
		fresh(all, "10,000 services: new connection on all", SERVICES, 1 << 21),
	};
	int err;

	memcpy(small, few, sizeof(few));
	memcpy(large, many, sizeof(many));
	err = fill_all(one, small, CASES(few)) ?: fill_all(all, large, CASES(many));
	for (unsigned round = 0; round < BENCH_ROUNDS && !err; round++)
		err = bench_round(one, small, CASES(few), round) ?: bench_round(all, large, CASES(many), round);
	if (err)
		return err;
	bench_medians(small, CASES(few));
	bench_medians(large, CASES(many));
	set_bars(large, CASES(many), small);
	print("one_service", small, CASES(few));
	print("many_services", large, CASES(many));
	return 0;
}

static int services(void)
{
	const struct lab_options o = {
		.flow_entries = PERCH_FLOWS, .services = SERVICES + FIRST_ID, .backends = SERVICES + 16,
		.slice_words = 8 * SERVICES,
	};
	struct bench_case small[BENCH_MAX], large[BENCH_MAX];
	struct bench one, all;
	int err = bench_open(&one, &o, PERCH_NAT);

	if (err)
		return err;
	err = bench_open(&all, &o, PERCH_NAT);
	if (!err) {
		err = place_services(&one, 1) ?: place_services(&all, SERVICES) ?: measure_services(&one, &all, small, large);
		bench_close(&all);
	}
	bench_close(&one);
	return err;
}

static int backends(void)
{
	const struct lab_options o = {
		.flow_entries = PERCH_FLOWS, .backends = 2 * BACKENDS, .slice_words = 16384,
	};
	struct bench b;
	int err = bench_open(&b, &o, PERCH_NAT) ?: place_backends(&b);

	if (!err) {
		struct bench_case c[] = {
			request(&b, "65,536 flows on 2 backends, UDP", IPPROTO_UDP, 0, 0, 0, FLOWS),
			request(&b, "65,536 flows on 200 backends, UDP", IPPROTO_UDP, 1, 0, FLOWS, FLOWS),
			request(&b, "65,536 flows on 20,000 backends, UDP", IPPROTO_UDP, 2, 0, 2 * FLOWS, FLOWS),
		};

		err = fill_all(&b, c, CASES(c)) ?: bench_measure(&b, c, CASES(c));
		if (!err)
			print("backends", c, CASES(c));
	}
	bench_close(&b);
	return err;
}

static double seconds(void)
{
	return lab_now() / 1e9;
}

/* How long the sweeper took for a whole walk; the one under way is not it. */
static double walk_seconds(const struct bench *b)
{
	const volatile struct perch_control *c = b->lab.datapath.maps.control;
	const struct timespec nap = { .tv_nsec = 1000000 };
	__u64 passes = c->sweep_passes;
	double began = 0;

	while (c->sweep_passes < passes + 2) {
		if (!began && c->sweep_passes > passes)
			began = seconds();
		nanosleep(&nap, NULL);
	}
	return seconds() - began;
}

/* What else a table costs. */
static void print_table(const struct bench *b, const char *list, __u32 entries, double opened)
{
	size_t bytes = entries / PERCH_WAYS * sizeof(struct perch_flow_set);
	double mib = bytes / 1048576.0, walk = walk_seconds(b);
	__u32 seen = b->lab.datapath.maps.control->flow_entries;

	if (json)
		printf(",\"%s_table\":{\"mib\":%.1f,\"load_seconds\":%.3f,\"walk_seconds\":%.3f,\"entries\":%u}", list, mib,
		       opened, walk, seen);
	else
		printf("    %.1f MiB, loaded in %.2f s, a walk of the sweeper takes %.2f s, %u entries seen in it\n", mib,
		       opened, walk, seen);
}

/* Half of the table is in use. */
static int flows(const char *list, const char *name, __u32 entries)
{
	const struct lab_options o = { .flow_entries = entries };
	double began = seconds(), opened;
	struct bench_case c;
	struct bench b;
	int err = bench_open(&b, &o, PERCH_NAT);

	if (err)
		return err;
	opened = seconds() - began;
	c = request(&b, name, IPPROTO_TCP, 0, 0, 0, entries / 2);
	err = place_services(&b, 1) ?: fill(&b, &c) ?: bench_measure(&b, &c, 1);
	if (!err) {
		print(list, &c, 1);
		if (entries >= LARGE)
			print_table(&b, list, entries, opened);
	}
	bench_close(&b);
	return err;
}

int main(int argc, char **argv)
{
	bool failed, alone = argc > 1 && !strcmp(argv[argc - 1], "services");

	json = argc > 1 && !strcmp(argv[1], "-j");
	if (argc > 1 + json + alone) {
		fprintf(stderr, "usage: bench_scale [-j] [services]\n");
		return 2;
	}
	if (lab_enter())
		return 1;
	setlinebuf(stdout);
	if (!json)
		printf("%-44s %8s  %6s .. %-6s  %7s\n", "ns per packet, XDP", "median", "low", "high", "bar");
	failed = services();
	if (!failed && !alone)
		failed = backends() || flows("flows_1k", "1,024 entries, half of them in use", 1024) ||
			 flows("flows_64k", "65,536 entries", 65536) || flows("flows_1m", "1,048,576 entries", 1 << 20) ||
			 flows("flows_8m", "8,388,608 entries", 1 << 23);
	if (json)
		puts("}");
	return failed;
}
