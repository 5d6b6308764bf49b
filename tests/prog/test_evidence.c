/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What is told about a version: counters, votes, histograms, samples. */
#include "../../user/datapath/samples.h"
#include "prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <time.h>

static void sleep_ms(unsigned ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

static __u64 sum(const __u64 *histogram, unsigned from, unsigned to)
{
	__u64 n = 0;

	for (unsigned i = from; i < to; i++)
		n += histogram[i];
	return n;
}

/* What one service's stable version was told since `before`. */
static struct perch_votes votes_since(struct lab *lab, struct mode m, const struct perch_votes *before)
{
	struct perch_votes now;
	__u64 *a = (__u64 *)&now;
	const __u64 *b = (const __u64 *)before;

	lab_votes(lab, m.v6, 0, &now);
	for (unsigned i = 0; before && i < sizeof(now) / sizeof(*a); i++)
		a[i] -= b[i];
	return now;
}

static __u64 failures(struct lab *lab, struct mode m)
{
	struct perch_counters c;
	__u64 n = 0;

	for (unsigned host = 2; host < 4; host++) {
		lab_counters(lab, lab_backend_id(lab, 0, m.v6, host), &c);
		n += c.connect_failures;
	}
	return n;
}

static __u64 resets(struct lab *lab, struct mode m)
{
	struct perch_counters c;
	__u64 n = 0;

	for (unsigned host = 2; host < 4; host++) {
		lab_counters(lab, lab_backend_id(lab, 0, m.v6, host), &c);
		n += c.resets;
	}
	return n;
}

static void test_evidence_of_a_connect_is_one_vote_and_its_time(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_votes before = votes_since(*state, m, NULL), now;
		unsigned low = perch_hist_bucket(20000), high = perch_hist_bucket(200000);

		mode_talk(&t, *state, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		sleep_ms(21);
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		/* what comes twice counts once */
		t.backend.seq--;
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		now = votes_since(*state, m, &before);
		assert_int_equal(now.connects, 1);
		assert_int_equal(now.connect_failures, 0);
		assert_int_equal(now.established, 0);
		assert_int_equal(sum(now.connect_time, 0, PERCH_HIST_BUCKETS), 1);
		assert_int_equal(sum(now.connect_time, low, high + 1), 1);
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(votes_since(*state, m, &before).established, 1);
	}
}

/* UDP knows no connect: what counts is that the hash sent it here. */
static void test_evidence_of_a_udp_flow_counts_once(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_votes before = votes_since(*state, m, NULL), now;

		mode_talk(&t, *state, m, IPPROTO_UDP, 30);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, 0, 10), TALK_FORWARDED);
		now = votes_since(*state, m, &before);
		assert_int_equal(now.udp_flows, 1);
		assert_int_equal(now.connects, 0);
		/* nor does TCP count as such */
		mode_talk(&t, *state, m, IPPROTO_TCP, 31);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(votes_since(*state, m, &before).udp_flows, 1);
	}
}

static void test_evidence_of_a_refused_connect_is_a_failure(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_votes before = votes_since(*state, m, NULL), now;
		__u64 failed = failures(*state, m);

		mode_talk(&t, *state, m, IPPROTO_TCP, 2);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		t.backend.seq = 0;
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		now = votes_since(*state, m, &before);
		assert_int_equal(now.connects, 1);
		assert_int_equal(now.connect_failures, 1);
		assert_int_equal(failures(*state, m) - failed, 1);
		assert_int_equal(talk_class(&t), PERCH_CLOSING);
	}
}

/* Only who saw the SYN can refuse it. */
static void test_evidence_of_a_forged_refusal_is_none(void **state)
{
	static const __u8 flags[] = { TCP_RST | TCP_ACK, TCP_RST | TCP_ACK, TCP_RST };
	static const int off[] = { 1, -1, 0 };
	static struct talk t;

	for_each_mode(m) {
		for (unsigned i = 0; i < 3; i++) {
			struct perch_votes before = votes_since(*state, m, NULL);
			__u64 failed = failures(*state, m);

			mode_talk(&t, *state, m, IPPROTO_TCP, 3 + i);
			assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
			t.backend.ack += off[i];
			/* without ACK it quotes nothing and proves nothing */
			if (flags[i] == TCP_RST)
				t.backend.ack = 0;
			assert_int_equal(talk_backend(&t, flags[i], 0), TALK_FORWARDED);
			assert_int_equal(votes_since(*state, m, &before).connects, 0);
			assert_int_equal(failures(*state, m), failed);
			assert_int_equal(talk_class(&t), PERCH_EMBRYONIC);
		}
	}
}

