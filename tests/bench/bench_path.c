/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bench_path [-j] [dsr]: what a packet costs in the programs, in ns of CPU
 * time; with a word only of services that forward so.
 *
 * The bars are those of a published L4 balancer, measured by this method on
 * one machine, times a factor; each is scaled by what one look-up in the
 * kernel's LRU table costs here and cost there at the same number of flows.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "bench.h"
#include "tests/bench/wrap.skel.h"

#define FLOWS PERCH_FLOWS
static const struct lab_options whole = { .flow_entries = FLOWS };
#define MANY 524288u
#define SOME 65536u
#define NEW_CLIENTS (1u << 22)	/* more than a run has packets */
#define PAYLOAD 46		/* frames of 100 bytes over IPv4 and TCP */
#define ISN 1000u
#define BACKEND_ISN 5000u

static const struct reference {
	__u32 flows;
	double lru, established;
} reference[] = { { 1, 31, 123 }, { SOME, 67, 186 }, { MANY, 114, 298 } };
static const double reference_new = 856;

enum direction { REQUEST, REPLY };

/* A packet of client `n`, either way; the backend is the lab's first. */
static struct packet_spec make(const struct bench *b, bool v6, __u8 protocol, enum direction way, __u32 n)
{
	struct perch_address client = lab_client(v6, 0);
	struct packet_spec s = {
		.protocol = protocol, .ttl = 64, .payload = PAYLOAD, .window = 512,
		.from_port = wrap_port(n), .to_port = protocol == IPPROTO_UDP ? LAB_UDP_PORT : LAB_PORT,
		.flags = protocol == IPPROTO_TCP ? TCP_ACK : 0, .seq = ISN + 1, .ack = BACKEND_ISN + 1,
	};

	client.word[3] = htonl((v6 ? 0 : 0x0a640000) + wrap_address(n));
	memcpy(s.from_mac, lab_gateway_mac(), 6);
	memcpy(s.to_mac, b->lab.client.mac, 6);
	s.from = client;
	s.to = lab_listener(v6);
	if (way == REQUEST)
		return s;
	lab_backend_mac(2, s.from_mac);
	memcpy(s.to_mac, b->lab.backend.mac, 6);
	s.to = client;
	s.to_port = s.from_port;
	s.from = lab_backend(v6, 2);
	s.from_port = LAB_BACKEND_PORT;
	s.seq = BACKEND_ISN + 1;
	s.ack = ISN + 1 + PAYLOAD;
	return s;
}

static struct bench_case steer(const struct bench *b, const char *name, enum lab_hook hook, struct packet_spec packet,
			       enum direction way, __u32 clients)
{
	return (struct bench_case){
		.name = name, .hook = hook, .packet = packet, .clients = clients,
		.program = bench_program(b, hook == LAB_XDP ? "perch_xdp" : "perch_tc_in"),
		.ifindex = way == REQUEST ? b->lab.client.ifindex : b->lab.backend.ifindex,
		.vary = way == REQUEST ? WRAP_SOURCE : WRAP_DESTINATION,
		.verdict = lab_forward(hook),
	};
}

/* The handshake of `clients` clients, or two datagrams and a reply. */
static int fill(struct bench *b, bool v6, __u8 protocol, __u32 clients)
{
	bool tcp = protocol == IPPROTO_TCP;
	static const __u8 flags[3] = { TCP_SYN, TCP_SYN | TCP_ACK, TCP_ACK };

	for (unsigned i = 0; i < 3; i++) {
		enum direction way = i == 1 ? REPLY : REQUEST;
		struct bench_case c = steer(b, "fill", LAB_XDP, make(b, v6, protocol, way, 0), way, clients);
		double ns;
		int err;

		c.packet.payload = tcp ? 26 : PAYLOAD;
		if (tcp) {
			c.packet.flags = flags[i];
			c.packet.seq = (way == REQUEST ? ISN : BACKEND_ISN) + (i == 2);
			c.packet.ack = way == REPLY ? ISN + 1 + 26 : i == 2 ? BACKEND_ISN + 1 : 0;
		}
		err = bench_run(b, &c, c.program, clients, c.verdict, &ns);
		if (err)
			return err;
	}
	return 0;
}

