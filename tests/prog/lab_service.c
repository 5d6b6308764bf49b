/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The fixture's addresses and services. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lab.h"

static struct perch_address v4(__u32 host_order)
{
	return (struct perch_address){ { 0, 0, htonl(0xffff), htonl(host_order) } };
}

static struct perch_address v6(__u16 prefix, __u32 low)
{
	return (struct perch_address){ { htonl((__u32)prefix << 16), 0, 0, htonl(low) } };
}

const __u8 *lab_gateway_mac(void)
{
	static const __u8 mac[6] = { 2, 0, 0, 0, 1, 0xfe };

	return mac;
}

void lab_backend_mac(unsigned host, __u8 ret[6])
{
	const __u8 mac[6] = { 2, 0, 0, 0, 2, host };

	memcpy(ret, mac, sizeof(mac));
}

/* 2^18 clients of IPv4; those of IPv6 share one /64. */
struct perch_address lab_client(bool is_v6, __u32 n)
{
	return is_v6 ? v6(0xfd0c, n + 1) : v4(0x0a640000 + (n & 0x3ffff) + 1);
}

struct perch_address lab_backend(bool is_v6, unsigned host)
{
	return is_v6 ? v6(0xfd02, host) : v4(0x0a020000 + host);
}

struct perch_address lab_listener(bool is_v6)
{
	return is_v6 ? (struct perch_address){ { htonl(0x20010db8), 0, 0, htonl(0x10) } } : v4(0xc000020a);
}

bool lab_is_v6(const struct perch_address *a)
{
	return a->word[0] || a->word[1] || a->word[2] != htonl(0xffff);
}

static struct perch_endpoint endpoint(bool is_v6, __u16 port, __u8 protocol)
{
	return (struct perch_endpoint){ lab_listener(is_v6), htons(port), protocol, 0 };
}

void lab_backends(struct lab *lab, unsigned slot, unsigned first, unsigned n)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct lab_service *s = &lab->web[v6];

		for (unsigned i = 0; i < n; i++)
			s->backend[slot][i] = (struct model_backend){
				.address = lab_backend(v6, first + i),
				.port = htons(LAB_BACKEND_PORT),
				.weight = 1,
			};
		s->placed.version[slot].backends = s->backend[slot];
		s->placed.version[slot].n_backends = n;
	}
}

void lab_forwards(struct lab *lab, enum perch_forward forward)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		lab->web[v6].placed.forward = forward;
		for (int family = 0; perch_tunnels(forward) && family < PERCH_FAMILIES; family++)
			lab->web[v6].placed.tunnel[family] = lab_backend(family, 1);
		for (unsigned i = 0; perch_one_sided(forward) && i < 3 * LAB_BACKENDS; i++)
			lab->web[v6].backend[i / LAB_BACKENDS][i % LAB_BACKENDS].port = 0;
	}
}

struct perch_address lab_source(bool is_v6, unsigned n)
{
	return lab_backend(is_v6, 201 + n);
}

void lab_fullnat(struct lab *lab, unsigned n, __u16 first, __u16 last)
{
	lab_forwards(lab, PERCH_FULLNAT);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct perch_sources *from = &lab->web[v6].sources;

		memset(from, 0, sizeof(*from));
		from->ports = perch_ports(first, last);
		for (unsigned i = 0; i < n; i++) {
			from->address[i] = lab_source(v6, i);
			from->list[v6][from->n[v6]++] = i;
		}
		lab->web[v6].placed.sources = from;
	}
}

void lab_single(struct lab *lab, unsigned slot)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].placed.version[slot].n_backends = 1;
}

static void set_up(struct lab_service *s, bool is_v6)
{
	struct placed_service *p = &s->placed;

	memset(s, 0, sizeof(*s));
	s->listen[0] = endpoint(is_v6, LAB_PORT, IPPROTO_TCP);
	s->listen[1] = endpoint(is_v6, LAB_UDP_PORT, IPPROTO_UDP);
	s->door = endpoint(is_v6, LAB_DOOR_PORT, IPPROTO_TCP);
	s->salt = 0x5a17;
	p->id = is_v6;
	p->name = is_v6 ? "web6" : "web4";
	p->listen = s->listen;
	p->n_listen = 2;
	p->affinity = PERCH_AFFINITY_CONNECTION;
	p->established = PERCH_DRAIN;
	p->drain_ms = 30000;
	p->sampling = p->observed = true;
	p->n_versions = 2;
	p->version[0] = (struct placed_version){ .slot = 0, .name = "v1", .role = PERCH_ROLE_STABLE };
	p->version[1] = (struct placed_version){
		.slot = 1, .name = "v2", .role = PERCH_ROLE_CANARY, .doors = &s->door, .n_doors = 1,
	};
}

void lab_web(struct lab *lab)
{
	set_up(&lab->web[0], false);
	set_up(&lab->web[1], true);
	lab_backends(lab, 0, 2, 2);
	lab_backends(lab, 1, 4, 1);
}

void lab_plan(const struct lab_service *s, struct perch_plan *ret_plan, struct perch_plan *ret_twin)
{
	struct split_want want = {
		.rest = 0, .canary = 1, .baseline = -1, .fallback = 0,
		.canary_share = s->share, .salt = s->salt,
		.role = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY },
		.fallback_role = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY },
	};

	if (split_plan(&want, ret_plan, ret_twin))
		abort();
}

struct perch_split *lab_split(const struct lab *lab, bool is_v6)
{
	return &lab->datapath.maps.splits[is_v6];
}

struct perch_version *lab_version(const struct lab *lab, bool is_v6, unsigned slot)
{
	return &lab->datapath.maps.versions[is_v6 * PERCH_SLOTS + slot];
}

struct perch_control *lab_control(const struct lab *lab)
{
	return lab->datapath.maps.control;
}

void lab_sever(const struct lab *lab, bool is_v6, unsigned slot)
{
	version_sever(lab_control(lab), lab_version(lab, is_v6, slot), lab_now());
}

static int apply(struct lab *lab, struct lab_service *s)
{
	bool known = lab->datapath.maps.services[s->placed.id].in_use;
	struct perch_plan plan, twin;
	char why[WHY] = "";
	int err;

	lab_plan(s, &plan, &twin);
	err = tables_apply(lab->tables, &s->placed, known ? NULL : &plan, known ? NULL : &twin, why);
	if (err)
		fprintf(stderr, "lab: service '%s': %s: %s\n", s->placed.name, why, strerror(-err));
	return err;
}

int lab_apply(struct lab *lab)
{
	return apply(lab, &lab->web[0]) ?: apply(lab, &lab->web[1]);
}

int lab_step(struct lab *lab, __u32 share)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct perch_split *split = lab_split(lab, v6);
		struct perch_plan plan, twin;
		__u64 word;
		int err;

		lab->web[v6].share = share;
		lab_plan(&lab->web[v6], &plan, &twin);
		err = split_step(split, split_word(split), &plan, &twin, PERCH_BY_AGENT,
				 lab_now() / 1000000000 - lab->web[v6].age, &word);
		if (err)
			return err;
	}
	return 0;
}

__u32 lab_backend_id(const struct lab *lab, unsigned slot, bool is_v6, unsigned host)
{
	struct perch_address address = lab_backend(is_v6, host);

	return tables_backend_id(lab->tables, is_v6, slot, &address, lab->web[is_v6].backend[slot][0].port);
}

__u64 lab_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}