static void test_evidence_of_a_reset_counts_until_the_clients_fin(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_votes before = votes_since(*state, m, NULL);
		__u64 reset = resets(*state, m);

		mode_talk(&t, *state, m, IPPROTO_TCP, 10);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(votes_since(*state, m, &before).resets, 1);
		assert_int_equal(resets(*state, m) - reset, 1);
		/* who hangs up first may be reset */
		mode_talk(&t, *state, m, IPPROTO_TCP, 11);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		/* the client's own reset is nobody's fault */
		mode_talk(&t, *state, m, IPPROTO_TCP, 12);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		/* and a forged one is none */
		mode_talk(&t, *state, m, IPPROTO_TCP, 13);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		t.backend.seq += 1 << 30;
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(votes_since(*state, m, &before).resets, 1);
		assert_int_equal(resets(*state, m) - reset, 1);
		assert_int_equal(votes_since(*state, m, &before).established, 4);
	}
}

static void set_limits(struct lab *lab)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct placed_service *p = &lab->web[v6].placed;

		p->limits = 2;
		p->limit_us[0] = 10000;
		p->limit_us[1] = 200000;
	}
	assert_int_equal(lab_apply(lab), 0);
}

static void test_evidence_of_responses_is_per_turn_and_votes_once(void **state)
{
	static struct talk t;

	set_limits(*state);
	for_each_mode(m) {
		struct perch_votes before = votes_since(*state, m, NULL), now;

		mode_talk(&t, *state, m, IPPROTO_TCP, 20);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		for (unsigned turn = 0; turn < 4; turn++) {
			assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
			if (turn & 1)
				sleep_ms(12);
			/* a bare ACK is no response, and more of one is no other */
			assert_int_equal(talk_backend(&t, TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, TCP_ACK, 50), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 50), TALK_FORWARDED);
		}
		now = votes_since(*state, m, &before);
		assert_int_equal(now.responders, 1);
		assert_int_equal(now.over[0], 1);
		assert_int_equal(now.over[1], 0);
		assert_int_equal(sum(now.response_time, 0, PERCH_HIST_BUCKETS), 4);
		assert_int_equal(sum(now.response_time, perch_hist_bucket(11500), perch_hist_bucket(200000)), 2);
	}
}

static void test_evidence_of_udp_responses_is_taken_too(void **state)
{
	static struct talk t;

	set_limits(*state);
	for_each_mode(m) {
		struct perch_votes before = votes_since(*state, m, NULL), now;

		mode_talk(&t, *state, m, IPPROTO_UDP, 21);
		assert_int_equal(talk_client(&t, 0, 100), TALK_FORWARDED);
		sleep_ms(12);
		assert_int_equal(talk_backend(&t, 0, 100), TALK_FORWARDED);
		now = votes_since(*state, m, &before);
		assert_int_equal(sum(now.response_time, 0, PERCH_HIST_BUCKETS), 1);
		assert_int_equal(now.responders, 1);
		assert_int_equal(now.over[0], 1);
	}
}

static void test_evidence_of_doors_and_of_older_epochs_does_not_vote(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		struct perch_votes now;
		struct perch_counters c;

		mode_talk(&t, lab, m, IPPROTO_TCP, 22);
		t.client.to_port = LAB_DOOR_PORT;
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		lab_votes(lab, m.v6, 1, &now);
		assert_int_equal(now.connects + now.established + now.resets, 0);
		/* but it is counted, and shown in the histogram */
		assert_int_equal(sum(now.connect_time, 0, PERCH_HIST_BUCKETS), m.hook == LAB_XDP ? 1 : 2);
		lab_counters(lab, lab_backend_id(lab, 1, m.v6, 4), &c);
		assert_int_equal(c.resets, m.hook == LAB_XDP ? 1 : 2);
	}
	for_each_mode(m) {
		struct perch_votes before = votes_since(lab, m, NULL);

		mode_talk(&t, lab, m, IPPROTO_TCP, 23);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		/* a rollout begins with the next epoch */
		tables_compare(lab->tables, m.v6, &(struct comparison){ .since_epoch = perch_word_epoch(split_word(lab_split(lab, m.v6))) + 2 });
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(votes_since(lab, m, &before).connects, 0);
		assert_int_equal(lab_step(lab, 0), 0);
		mode_talk(&t, lab, m, IPPROTO_TCP, 24);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(votes_since(lab, m, &before).connects, 1);
	}
}

struct heard {
	struct perch_sample_backend backend[256];
	struct perch_sample_version version[2];
	struct perch_sample_host host;
	unsigned events[8];
};

static void hear_backend(void *arg, const struct perch_sample_backend *s)
{
	((struct heard *)arg)->backend[s->head.id & 255] = *s;
}

static void hear_version(void *arg, const struct perch_sample_version *s)
{
	if (s->service < 2 && !s->slot)
		((struct heard *)arg)->version[s->service] = *s;
}

