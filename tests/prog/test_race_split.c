/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The split word under two CPUs: one chooses and rolls back in the kernel,
 * one steps and rolls back in user space.
 * alone
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "../../user/core/split.h"
#include "tests/prog/race_split.skel.h"

#define RUNS 10			/* of 2^20 choices */
#define CANARY 1

struct race {
	struct race_split_bpf *kernel;
	struct perch_split *split;
	volatile bool over;
	int err;
	__u64 steps, refused, saw_rollback, rollbacks, rollbacks_first;
};

static void pin_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* The user side's maps are not needed; only the split is real. */
static int race_open(struct race *r)
{
	struct bpf_map *map;
	int err;

	memset(r, 0, sizeof(*r));
	r->kernel = race_split_bpf__open();
	if (!r->kernel)
		return -errno;
	bpf_object__for_each_map(map, r->kernel->obj)
		if (!bpf_map__is_internal(map) && bpf_map__type(map) != BPF_MAP_TYPE_RINGBUF)
			bpf_map__set_max_entries(map, 1);
	err = race_split_bpf__load(r->kernel);
	if (err)
		return err;
	r->split = mmap(NULL, sizeof(*r->split), PROT_READ | PROT_WRITE, MAP_SHARED,
			bpf_map__fd(r->kernel->maps.splits), 0);
	return r->split == MAP_FAILED ? -errno : 0;
}

static void race_close(struct race *r)
{
	munmap(r->split, sizeof(*r->split));
	race_split_bpf__destroy(r->kernel);
}

static void *choose(void *arg)
{
	struct race *r = arg;
	__u8 packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = packet, .data_size_in = sizeof(packet), .repeat = 1);

	pin_to(1);
	for (int i = 0; i < RUNS && !r->err; i++)
		r->err = bpf_prog_test_run_opts(bpf_program__fd(r->kernel->progs.race), &run);
	r->over = true;
	return NULL;
}

/* All to the canary, and back; `mark` is what tells a half copy. */
static void plans(struct perch_plan *plan, struct perch_plan *twin, __u64 mark)
{
	struct split_want want = {
		.rest = 0, .canary = CANARY, .baseline = -1, .fallback = 0,
		.canary_share = PERCH_SHARE_ALL, .salt = mark,
	};

	assert_int_equal(split_plan(&want, plan, twin), 0);
	for (int i = 0; i < 3; i++)
		plan->more[i] = twin->more[i] = mark;
	plan->salt = twin->salt = mark;
}

static void roll_back(struct race *r)
{
	__u64 before = split_rollback(r->split, PERCH_BY_AGENT | PERCH_ROLLED_BACK);

	/* told only after it is done: from here on no choice may be late */
	__atomic_store_n(&r->kernel->bss->user_rollback, perch_word_epoch(before) | 1, __ATOMIC_SEQ_CST);
	r->rollbacks++;
	r->rollbacks_first += !(before & PERCH_WORD_TWIN);
}

static void step(struct race *r, __u64 mark)
{
	__u64 judged = split_word(r->split), word;
	struct perch_plan plan, twin;
	int err;

	plans(&plan, &twin, mark);
	/* judging takes time: the word may move meanwhile */
	for (volatile __u32 pause = mark >> 56; pause; pause--)
		;
	err = split_step(r->split, judged, &plan, &twin, PERCH_BY_AGENT, 0, &word);
	if (err) {
		assert_int_equal(err, -ESTALE);
		r->refused++;
		return;
	}
	r->steps++;
	r->saw_rollback += !!(judged & PERCH_WORD_TWIN);
}

static void run_agent(struct race *r)
{
	__u32 random = 12345;

	pin_to(0);
	for (__u64 n = 2; !r->over; n++) {
		random ^= random << 13;
		random ^= random >> 17;
		random ^= random << 5;
		if (random % 32)
			step(r, n * 0x9e3779b97f4a7c15ull);
		else
			roll_back(r);
	}
}

static void test_race_split_is_never_torn_and_never_revives(void **state)
{
	struct perch_plan plan, twin;
	struct race_split_bpf__bss *seen;
	struct race r;
	pthread_t kernel;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		print_message("a race takes two CPUs\n");
		skip();
	}
	assert_int_equal(race_open(&r), 0);
	seen = r.kernel->bss;
	plans(&plan, &twin, 1);
	split_init(r.split, &plan, &twin, PERCH_BY_AGENT, 0);
	assert_int_equal(pthread_create(&kernel, NULL, choose, &r), 0);
	run_agent(&r);
	assert_int_equal(pthread_join(kernel, NULL), 0);
	assert_int_equal(r.err, 0);

	print_message("choices %llu canary %llu exhausted %llu; torn %llu wrong %llu after rollback %llu blind %llu\n",
		      seen->choices, seen->canaries, seen->exhausted, seen->torn, seen->wrong_plan,
		      seen->after_rollback, seen->step_was_blind);
	print_message("steps %llu (%llu from a rollback) refused %llu; rollbacks user %llu (first %llu) kernel %llu (first %llu)\n",
		      r.steps, r.saw_rollback, r.refused, r.rollbacks, r.rollbacks_first, seen->rollbacks,
		      seen->rollbacks_first);
	assert_true(seen->choices >= 10000000);
	assert_int_equal(seen->torn, 0);
	assert_int_equal(seen->wrong_plan, 0);
	assert_int_equal(seen->after_rollback, 0);
	assert_int_equal(seen->step_was_blind, 0);
	/* a race that one side always wins tests nothing */
	assert_true(seen->canaries > seen->choices / 100);
	assert_true(r.rollbacks_first * 10 >= r.rollbacks_first + seen->rollbacks_first);
	assert_true(seen->rollbacks_first * 10 >= r.rollbacks_first + seen->rollbacks_first);
	/* a step meets a rollback: it has seen it, or is refused for it */
	assert_true(r.saw_rollback * 10 >= r.saw_rollback + r.refused);
	assert_true(r.refused * 10 >= r.saw_rollback + r.refused);
	race_close(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_race_split_is_never_torn_and_never_revives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