/* The client's part of `clients` handshakes, where nobody sees the other. */
static int fill_direct(struct bench *b, __u32 clients)
{
	for (unsigned i = 0; i < 2; i++) {
		struct bench_case c = steer(b, "fill", LAB_XDP, make(b, false, IPPROTO_TCP, REQUEST, 0), REQUEST, clients);
		double ns;
		int err;

		c.packet.payload = 26;
		c.packet.flags = i ? TCP_ACK : TCP_SYN;
		c.packet.seq = ISN + i;
		c.packet.ack = i ? BACKEND_ISN + 1 : 0;
		err = bench_run(b, &c, c.program, clients, c.verdict, &ns);
		if (err)
			return err;
	}
	return 0;
}

/* The flows that are to be measured. */
struct filled {
	__u32 v4, v6, udp;
};

/* How many of them are in the table: nearly all, and after churn at least as
 * many as before.  *known 0: this is before. */
static int check_flows(const struct bench *b, const struct filled *f, size_t *known)
{
	__u32 wanted = f->v4 + f->v6 + f->udp;
	size_t by_class[16], now;

	flows_count(&b->lab.datapath.maps, by_class);
	now = by_class[PERCH_TCP] + by_class[PERCH_UDP];
	if (wanted - now > wanted / BENCH_STRAY || now < *known) {
		fprintf(stderr, "bench: %zu flows in the table, not %zu\n", now, *known ? *known : wanted);
		return -EILSEQ;
	}
	if (!*known && now != wanted)
		fprintf(stderr, "bench: %zu of %u flows are not in the table\n", wanted - now, wanted);
	*known = now;
	return 0;
}

/* The look-up that bars are scaled by: same flows, in the kernel's LRU. */
static int fill_lru(struct bench *b)
{
	struct wrap_lru_value value = { 1, 1 };
	int fd = bpf_map__fd(b->wrap->maps.lru);

	for (__u32 n = 0; n < MANY; n++) {
		struct wrap_lru_key key = {
			.source = { htonl(0x0a640000 + wrap_address(n)) },
			.destination = { lab_listener(false).word[3] },
			.source_port = htons(wrap_port(n)), .destination_port = htons(LAB_PORT),
			.protocol = IPPROTO_TCP,
		};

		if (bpf_map_update_elem(fd, &key, &value, BPF_ANY))
			return -errno;
	}
	return 0;
}

static struct bench_case plain(const struct bench *b, const char *name, struct bpf_program *program, int verdict,
			       __u32 clients)
{
	struct bench_case c = steer(b, name, LAB_XDP, make(b, false, IPPROTO_TCP, REQUEST, 0), REQUEST, clients);

	c.program = bpf_program__fd(program);
	c.verdict = verdict;
	return c;
}

struct table {
	struct bench_case c[BENCH_MAX];
	size_t n;
};

static struct bench_case *add(struct table *t, struct bench_case c)
{
	if (t->n == BENCH_MAX)
		abort();
	t->c[t->n] = c;
	return &t->c[t->n++];
}

static void add_floors(struct table *t, const struct bench *b)
{
	add(t, plain(b, "empty program", b->wrap->progs.empty_xdp, XDP_PASS, 1));
	add(t, plain(b, "MAC swap, XDP_TX", b->wrap->progs.swap_xdp, XDP_TX, 1));
	add(t, plain(b, "LRU look-up, 1 flow", b->wrap->progs.lru_xdp, XDP_TX, 1));
	add(t, plain(b, "LRU look-up, 65,536 flows", b->wrap->progs.lru_xdp, XDP_TX, SOME));
	add(t, plain(b, "LRU look-up, 524,288 flows", b->wrap->progs.lru_xdp, XDP_TX, MANY));
}