static void hear_host(void *arg, const struct perch_sample_host *s)
{
	((struct heard *)arg)->host = *s;
}

static void hear_event(void *arg, const struct perch_event *e)
{
	((struct heard *)arg)->events[e->kind & 7]++;
}

static void hear_for(struct samples *s, unsigned ms)
{
	__u64 until = lab_now() + ms * 1000000ull;

	while (lab_now() < until) {
		struct pollfd p = { .fd = samples_fd(s), .events = POLLIN };

		poll(&p, 1, 50);
		assert_true(samples_read(s) >= 0);
	}
}

/* A round of everything, of which the ring must tell. */
static void make_traffic(struct lab *lab, __u32 turn)
{
	static struct talk t;

	for_each_mode(m) {
		for (__u32 n = 0; n < 20; n++) {
			mode_talk(&t, lab, m, IPPROTO_TCP, turn * 1000 + n);
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
			if (n & 1)
				assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		}
	}
}

static void assert_heard(struct lab *lab, const struct heard *h)
{
	struct perch_counters c;
	struct perch_votes v;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		for (unsigned host = 2; host < 4; host++) {
			__u32 id = lab_backend_id(lab, 0, v6, host);

			lab_counters(lab, id, &c);
			assert_true(c.opened > 0);
			assert_memory_equal(&h->backend[id].sum, &c, sizeof(c));
			assert_int_equal(h->backend[id].version, v6 * PERCH_SLOTS);
		}
		lab_votes(lab, v6, 0, &v);
		assert_true(v.connects > 0);
		assert_memory_equal(&h->version[v6].sum, &v, sizeof(v));
	}
	for (unsigned hook = 0; hook < PERCH_HOOKS; hook++)
		assert_int_equal(h->host.reasons.n[hook][PERCH_R_NEW], lab_reason(lab, hook, PERCH_R_NEW));
	assert_int_equal(h->host.samples_lost, 0);
}

static void test_evidence_in_samples_equals_the_counters(void **state)
{
	static const struct sample_handlers handlers = {
		.backend = hear_backend, .version = hear_version, .host = hear_host, .event = hear_event,
	};
	static struct heard h;
	struct samples *s;

	assert_int_equal(samples_open(&s, &((struct lab *)*state)->datapath.maps, &handlers, &h), 0);
	for (__u32 turn = 0; turn < 2; turn++) {
		make_traffic(*state, turn);
		hear_for(s, 500);
		assert_heard(*state, &h);
	}
	assert_int_equal(h.events[PERCH_EVENT_RESET], 2 * MODES * 10);
	samples_close(s);
}

/* Its elements are free again only when the last end of a flow was told. */
static void test_evidence_of_a_service_taken_away_comes_to_its_end(void **state)
{
	static const struct sample_handlers handlers = { .backend = hear_backend };
	struct lab *lab = *state;
	static struct talk t[2];
	static struct heard h;
	struct samples *s;
	__u32 id[2];

	assert_int_equal(samples_open(&s, &lab->datapath.maps, &handlers, &h), 0);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		mode_talk(&t[v6], lab, (struct mode){ LAB_XDP, v6 }, IPPROTO_TCP, 50);
		assert_int_equal(talk_connect(&t[v6]), TALK_FORWARDED);
		id[v6] = lab_backend_id(lab, 0, v6, t[v6].host);
	}
	hear_for(s, 1500);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		assert_int_equal(h.backend[id[v6]].sum.opened - h.backend[id[v6]].sum.ended, 1);
		assert_int_equal(tables_remove(lab->tables, v6), 0);
		assert_int_equal(talk_client(&t[v6], TCP_ACK, 10), TALK_ANSWERED);
	}
	hear_for(s, 1500);
	for (unsigned v6 = 0; v6 < 2; v6++)
		assert_int_equal(h.backend[id[v6]].sum.opened - h.backend[id[v6]].sum.ended, 0);
	samples_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_evidence_of_a_connect_is_one_vote_and_its_time),
		prog_test(test_evidence_of_a_udp_flow_counts_once),
		prog_test(test_evidence_of_a_refused_connect_is_a_failure),
		prog_test(test_evidence_of_a_forged_refusal_is_none),
		prog_test(test_evidence_of_a_reset_counts_until_the_clients_fin),
		prog_test_bare(test_evidence_of_responses_is_per_turn_and_votes_once),
		prog_test_bare(test_evidence_of_udp_responses_is_taken_too),
		prog_test(test_evidence_of_doors_and_of_older_epochs_does_not_vote),
		prog_test(test_evidence_in_samples_equals_the_counters),
		prog_test(test_evidence_of_a_service_taken_away_comes_to_its_end),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
