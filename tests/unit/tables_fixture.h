/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Tables over plain memory, with real BPF maps where the kernel is spoken to
 * by system call.  What a packet would see is read as the programs read it:
 * address, listener, service, version, slice of the family, backend.
 */
#ifndef PERCH_TEST_TABLES_FIXTURE_H
#define PERCH_TEST_TABLES_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../../user/core/address.h"
#include "../../user/core/split.h"
#include "../../user/datapath/elements.h"

#define SERVICES 80
#define BACKENDS 64
#define LISTENERS 96
#define SETS 16

static struct datapath d;
static struct tables *t;
static struct maps *m = &d.maps;
static int cpus;

static inline void *memory(size_t n, size_t size)
{
	void *p = aligned_alloc(64, (n * size + 63) / 64 * 64);

	assert_non_null(p);
	return memset(p, 0, (n * size + 63) / 64 * 64);
}

static inline int map_make(enum bpf_map_type type, const char *name, __u32 key, __u32 value, __u32 entries)
{
	int fd = bpf_map_create(type, name, key, value, entries, NULL);

	if (fd < 0)
		fail_msg("bpf_map_create %s: %s", name, strerror(errno));
	return fd;
}

/* Slices of a few lines, so that they are used up. */
static inline void maps_make(__u32 slice_words)
{
	memset(&d, 0, sizeof(d));
	m->control = memory(1, sizeof(*m->control));
	m->control->services = SERVICES;
	m->control->backends_n = BACKENDS;
	m->control->listeners_n = LISTENERS;
	m->control->slice_words = slice_words;
	m->control->flow_sets = SETS;
	m->filter = memory(1, sizeof(*m->filter));
	m->listeners = memory(LISTENERS, sizeof(*m->listeners));
	m->services = memory(SERVICES, sizeof(*m->services));
	m->splits = memory(SERVICES, sizeof(*m->splits));
	m->versions = memory(SERVICES * PERCH_SLOTS, sizeof(*m->versions));
	m->backends = memory(BACKENDS, sizeof(*m->backends));
	m->slices = memory(slice_words, sizeof(*m->slices));
	m->flows = memory(SETS, sizeof(*m->flows));
	m->sources = memory(SERVICES, sizeof(*m->sources));
	m->observed = memory(PERCH_OBSERVED, sizeof(*m->observed));
	m->blame = memory(PERCH_OBSERVED, sizeof(*m->blame));
	m->names = memory(SERVICES, sizeof(*m->names));
	m->addresses_fd = map_make(BPF_MAP_TYPE_HASH, "addresses", sizeof(struct perch_endpoint), 4, LISTENERS);
	m->counters_fd = map_make(BPF_MAP_TYPE_PERCPU_ARRAY, "counters", 4, sizeof(struct perch_counters), BACKENDS);
	m->votes_fd = map_make(BPF_MAP_TYPE_PERCPU_ARRAY, "votes", 4, sizeof(struct perch_votes),
			       PERCH_OBSERVED * PERCH_SLOTS);
	m->tallies_fd = map_make(BPF_MAP_TYPE_PERCPU_ARRAY, "tallies", 4, sizeof(struct perch_tallies),
				 PERCH_OBSERVED * PERCH_SLOTS);
	m->caps_fd = map_make(BPF_MAP_TYPE_ARRAY, "caps", 4, sizeof(struct perch_caps), PERCH_OBSERVED);
	cpus = libbpf_num_possible_cpus();
	assert_int_equal(tables_open(&t, &d), 0);
}

static inline int setup(void **state)
{
	maps_make(4096);
	return 0;
}

static inline int setup_small(void **state)
{
	maps_make(64);
	return 0;
}

static inline int teardown(void **state)
{
	tables_close(t);
	free(m->control);
	free(m->filter);
	free(m->listeners);
	free(m->services);
	free(m->splits);
	free(m->versions);
	free(m->backends);
	free(m->slices);
	free(m->flows);
	free(m->sources);
	free(m->observed);
	free(m->blame);
	free(m->names);
	close(m->addresses_fd);
	close(m->counters_fd);
	close(m->votes_fd);
	close(m->tallies_fd);
	close(m->caps_fd);
	return 0;
}

/* A service with stable in slot 0 (10.ID.0.1, .2, ...) and a canary in slot 1
 * (10.ID.1.1, ...), listening on 192.0.2.ID:80/tcp; a door on port 8080. */
