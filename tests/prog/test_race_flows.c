/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The flow table under two CPUs that fight for few keys in few sets.  From
 * the records of all operations: a flow that was seen before an operation
 * began and seen again after it ended was there all the time, so whoever had
 * its key in between must have seen it and no other.
 * alone
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include <perch/abi.h>

#include "race_flows.h"
#include "tests/prog/race_flows.skel.h"

#define OPERATIONS (1u << 19)	/* per round and CPU */
#define ROUNDS 10
#define RECORDS (RACE_CPUS * OPERATIONS)

struct race {
	struct race_flows_bpf *kernel;
	struct perch_flow_set *sets;
	struct race_record *records;
	__u32 n_sets;
	__u64 switched, missed;
};

/* When a flow of a key was certainly there. */
struct span {
	__u64 from, to;
	__u32 nonce;
};

static void race_set_up(struct race *r, __u32 sets)
{
	struct race_flows_bpf *k = r->kernel;
	struct bpf_map *map;

	bpf_object__for_each_map(map, k->obj)
		if (!bpf_map__is_internal(map) && bpf_map__type(map) != BPF_MAP_TYPE_RINGBUF && map != k->maps.stripes)
			bpf_map__set_max_entries(map, 2);
	bpf_map__set_max_entries(k->maps.flows, sets);
	bpf_map__set_max_entries(k->maps.records, RECORDS);
	k->rodata->constants.set_mask = sets - 1;
	k->rodata->operations = OPERATIONS;
	/* ticks of a microsecond: entries rest, expire and give way in the race */
	for (unsigned class = 0; class < 16; class++)
		k->rodata->constants.timeout[class] = class == PERCH_BUSY ? 0xffffff : 300;
	for (unsigned i = 0; i < 4; i++)
		k->rodata->constants.secret[i] = 0x243f6a8885a308d3ull * (i + 1);
}

static void *map_memory(const struct bpf_map *map, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	assert_true(at != MAP_FAILED);
	return at;
}

static void race_open(struct race *r, __u32 sets)
{
	struct perch_listener listener = { .address = { { 0, 0, 0, RACE_LISTENER } }, .port = htons(80), .in_use = 1 };
	__u32 one = 1;

	memset(r, 0, sizeof(*r));
	r->n_sets = sets;
	r->kernel = race_flows_bpf__open();
	assert_non_null(r->kernel);
	race_set_up(r, sets);
	assert_int_equal(race_flows_bpf__load(r->kernel), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(r->kernel->maps.listeners), &one, &listener, 0), 0);
	r->sets = map_memory(r->kernel->maps.flows, sets * sizeof(*r->sets));
	r->records = map_memory(r->kernel->maps.records, RECORDS * sizeof(*r->records));
}

static void race_close(struct race *r)
{
	munmap(r->sets, r->n_sets * sizeof(*r->sets));
	munmap(r->records, RECORDS * sizeof(*r->records));
	race_flows_bpf__destroy(r->kernel);
}

struct racer {
	struct race *race;
	pthread_barrier_t *start;
	int cpu, err;
};

static void *race_on(void *arg)
{
	struct racer *me = arg;
	__u8 packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet), .repeat = 1);
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(me->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		me->err = -errno;
	pthread_barrier_wait(me->start);
	if (!me->err)
		me->err = bpf_prog_test_run_opts(bpf_program__fd(me->race->kernel->progs.race), &run);
	return NULL;
}

static void run_round(struct race *r)
{
	struct racer racer[RACE_CPUS];
	pthread_t thread[RACE_CPUS];
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, RACE_CPUS);
	for (int cpu = 0; cpu < RACE_CPUS; cpu++) {
		racer[cpu] = (struct racer){ r, &start, cpu, 0 };
		assert_int_equal(pthread_create(&thread[cpu], NULL, race_on, &racer[cpu]), 0);
	}
	for (int cpu = 0; cpu < RACE_CPUS; cpu++) {
		assert_int_equal(pthread_join(thread[cpu], NULL), 0);
		assert_int_equal(racer[cpu].err, 0);
	}
	pthread_barrier_destroy(&start);
}

static int by_key_and_nonce(const void *a, const void *b)
{
	const struct race_record *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->nonce == y->nonce ? 0 : x->nonce < y->nonce ? -1 : 1;
}

static int by_from(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return x->from == y->from ? 0 : x->from < y->from ? -1 : 1;
}

/* Spans of the flows in r[0 .. n), all of one key, sorted by nonce. */
static size_t find_spans(const struct race_record *r, size_t n, struct span *out)
{
	size_t spans = 0;

	for (size_t i = 0, end; i < n; i = end) {
		struct span s = { UINT64_MAX, 0, r[i].nonce };

		for (end = i; end < n && r[end].nonce == s.nonce; end++) {
			if (r[end].kind >= RACE_REFUSED)
				continue;
			s.from = r[end].end < s.from ? r[end].end : s.from;
			s.to = r[end].begin > s.to ? r[end].begin : s.to;
		}
		if (s.from < s.to)
			out[spans++] = s;
	}
	qsort(out, spans, sizeof(*out), by_from);
	return spans;
}