#define FLOORS 5		/* of which the last three are the LRU's */

static void add_not_ours(struct table *t, const struct bench *b, enum lab_hook hook)
{
	static const char *const names[2][2] = {
		{ "xdp, not ours, IPv4", "xdp, not ours, IPv6" }, { "tc, not ours, IPv4", "tc, not ours, IPv6" },
	};

	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct bench_case c = steer(b, names[hook][v6], hook, make(b, v6, IPPROTO_TCP, REQUEST, 0), REQUEST, 1);

		c.packet.to.word[3] ^= htonl(3);
		/* passed on to the next program: TC_ACT_UNSPEC */
		c.verdict = hook == LAB_XDP ? XDP_PASS : TC_ACT_UNSPEC;
		c.bar = 10;
		add(t, c);
	}
}

struct path {
	const char *name[2];	/* by hook */
	bool v6;
	__u8 protocol;
	enum direction way;
	__u32 clients;
	unsigned bar;		/* index of `reference` */
};

static const struct path paths[] = {
	{ { "xdp, TCP, 1 flow", "tc, TCP, 1 flow" }, false, IPPROTO_TCP, REQUEST, 1, 0 },
	{ { "xdp, TCP, 65,536 flows", "tc, TCP, 65,536 flows" }, false, IPPROTO_TCP, REQUEST, SOME, 1 },
	{ { "xdp, TCP, 524,288 flows", "tc, TCP, 524,288 flows" }, false, IPPROTO_TCP, REQUEST, MANY, 2 },
	{ { "xdp, TCP reply, 1 flow", "tc, TCP reply, 1 flow" }, false, IPPROTO_TCP, REPLY, 1, 0 },
	{ { "xdp, TCP reply, 65,536 flows", "tc, TCP reply, 65,536 flows" }, false, IPPROTO_TCP, REPLY, SOME, 1 },
	{ { "xdp, TCP reply, 524,288 flows", "tc, TCP reply, 524,288 flows" }, false, IPPROTO_TCP, REPLY, MANY, 2 },
	{ { "xdp, TCP over IPv6, 1 flow", "tc, TCP over IPv6, 1 flow" }, true, IPPROTO_TCP, REQUEST, 1, 0 },
	{ { "xdp, TCP over IPv6, 65,536 flows", "tc, TCP over IPv6, 65,536 flows" }, true, IPPROTO_TCP, REQUEST, SOME, 1 },
	{ { "xdp, UDP, 1 flow", "tc, UDP, 1 flow" }, false, IPPROTO_UDP, REQUEST, 1, 0 },
	{ { "xdp, UDP, 65,536 flows", "tc, UDP, 65,536 flows" }, false, IPPROTO_UDP, REQUEST, SOME, 1 },
};

static bool is_filled(const struct path *p, const struct filled *f)
{
	return p->clients <= (p->protocol == IPPROTO_UDP ? f->udp : p->v6 ? f->v6 : f->v4);
}

static void add_paths(struct table *t, const struct bench *b, enum lab_hook hook, const struct filled *f)
{
	for (unsigned i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		const struct path *p = &paths[i];
		struct packet_spec packet = make(b, p->v6, p->protocol, p->way, 0);

		struct bench_case c = steer(b, p->name[hook], hook, packet, p->way, p->clients);

		if (!is_filled(p, f))
			continue;
		/* the reference is an XDP program; TC's figures stand beside it */
		if (hook == LAB_XDP)
			c.bar = (p->clients == 1 ? 0.7 : 1.0) * reference[p->bar].established;
		add(t, c);
	}
}

/* A client that was never here before: chosen, entered, forwarded. */
static struct bench_case syn(const struct bench *b, const char *name, enum lab_hook hook, __u32 base)
{
	struct packet_spec packet = make(b, false, IPPROTO_TCP, REQUEST, base);
	struct bench_case c;

