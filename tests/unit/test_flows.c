/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The flow table as user space reads it, while somebody writes it by the
 * kernel's protocol. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netinet/in.h>

#include "../../user/datapath/flows.h"

#define SETS 64

static struct maps maps;
static struct perch_control control = { .flow_sets = SETS, .hz = 250, .tick_shift = 2, .tick = 1000 };
static struct perch_version versions[PERCH_SLOTS];
static struct perch_backend backends[2];
static struct perch_flow_set *table;

static int setup(void **state)
{
	table = aligned_alloc(64, SETS * sizeof(*table));
	assert_non_null(table);
	memset(table, 0, SETS * sizeof(*table));
	maps = (struct maps){ .control = &control, .flows = table, .versions = versions, .backends = backends };
	return 0;
}

static int teardown(void **state)
{
	free(table);
	return 0;
}

struct seen {
	size_t n, stop_at;
	struct flow_copy last;
};

static bool see(void *arg, const struct flow_copy *f)
{
	struct seen *s = arg;

	s->last = *f;
	return ++s->n != s->stop_at;
}

static void test_walk_sees_live_entries_only(void **state)
{
	struct seen s = { 0 };
	size_t by_class[16];

	table[0].tag[0] = perch_tag(1, 1, PERCH_TCP, 1000);
	table[0].tag[7] = perch_tag(2, 1, PERCH_UDP, 1000);
	table[SETS - 1].tag[7] = perch_tag(3, 1, PERCH_EMBRYONIC, 1000);
	table[5].tag[1] = perch_tag(4, 1, PERCH_BUSY, 1000);
	table[5].tag[2] = perch_tag(0, 9, PERCH_FREE, 1000);
	table[5].tag[3] = perch_tag(0, 9, PERCH_TCP, 1000);
	assert_int_equal(flows_walk(&maps, see, &s), 3);
	assert_int_equal(s.n, 3);
	assert_int_equal(flows_count(&maps, by_class), 3);
	assert_int_equal(by_class[PERCH_TCP], 1);
	assert_int_equal(by_class[PERCH_UDP], 1);
	assert_int_equal(by_class[PERCH_EMBRYONIC], 1);
	assert_int_equal(by_class[PERCH_BUSY], 0);
	assert_int_equal(flows_count(&maps, NULL), 3);
	s = (struct seen){ .stop_at = 2 };
	assert_int_equal(flows_walk(&maps, see, &s), 2);
}

static __u32 idle_of(__u32 now, __u32 tick)
{
	struct seen s = { 0 };

	control.tick = now;
	table[0].tag[0] = perch_tag(1, 1, PERCH_TCP, tick);
	flows_walk(&maps, see, &s);
	return s.last.idle_ms;
}

static void test_walk_idle_is_in_ms_and_never_negative(void **state)
{
	assert_int_equal(idle_of(1000, 1000), 0);
	assert_int_equal(idle_of(1000, 900), 1600);
	assert_int_equal(idle_of(1000, 1001), 0);		/* another CPU's clock is ahead */
	assert_int_equal(idle_of(2, 0xfffffe), 64);		/* ticks wrap */
	assert_int_equal(idle_of(450000, 0), 7200000);
}

/* Writes flows whose every word is derived from one number, the byte that
 * makes an alias 0. */
#define WORD_MASK 0x00ffffffffffffffull

struct writer {
	unsigned seed;
	__u64 written;
	bool stop;
};

static void flow_fill(struct perch_flow *f, __u32 x)
{
	__u64 *word = (__u64 *)f;

	for (size_t i = 0; i < sizeof(*f) / 8; i++)
		__atomic_store_n(&word[i], (x * 0x9e3779b97f4a7c15ull + i) & WORD_MASK, __ATOMIC_RELAXED);
}

static bool flow_whole(const struct perch_flow *f)
{
	__u64 word[sizeof(*f) / 8];

	memcpy(word, f, sizeof(word));
	for (size_t i = 1; i < sizeof(word) / 8; i++)
		if (word[i] != ((word[0] + i) & WORD_MASK))
			return false;
	return true;
}

static void *writer_run(void *arg)
{
	struct writer *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		__u32 x = rand_r(&w->seed), way = x % PERCH_WAYS;
		__u64 *tag = &table[x / PERCH_WAYS % 2].tag[way], old = __atomic_load_n(tag, __ATOMIC_RELAXED);
		__u32 generation = perch_tag_generation(old) + 1;

		if (!__atomic_compare_exchange_n(tag, &old, perch_tag(0, generation, PERCH_BUSY, 0), false,
						 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			continue;
		flow_fill(&table[x / PERCH_WAYS % 2].flow[way], x);
		__atomic_exchange_n(tag, perch_tag(x | 1, generation, PERCH_TCP, 0), __ATOMIC_SEQ_CST);
		w->written++;
	}
	return NULL;
}

static bool see_whole(void *arg, const struct flow_copy *f)
{
	size_t *torn = arg;

	*torn += !flow_whole(&f->flow);
	return true;
}

static void test_walk_copies_whole_entries_while_they_are_replaced(void **state)
{
	struct writer w = { .seed = 1 };
	size_t seen = 0, torn = 0;
	pthread_t thread;

	control.flow_sets = 2;
	assert_int_equal(pthread_create(&thread, NULL, writer_run, &w), 0);
	while (__atomic_load_n(&w.written, __ATOMIC_RELAXED) < 20000000)
		seen += flows_walk(&maps, see_whole, &torn);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	control.flow_sets = SETS;
	print_message("%zu entries seen, %llu written\n", seen, w.written);
	assert_true(seen > 100000);
	assert_int_equal(torn, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_walk_sees_live_entries_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk_idle_is_in_ms_and_never_negative, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk_copies_whole_entries_while_they_are_replaced, setup, teardown),
	};

	return cmocka_run_group_tests_name("flows", tests, NULL, NULL);
}