/* Was a flow other than the one that the operation saw there all along?
 * Spans are sorted by their start; two that overlap are a fault themselves,
 * so the latest one that began before the operation is the one to ask. */
static bool saw_wrong(const struct span *span, size_t spans, const struct race_record *op)
{
	size_t low = 0, high = spans;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (span[middle].from < op->begin)
			low = middle + 1;
		else
			high = middle;
	}
	return low && span[low - 1].nonce != op->nonce && span[low - 1].to > op->end;
}

static void judge_key(struct race *r, const struct race_record *op, size_t n, struct span *span)
{
	size_t spans = find_spans(op, n, span);

	for (size_t i = 1; i < spans; i++)
		r->switched += span[i].from < span[i - 1].to;
	for (size_t i = 0; i < n; i++) {
		if (op[i].kind == RACE_NOT_REPLACED || !saw_wrong(span, spans, &op[i]))
			continue;
		if (op[i].kind == RACE_REFUSED)
			r->missed++;
		else
			r->switched++;
	}
}

static void judge_round(struct race *r)
{
	struct span *span = calloc(RECORDS, sizeof(*span));
	struct race_record *op = r->records;

	assert_non_null(span);
	qsort(op, RECORDS, sizeof(*op), by_key_and_nonce);
	for (size_t i = 0, end; i < RECORDS; i = end) {
		for (end = i; end < RECORDS && op[end].key == op[i].key; end++)
			;
		judge_key(r, op + i, end - i, span);
	}
	free(span);
}

/* What the table holds when all is quiet. */
static __u64 scan(const struct race *r, unsigned *ret_doubles)
{
	__u64 live = 0;

	*ret_doubles = 0;
	for (__u32 i = 0; i < r->n_sets * PERCH_WAYS; i++) {
		const struct perch_flow_set *a = &r->sets[i / PERCH_WAYS];
		__u64 tag = a->tag[i % PERCH_WAYS];
		__u32 class = perch_tag_class(tag);

		assert_int_not_equal(class, PERCH_BUSY);
		if (!perch_tag_fingerprint(tag))
			continue;
		live += class != PERCH_CLOSING && class != PERCH_FREE;
		for (__u32 k = i + 1; k < r->n_sets * PERCH_WAYS; k++) {
			const struct perch_flow_set *b = &r->sets[k / PERCH_WAYS];

			*ret_doubles += perch_tag_fingerprint(b->tag[k % PERCH_WAYS]) &&
					!memcmp(&a->flow[i % PERCH_WAYS].key, &b->flow[k % PERCH_WAYS].key,
						sizeof(struct perch_flow_key));
		}
	}
	return live;
}

static __u64 active(const struct race *r)
{
	int cpus = libbpf_num_possible_cpus();
	struct perch_counters c[cpus];
	__u64 sum = 0;
	__u32 one = 1;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(r->kernel->maps.counters), &one, c), 0);
	for (int i = 0; i < cpus; i++)
		sum += c[i].opened - c[i].ended;
	return sum;
}

static struct race_counts sum_counts(const struct race *r)
{
	const struct race_counts *c = r->kernel->bss->seen;

	return (struct race_counts){
		.found = c[0].found + c[1].found, .inserted = c[0].inserted + c[1].inserted,
		.late = c[0].late + c[1].late, .full = c[0].full + c[1].full, .busy = c[0].busy + c[1].busy,
		.moved = c[0].moved + c[1].moved, .torn = c[0].torn + c[1].torn,
	};
}

static void race_in(__u32 sets, unsigned rounds)
{
	struct race_counts n;
	struct race r;
	unsigned doubles;

	if (sysconf(_SC_NPROCESSORS_ONLN) < RACE_CPUS) {
		print_message("a race takes two CPUs\n");
		skip();
	}
	race_open(&r, sets);
	for (unsigned i = 0; i < rounds; i++) {
		run_round(&r);
		judge_round(&r);
	}
	n = sum_counts(&r);
	print_message("%u sets: operations %llu found %llu inserted %llu late %llu full %llu busy %llu moved %llu; "
		      "torn %llu switched %llu missed %llu\n", sets, (__u64)rounds * RECORDS, n.found, n.inserted,
		      n.late, n.full, n.busy, n.moved, n.torn, r.switched, r.missed);
	assert_int_equal(n.torn, 0);
	assert_int_equal(r.switched, 0);
	assert_int_equal(r.missed, 0);
	assert_int_equal(active(&r), scan(&r, &doubles));
	assert_int_equal(doubles, 0);
	/* a race without these tests nothing */
	assert_true(n.inserted > RECORDS / 100);
	assert_true(n.late && n.moved);
	race_close(&r);
}

static void test_race_flows_with_room_keeps_each_flow_whole_and_counted(void **state)
{
	race_in(16, ROUNDS);
}

static void test_race_flows_in_a_full_table_keeps_each_flow_whole_and_counted(void **state)
{
	race_in(4, ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_race_flows_with_room_keeps_each_flow_whole_and_counted),
		cmocka_unit_test(test_race_flows_in_a_full_table_keeps_each_flow_whole_and_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
