/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * bench_fullnat [-j]: what fullnat costs a packet, in ns of CPU time: on its
 * way out and back, as the first of a connection, and when every port is in
 * use, where the search looks at all it may and finds nothing.
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include "bench.h"

#define FLOWS PERCH_FLOWS
#define SOME 65536u
#define NEW_CLIENTS (1u << 22)	/* more than a run has packets */
#define NEW_REPEAT 8192u
#define FEW_FIRST 61000		/* 1,024 ports: what one search looks at */
#define FEW 1024
#define PAYLOAD 46

static struct packet_spec make(const struct bench *b, __u32 n)
{
	struct packet_spec s = {
		.protocol = IPPROTO_UDP, .ttl = 64, .payload = PAYLOAD, .from_port = wrap_port(n), .to_port = LAB_UDP_PORT,
	};

	s.from = lab_client(false, 0);
	s.from.word[3] = htonl(0x0a640000 + wrap_address(n));
	s.to = lab_listener(false);
	memcpy(s.from_mac, lab_gateway_mac(), 6);
	memcpy(s.to_mac, b->lab.client.mac, 6);
	return s;
}

static struct bench_case request(const struct bench *b, const char *name, enum lab_hook hook, __u32 base, __u32 clients)
{
	return (struct bench_case){
		.name = name, .hook = hook, .packet = make(b, base), .base = base, .clients = clients,
		.program = bench_program(b, hook == LAB_XDP ? "perch_xdp" : "perch_tc_in"),
		.ifindex = b->lab.client.ifindex, .vary = WRAP_SOURCE, .verdict = lab_forward(hook),
	};
}

/* The backend's answer to the first client. */
static int reply(const struct bench *b, const char *name, enum lab_hook hook, struct bench_case *ret)
{
	struct packet_spec s = make(b, 0);
	struct flow_copy f = { 0 };
	int err = lab_flow(&b->lab, &s.from, s.from_port, &f);

	if (err)
		return err;
	*ret = request(b, name, hook, 0, 1);
	lab_backend_mac(2, ret->packet.from_mac);
	memcpy(ret->packet.to_mac, b->lab.backend.mac, 6);
	ret->packet.from = lab_backend(false, 2);
	ret->packet.from_port = LAB_BACKEND_PORT;
	ret->packet.to = *flows_source(&b->lab.datapath.maps, &f.flow);
	ret->packet.to_port = ntohs(f.flow.translated);
	ret->ifindex = b->lab.backend.ifindex;
	ret->vary = WRAP_DESTINATION;
	return 0;
}

static int fill(struct bench *b, __u32 clients)
{
	struct bench_case c = request(b, "fill", LAB_XDP, 0, clients);
	double ns;

	return bench_run(b, &c, c.program, clients, c.verdict, &ns);
}

static int open_with(struct bench *b, unsigned sources, __u16 first, __u16 last)
{
	static const struct lab_options whole = { .flow_entries = FLOWS };
	int err = bench_open(b, &whole, PERCH_FULLNAT);

	if (err)
		return err;
	lab_fullnat(&b->lab, sources, first, last);
	err = lab_apply(&b->lab);
	if (err)
		bench_close(b);
	return err;
}

/* As if every flow had proved itself: no port gives way. */
static void prove_all(const struct bench *b)
{
	const struct maps *m = &b->lab.datapath.maps;

	for (__u32 i = 0; i < m->control->flow_sets * PERCH_WAYS; i++) {
		__u64 *tag = &m->flows[i / PERCH_WAYS].tag[i % PERCH_WAYS];

		if (perch_tag_class(*tag) == PERCH_ALIAS_NEW)
			*tag ^= (__u64)(PERCH_ALIAS_NEW ^ PERCH_ALIAS) << 24;
		if (perch_tag_class(*tag) == PERCH_UDP_NEW)
			*tag ^= (__u64)(PERCH_UDP_NEW ^ PERCH_UDP) << 24;
	}
}

static int measure_roomy(struct bench_case *c, size_t *n)
{
	struct bench b;
	int err = open_with(&b, PERCH_SOURCES, 1024, 65535);

	if (err)
		return err;
	err = fill(&b, SOME);
	for (unsigned hook = 0; hook < 2 && !err; hook++) {
		c[(*n)++] = request(&b, hook ? "tc, fullnat, UDP, 1 flow" : "xdp, fullnat, UDP, 1 flow", hook, 0, 1);
		c[(*n)++] = request(&b, hook ? "tc, fullnat, UDP, 65,536 flows" : "xdp, fullnat, UDP, 65,536 flows", hook, 0, SOME);
		err = reply(&b, hook ? "tc, fullnat, UDP reply, 1 flow" : "xdp, fullnat, UDP reply, 1 flow", hook, &c[(*n)++]);
		c[*n] = request(&b, hook ? "tc, fullnat, first packet" : "xdp, fullnat, first packet", hook,
				(1 + hook) * NEW_CLIENTS, NEW_CLIENTS);
		c[*n].packet.unsummed = true;	/* some would look as if that were yet to come */
		c[(*n)++].repeat = NEW_REPEAT;
	}
	err = err ?: bench_measure(&b, c, *n);
	bench_close(&b);
	return err;
}

static int measure_exhausted(struct bench_case *c)
{
	struct bench b;
	int err = open_with(&b, 1, FEW_FIRST, FEW_FIRST + FEW - 1);

	if (err)
		return err;
	err = fill(&b, FEW);
	prove_all(&b);
	*c = request(&b, "xdp, fullnat, first packet, ports exhausted", LAB_XDP, NEW_CLIENTS, NEW_CLIENTS);
	c->packet.unsummed = true;
	c->repeat = NEW_REPEAT;
	c->verdict = XDP_DROP;
	err = err ?: bench_measure(&b, c, 1);
	bench_close(&b);
	return err;
}

int main(int argc, char **argv)
{
	static struct bench_case c[BENCH_MAX];
	bool json = argc == 2 && !strcmp(argv[1], "-j");
	size_t n = 0;

	if (argc > 1 && !json) {
		fprintf(stderr, "usage: bench_fullnat [-j]\n");
		return 2;
	}
	if (lab_enter() || measure_roomy(c, &n) || measure_exhausted(&c[n]))
		return 1;
	n++;
	if (json) {
		printf("[");
		bench_print_json(c, n);
		puts("]");
	} else {
		printf("%-44s %8s  %6s .. %-6s  %7s\n", "ns per packet", "median", "low", "high", "bar");
		bench_print(c, n);
	}
	return 0;
}