struct place {
	struct placed_service s;
	struct perch_endpoint listen[4], door;
	struct model_backend backend[2][16];
};

static inline struct perch_address address(const char *format, int a, int b)
{
	struct perch_address ret;
	char text[64];

	snprintf(text, sizeof(text), format, a, b);
	assert_int_equal(address_parse(text, &ret), 0);
	return ret;
}

static inline void place_backends(struct place *p, unsigned slot, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p->backend[slot][i] = (struct model_backend){
			.address = address(slot ? "10.%d.1.%d" : "10.%d.0.%d", p->s.id, i + 1),
			.port = htons(8000),
			.weight = 1,
		};
	p->s.version[slot].backends = p->backend[slot];
	p->s.version[slot].n_backends = n;
}

/* n of each family, in turns: those of IPv6 are fd00:ID:SLOT::1, ::2, ... */
static inline void place_mixed(struct place *p, unsigned slot, size_t n)
{
	char format[32];

	place_backends(p, slot, 2 * n);
	snprintf(format, sizeof(format), "fd00:%%d:%u::%%d", slot);
	for (size_t i = 1; i < 2 * n; i += 2)
		p->backend[slot][i].address = address(format, p->s.id, i / 2 + 1);
}

static inline void place_make(struct place *p, unsigned id, size_t stable, size_t canary)
{
	memset(p, 0, sizeof(*p));
	p->s = (struct placed_service){
		.id = id, .name = "web", .listen = p->listen, .n_listen = 1, .drain_ms = 1234, .n_versions = 2,
		.affinity = PERCH_AFFINITY_CONNECTION, .established = PERCH_DRAIN,
	};
	p->listen[0] = (struct perch_endpoint){ address("192.0.2.%d%.0d", id, 0), htons(80), IPPROTO_TCP, 0 };
	p->door = (struct perch_endpoint){ address("192.0.2.%d%.0d", id, 0), htons(8080), IPPROTO_TCP, 0 };
	p->s.version[0] = (struct placed_version){ .slot = 0, .name = "v1", .role = PERCH_ROLE_STABLE };
	p->s.version[1] = (struct placed_version){
		.slot = 1, .name = "v2", .role = PERCH_ROLE_CANARY, .doors = &p->door, .n_doors = 1,
	};
	place_backends(p, 0, stable);
	place_backends(p, 1, canary);
}

static inline void apply_new(struct place *p)
{
	struct split_want want = { .rest = 0, .canary = 1, .baseline = -1, .fallback = 0, .canary_share = 500 };
	struct perch_plan plan, twin;
	char why[WHY] = "";

	assert_int_equal(split_plan(&want, &plan, &twin), 0);
	if (tables_apply(t, &p->s, &plan, &twin, why))
		fail_msg("tables_apply: %s", why);
}

static inline void apply(struct place *p)
{
	char why[WHY] = "";

	if (tables_apply(t, &p->s, NULL, NULL, why))
		fail_msg("tables_apply: %s", why);
}

static inline __u32 listener_of(const struct perch_endpoint *e)
{
	__u32 id = 0;

	return bpf_map_lookup_elem(m->addresses_fd, e, &id) ? 0 : id;
}

static inline __u32 slice_entry(__u64 slice, __u32 i)
{
	__u32 at = perch_slice_offset(slice) + i;

	return m->slices[at / PERCH_SLICE_WIDTH].backend[at % PERCH_SLICE_WIDTH];
}

/* Is it in the table of its own family? */
static inline bool slice_names(unsigned version, __u32 backend)
{
	__u64 slice = m->versions[version].slice[address_family(&m->backends[backend].address)];

	for (__u32 i = 0; i < perch_slice_length(slice); i++)
		if (slice_entry(slice, i) == backend)
			return true;
	return false;
}

static inline bool filter_has(const __u64 *bits, const struct perch_address *a)
{
	__u32 bit = perch_filter_bit(a->word);

	return bits[bit / 64] >> bit % 64 & 1;
}

static inline size_t filter_weight(const __u64 *bits)
{
	size_t n = 0;

	for (__u32 i = 0; i < PERCH_FILTER_BITS / 64; i++)
		n += __builtin_popcountll(bits[i]);
	return n;
}

static inline __u32 id_of(const struct place *p, unsigned slot, size_t i)
{
	return tables_backend_id(t, p->s.id, slot, &p->backend[slot][i].address, p->backend[slot][i].port);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_SMALL(name) cmocka_unit_test_setup_teardown(name, setup_small, teardown)

#endif