	packet.flags = TCP_SYN;
	packet.seq = ISN;
	c = steer(b, name, hook, packet, REQUEST, NEW_CLIENTS);
	c.base = base;
	c.bar = hook == LAB_XDP ? 0.5 * reference_new : 0;
	return c;
}

/* Bars were measured elsewhere: scale them by the same look-up here.  What has
 * no number of flows (not ours, new) is scaled by the look-up that stays in the
 * cache, the strictest of the three. */
static void scale_bars(struct table *t, const struct bench_case *lru)
{
	for (size_t i = 0; i < t->n; i++) {
		__u32 clients = t->c[i].clients;
		unsigned r = clients == SOME ? 1 : clients == MANY ? 2 : 0;

		t->c[i].bar *= lru[r].median / reference[r].lru;
	}
}

static const struct direct {
	const char *name[2];	/* by hook */
	__u32 clients;
	unsigned reference;
	double part;		/* of it, that is the bar */
} directs[] = {
	{ { "xdp, dsr, 1 flow", "tc, dsr, 1 flow" }, 1, 0, 0.45 },
	{ { "xdp, dsr, 65,536 flows", "tc, dsr, 65,536 flows" }, SOME, 1, 0.7 },
	{ { "xdp, dsr, 524,288 flows", "tc, dsr, 524,288 flows" }, MANY, 2, 0.7 },
};

static int measure_directs(struct bench *b, struct table *t)
{
	struct table now = { 0 };
	int err;

	for (unsigned i = 0; i < 2 * sizeof(directs) / sizeof(directs[0]); i++) {
		const struct direct *d = &directs[i / 2];
		enum lab_hook hook = i & 1;
		struct bench_case c = steer(b, d->name[hook], hook, make(b, false, IPPROTO_TCP, REQUEST, 0), REQUEST,
					    d->clients);

		c.bar = hook == LAB_XDP ? d->part * reference[d->reference].established : 0;
		add(&now, c);
	}
	err = bench_measure(b, now.c, now.n);
	for (size_t i = 0; i < now.n; i++)
		add(t, now.c[i]);
	return err;
}

static int fill_table(struct bench *b, const struct filled *f)
{
	int err = 0;

	if (f->v4)
		err = fill(b, false, IPPROTO_TCP, f->v4);
	if (!err && f->v6)
		err = fill(b, true, IPPROTO_TCP, f->v6);
	if (!err && f->udp)
		err = fill(b, false, IPPROTO_UDP, f->udp);
	return err;
}

/* Four tables full of SYNs that nobody answers. */
static int churn(struct bench *b)
{
	for (unsigned i = 1; i <= 4; i++) {
		struct bench_case c = syn(b, "churn", LAB_XDP, i * NEW_CLIENTS);
		double ns;
		int err = bench_run(b, &c, c.program, FLOWS, c.verdict, &ns);

		if (err)
			return err;
	}
	return 0;
}

static int measure_paths(struct bench *b, struct table *t, const struct filled *f)
{
	struct table now = { 0 };
	int err;

	for (unsigned hook = 0; hook < 2; hook++) {
		if (f->v4)
			add_not_ours(&now, b, hook);
		add_paths(&now, b, hook, f);
	}
	err = bench_measure(b, now.c, now.n);
	for (size_t i = 0; i < now.n; i++)
		add(t, now.c[i]);
	return err;
}

/* A table of its own, empty at first: half full at the end. */
static int measure_new(struct bench *b, struct table *t, bool churned)
{
	static const char *const names[2][2] = {
		{ "xdp, SYN, entered", "tc, SYN, entered" },
		{ "xdp, SYN, entered, table full", "tc, SYN, entered, table full" },
	};

	for (unsigned hook = 0; hook < 2; hook++) {
		/* away from the clients that churn() used */
		struct bench_case c = syn(b, names[churned][hook], hook, (8 + 2 * churned + hook) * NEW_CLIENTS);

		c.repeat = 1 << 15;
		add(t, c);
	}
	return bench_measure(b, t->c, t->n);
}

