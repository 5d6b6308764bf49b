/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel's clockwork: how often it samples whom, and what its walk over
 * the flow table counts.
 * alone
 */
#include "../../user/datapath/samples.h"
#include "prog.h"

#include <poll.h>
#include <time.h>

/* Samples of each service, and when the first and the last of them came. */
struct heard {
	unsigned n[2];
	__u64 first[2], last[2];
};

static void hear_service(void *arg, const struct perch_sample_service *s)
{
	struct heard *h = arg;
	__u32 id = s->head.id;

	if (id > 1)
		return;
	if (!h->n[id]++)
		h->first[id] = s->head.time;
	h->last[id] = s->head.time;
}

static void hear_for(struct lab *lab, struct heard *h, unsigned ms)
{
	static const struct sample_handlers handlers = { .service = hear_service };
	__u64 until;
	struct samples *s;

	assert_int_equal(samples_open(&s, &lab->datapath.maps, &handlers, h), 0);
	/* what was in the ring is of before */
	assert_true(samples_read(s) >= 0);
	memset(h, 0, sizeof(*h));
	for (until = lab_now() + ms * 1000000ull; lab_now() < until;) {
		struct pollfd p = { .fd = samples_fd(s), .events = POLLIN };

		poll(&p, 1, 20);
		assert_true(samples_read(s) >= 0);
	}
	samples_close(s);
}

/* Mean time between two samples, ms. */
static unsigned mean_ms(const struct heard *h, unsigned service)
{
	assert_true(h->n[service] >= 2);
	return (h->last[service] - h->first[service]) / (h->n[service] - 1) / 1000000;
}

/* Element 0 is in a rollout, element 1 is not. */
static void apply_one_rollout(struct lab *lab)
{
	lab->web[1].placed.sampling = false;
	assert_int_equal(lab_apply(lab), 0);
}

static void set_interval(struct lab *lab, unsigned ms)
{
	__atomic_store_n(&lab->datapath.maps.control->sample_interval, ms * 1000000ull, __ATOMIC_RELAXED);
}

static void test_clockwork_samples_rollouts_at_the_interval_and_others_at_1_hz(void **state)
{
	/* the timer's period adds up to 10 ms, a busy machine a few more */
	static const struct { unsigned set, least, most; } intervals[] = {
		{ 0, 100, 130 }, { 40, 40, 65 }, { 10, 10, 30 },
	};
	struct heard h;

	apply_one_rollout(*state);
	for (unsigned i = 0; i < sizeof(intervals) / sizeof(intervals[0]); i++) {
		set_interval(*state, intervals[i].set);
		hear_for(*state, &h, 2500);
		assert_in_range(mean_ms(&h, 0), intervals[i].least, intervals[i].most);
		assert_in_range(mean_ms(&h, 1), 1000, 1100);
	}
}

static void test_clockwork_samples_others_at_1_hz_beside_a_long_interval(void **state)
{
	struct heard h;

	apply_one_rollout(*state);
	set_interval(*state, 10000);
	hear_for(*state, &h, 2500);
	assert_in_range(h.n[0], 0, 1);
	assert_in_range(mean_ms(&h, 1), 1000, 1100);
	/* a shorter one counts from the last sample, not from the end of this */
	set_interval(*state, 100);
	hear_for(*state, &h, 1000);
	assert_in_range(mean_ms(&h, 0), 100, 130);
}

/* Wait until the walk has gone over the whole table from now on. */
static void wait_walk(struct lab *lab)
{
	volatile struct perch_control *c = lab->datapath.maps.control;
	__u64 passes = c->sweep_passes, until = lab_now() + 20000000000ull;
	const struct timespec nap = { .tv_nsec = 50000000 };

	while (c->sweep_passes < passes + 2 && lab_now() < until)
		nanosleep(&nap, NULL);
	assert_true(lab_now() < until);
}

static void test_clockwork_counts_the_flow_table_entries(void **state)
{
	struct lab *lab = *state;
	struct talk t;

	for (__u32 n = 0; n < 30; n++) {
		talk_init(&t, lab, LAB_XDP, n & 1, IPPROTO_TCP, n);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
	}
	wait_walk(lab);
	assert_int_equal(lab->datapath.maps.control->flow_entries, 30);
	assert_int_equal(flows_count(&lab->datapath.maps, NULL), 30);
	/* those that ended stay for a while, and are no connections */
	assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
	wait_walk(lab);
	assert_int_equal(lab_active(lab), 29);
	assert_int_equal(lab_age(lab, 8000), 30);
	wait_walk(lab);
	assert_int_equal(lab->datapath.maps.control->flow_entries, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test_bare(test_clockwork_samples_rollouts_at_the_interval_and_others_at_1_hz),
		prog_test_bare(test_clockwork_samples_others_at_1_hz_beside_a_long_interval),
		prog_test(test_clockwork_counts_the_flow_table_entries),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