struct results {
	struct table floors, fresh, churned, new_empty, new_full;
};

static int measure_flows(struct results *r, const struct filled *f)
{
	struct bench b;
	size_t known = 0;
	int err = bench_open(&b, &whole, PERCH_NAT);

	if (err)
		return err;
	if (f->v4) {
		add_floors(&r->floors, &b);
		err = fill_lru(&b) ?: bench_measure(&b, r->floors.c, r->floors.n);
	}
	if (!err)
		err = fill_table(&b, f) ?: check_flows(&b, f, &known) ?: measure_paths(&b, &r->fresh, f);
	if (!err)
		err = churn(&b) ?: check_flows(&b, f, &known) ?: measure_paths(&b, &r->churned, f);
	if (!err && f->v4)
		err = measure_new(&b, &r->new_full, true) ?: check_flows(&b, f, &known);
	bench_close(&b);
	return err;
}

/* Requests alone, by MAC: a table of its own, and no look at the replies. */
static int measure_direct(struct results *r)
{
	struct bench b;
	int err = bench_open(&b, &whole, PERCH_DSR);

	if (err)
		return err;
	if (!r->floors.n) {
		add_floors(&r->floors, &b);
		err = fill_lru(&b) ?: bench_measure(&b, r->floors.c, r->floors.n);
	}
	err = err ?: fill_direct(&b, MANY) ?: measure_directs(&b, &r->fresh) ?: churn(&b) ?: measure_directs(&b, &r->churned);
	bench_close(&b);
	return err;
}

static int measure_all(struct results *r)
{
	static const struct filled many = { .v4 = MANY }, others = { .v6 = SOME, .udp = SOME };
	struct bench b;
	int err = bench_open(&b, &whole, PERCH_NAT);

	if (err)
		return err;
	err = measure_new(&b, &r->new_empty, false);
	bench_close(&b);
	return err ?: measure_flows(r, &many) ?: measure_flows(r, &others) ?: measure_direct(r);
}

static void print_all(struct results *r)
{
	static const char *const title[] = { "floors", "fresh table", "after churn (4 tables of SYNs)",
					     "new connections, table empty at first", "new connections, table full" };
	struct table *t[] = { &r->floors, &r->fresh, &r->churned, &r->new_empty, &r->new_full };

	printf("%-44s %8s  %6s .. %-6s  %7s\n", "ns per packet", "median", "low", "high", "bar");
	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		printf("-- %s\n", title[i]);
		bench_print(t[i]->c, t[i]->n);
	}
}

static void print_all_json(struct results *r)
{
	static const char *const title[] = { "floors", "fresh", "churned", "new_empty", "new_full" };
	struct table *t[] = { &r->floors, &r->fresh, &r->churned, &r->new_empty, &r->new_full };

	for (unsigned i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		printf("%s\"%s\":[", i ? "," : "{", title[i]);
		bench_print_json(t[i]->c, t[i]->n);
		putchar(']');
	}
	puts("}");
}

int main(int argc, char **argv)
{
	static struct results r;
	bool json = argc > 1 && !strcmp(argv[1], "-j"), direct = argc > 1 && !strcmp(argv[argc - 1], "dsr");

	if (argc > 1 + json + direct) {
		fprintf(stderr, "usage: bench_path [-j] [dsr]\n");
		return 2;
	}
	if (lab_enter() || (direct ? measure_direct(&r) : measure_all(&r)))
		return 1;
	/* the last three floors are the LRU's, at 1, 65,536 and 524,288 flows */
	scale_bars(&r.fresh, r.floors.c + FLOORS - 3);
	scale_bars(&r.churned, r.floors.c + FLOORS - 3);
	scale_bars(&r.new_empty, r.floors.c + FLOORS - 3);
	scale_bars(&r.new_full, r.floors.c + FLOORS - 3);
	if (json)
		print_all_json(&r);
	else
		print_all(&r);
	return 0;
}
