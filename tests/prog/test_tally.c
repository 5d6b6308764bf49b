/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Tallies: what becomes of a connection, as votes of a comparison. */
#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "prog.h"

/* A bucket that nothing here takes as long as, and one that all do. */
#define EDGE_HIGH 180
#define EDGE_LOW 0

/* The service of this family compares from now on. */
static void compare(struct lab *lab, struct mode m, bool once)
{
	struct comparison c = { .since_epoch = lab_epoch(lab, m), .canary = 1, .on = true, .once = once };

	memset(c.edge, PERCH_NO_EDGE, sizeof(c.edge));
	for (int w = 0; w < PERCH_WAITS; w++) {
		c.edge[0][w][0] = EDGE_LOW;
		c.edge[0][w][1] = EDGE_HIGH;
	}
	tables_compare(lab->tables, m.v6, &c);
}

static struct perch_tally tally_of(struct lab *lab, struct mode m, __u32 epoch)
{
	static struct perch_tallies t;
	struct perch_tally none = { 0 };

	assert_int_equal(tables_tallies(lab->tables, m.v6, 0, &t), 0);
	return t.cell[epoch / 2 % PERCH_EPOCHS].epoch == epoch ? t.cell[epoch / 2 % PERCH_EPOCHS] : none;
}

/* Votes of the epoch in force, since `before`. */
static struct perch_tally tally_since(struct lab *lab, struct mode m, const struct perch_tally *before)
{
	struct perch_tally now = tally_of(lab, m, lab_epoch(lab, m));

	for (unsigned i = 1; before && before->epoch == now.epoch && i < sizeof(now) / 8; i++)
		((__u64 *)&now)[i] -= ((const __u64 *)before)[i];
	return now;
}

#define assert_outcome(t, o, n, bads)                                          \
	do {                                                                   \
		assert_int_equal((t).outcome[o].decided, n);                   \
		assert_int_equal((t).outcome[o].bad, bads);                    \
		assert_int_equal((t).outcome[o].capped, 0);                    \
	} while (0)

static struct perch_tally before_of(struct lab *lab, struct mode m)
{
	compare(lab, m, false);
	return tally_since(lab, m, NULL);
}

static void close_orderly(struct talk *t)
{
	assert_int_equal(talk_client(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
}

static void test_a_good_connection_votes_good_as_it_closes(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_tally before = before_of(*state, m), now;

		lab_next_moment();
		mode_talk(&t, *state, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		now = tally_since(*state, m, &before);
		assert_outcome(now, PERCH_CONNECT_FAILURE, 1, 0);
		assert_int_equal(now.wait[PERCH_WAIT_CONNECT].n, 1);
		assert_int_equal(now.wait[PERCH_WAIT_CONNECT].above[0], 1);
		assert_int_equal(now.wait[PERCH_WAIT_CONNECT].above[1], 0);
		assert_int_equal(now.wait[PERCH_WAIT_CONNECT].above[2], 0);
		assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		assert_outcome(tally_since(*state, m, &before), PERCH_RESET, 0, 0);
		close_orderly(&t);
		now = tally_since(*state, m, &before);
		assert_outcome(now, PERCH_RESET, 1, 0);
		assert_outcome(now, PERCH_NO_RESPONSE, 1, 0);
		assert_outcome(now, PERCH_RETRANSMITS, 1, 0);
		assert_outcome(now, PERCH_UDP_NO_REPLY, 0, 0);
		assert_int_equal(now.wait[PERCH_WAIT_RESPONSE].n, 1);
		/* what comes after the end changes nothing */
		assert_int_equal(talk_client(&t, TCP_RST, 0), TALK_FORWARDED);
		assert_outcome(tally_since(*state, m, &before), PERCH_RESET, 1, 0);
	}
}

static void test_each_bad_outcome_is_told(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_tally before = before_of(*state, m), now;
		struct perch_votes had, has;

		lab_votes(*state, m.v6, 0, &had);
		/* refused */
		mode_talk(&t, *state, m, IPPROTO_TCP, 2);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		now = tally_since(*state, m, &before);
		assert_outcome(now, PERCH_CONNECT_FAILURE, 1, 1);
		assert_outcome(now, PERCH_RESET, 0, 0);
		/* reset before it had answered, and the request came twice */
		mode_talk(&t, *state, m, IPPROTO_TCP, 3);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		t.client.seq -= 100;
		assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		now = tally_since(*state, m, &before);
		assert_outcome(now, PERCH_CONNECT_FAILURE, 2, 1);
		assert_outcome(now, PERCH_RESET, 1, 1);
		assert_outcome(now, PERCH_NO_RESPONSE, 1, 1);
		assert_outcome(now, PERCH_RETRANSMITS, 1, 1);
		assert_int_equal(now.wait[PERCH_WAIT_RESPONSE].n, 1);
		lab_votes(*state, m.v6, 0, &has);
		assert_int_equal(has.no_response - had.no_response, 1);
		assert_int_equal(has.retransmits - had.retransmits, 1);
	}
}

/* Who has said all and closed may answer what comes after with a reset: TLS
 * says good-bye to a server that is gone. */
static void test_a_reset_after_the_backends_fin_is_no_failure(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_tally before = before_of(*state, m), now;

		mode_talk(&t, *state, m, IPPROTO_TCP, 6);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 31), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST, 0), TALK_FORWARDED);
		now = tally_since(*state, m, &before);
		assert_outcome(now, PERCH_RESET, 1, 0);
		assert_outcome(now, PERCH_NO_RESPONSE, 1, 0);
	}
}

/* Who asks nothing gets no answer; a probe of a resting connection repeats a
 * byte, and means nothing by it. */
static void test_silence_and_probes_are_no_failures(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_tally before = before_of(*state, m), now;

		mode_talk(&t, *state, m, IPPROTO_TCP, 4);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		close_orderly(&t);
		now = tally_since(*state, m, &before);
		assert_outcome(now, PERCH_NO_RESPONSE, 0, 0);
		assert_int_equal(now.wait[PERCH_WAIT_RESPONSE].n, 0);
		mode_talk(&t, *state, m, IPPROTO_TCP, 5);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		t.client.seq -= 1;
		assert_int_equal(talk_client(&t, TCP_ACK, 1), TALK_FORWARDED);
		close_orderly(&t);
		assert_outcome(tally_since(*state, m, &before), PERCH_RETRANSMITS, 2, 0);
	}
}

/* Refused `n` times from one address: what of it was bad, and what capped. */
static struct perch_tally refuse(struct lab *lab, struct mode m, __u32 client, unsigned n)
{
	struct perch_tally before = tally_since(lab, m, NULL);
	static struct talk t;

	for (unsigned i = 0; i < n; i++) {
		mode_talk(&t, lab, m, IPPROTO_TCP, client);
		t.client.from_port = 30000 + client * 64 + i;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
	}
	return tally_since(lab, m, &before);
}

static void test_one_client_has_so_many_bad_votes(void **state)
{
	for_each_mode(m) {
		struct perch_tally now;
		__u64 period;

		/* 10 s later there are new ones: not across that border */
		do {
			compare(*state, m, false);
			period = lab_now() / PERCH_CAP_NS;
			now = refuse(*state, m, 10 + period % 100, 7);
		} while (lab_now() / PERCH_CAP_NS != period);
		assert_int_equal(now.outcome[PERCH_CONNECT_FAILURE].decided, 7);
		/* IPv6: the /64 is the client, and others of it were here before */
		assert_in_range(now.outcome[PERCH_CONNECT_FAILURE].bad, m.v6 ? 0 : PERCH_CAP_VOTES, PERCH_CAP_VOTES);
		assert_int_equal(now.outcome[PERCH_CONNECT_FAILURE].bad + now.outcome[PERCH_CONNECT_FAILURE].capped, 7);
	}
}

static void test_where_clients_keep_their_version_each_votes_once(void **state)
{
	struct lab *lab = *state;

	for_each_mode(m) {
		struct perch_tally now, before;
		static struct talk t;

		assert_int_equal(lab_step(lab, 0), 0);	/* a rollout that no bit is taken in */
		compare(lab, m, true);
		now = refuse(lab, m, 120, 5);
		assert_int_equal(now.outcome[PERCH_CONNECT_FAILURE].bad, 1);
		assert_int_equal(now.outcome[PERCH_CONNECT_FAILURE].capped, 4);
		before = tally_since(lab, m, NULL);
		for (unsigned i = 0; i < 3; i++) {
			mode_talk(&t, lab, m, IPPROTO_TCP, 121);
			t.client.from_port = 50000 + i;
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		}
		assert_int_equal(tally_since(lab, m, &before).wait[PERCH_WAIT_CONNECT].n, 1);
	}
}

/* Who stalls makes all wait that are with him. */
static void test_one_long_wait_votes_in_a_moment(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct perch_tally before, now;
		__u64 moment;

		/* a moment may end before all four have connected */
		do {
			lab_next_moment();
			before = before_of(*state, m);
			moment = lab_now() / PERCH_STALL_NS;
			for (unsigned i = 0; i < 4; i++) {
				mode_talk(&t, *state, m, IPPROTO_TCP, 170 + i);
				t.client.from_port = 1024 + moment % 60000;
				assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			}
		} while (lab_now() / PERCH_STALL_NS != moment);
		now = tally_since(*state, m, &before);
		assert_int_equal(now.wait[PERCH_WAIT_CONNECT].n, 4);
		assert_int_equal(now.wait[PERCH_WAIT_CONNECT].above[0], 1);
		lab_next_moment();
		mode_talk(&t, *state, m, IPPROTO_TCP, 175);
		t.client.from_port = 1024 + moment % 60000;
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(tally_since(*state, m, &before).wait[PERCH_WAIT_CONNECT].above[0], 2);
	}
}

static unsigned new_clients(struct lab *lab, struct mode m, unsigned client, unsigned port)
{
	struct perch_tally before = tally_since(lab, m, NULL);
	static struct talk t;

	mode_talk(&t, lab, m, IPPROTO_TCP, client);
	t.client.from_port = port;
	t.client.from.word[1] ^= htonl(m.v6 ? client << 8 : 0);	/* of IPv6 the /64 is a client */
	assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
	assert_int_equal(talk_backend(&t, client % 2 ? TCP_RST | TCP_ACK : TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
	return tally_since(lab, m, &before).clients;
}

static void test_a_client_is_new_once_in_a_rollout(void **state)
{
	for_each_mode(m) {
		unsigned port = 20000 + 100 * mode_number(m);

		for (unsigned rollout = 0; rollout < 2; rollout++, port += 10) {
			assert_int_equal(lab_step(*state, 0), 0);
			compare(*state, m, false);
			for (unsigned client = 180; client < 184; client++)
				assert_int_equal(new_clients(*state, m, client, port), 1);
			for (unsigned client = 180; client < 184; client++)
				assert_int_equal(new_clients(*state, m, client, port + 1), 0);
		}
	}
}

/* A connection votes where it began, and an epoch that is long over not at all. */
static void test_votes_go_to_the_epoch_of_their_connection(void **state)
{
	struct lab *lab = *state;
	static struct talk t, late;

	for_each_mode(m) {
		__u32 first = lab_epoch(lab, m);
		struct perch_tally before = before_of(lab, m), now;

		mode_talk(&t, lab, m, IPPROTO_TCP, 130);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		mode_talk(&late, lab, m, IPPROTO_TCP, 131);
		assert_int_equal(talk_connect(&late), TALK_FORWARDED);
		assert_int_equal(lab_step(lab, 0), 0);
		assert_int_not_equal(lab_epoch(lab, m), first);
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		now = tally_of(lab, m, first);
		assert_int_equal(now.outcome[PERCH_RESET].bad - before.outcome[PERCH_RESET].bad, 1);
		assert_outcome(tally_since(lab, m, NULL), PERCH_RESET, 0, 0);
		for (unsigned i = 1; i < PERCH_EPOCHS; i++)
			assert_int_equal(lab_step(lab, 0), 0);
		mode_talk(&t, lab, m, IPPROTO_TCP, 132);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		before = tally_since(lab, m, NULL);
		assert_int_equal(before.epoch / 2 % PERCH_EPOCHS, first / 2 % PERCH_EPOCHS);
		assert_int_equal(talk_backend(&late, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		now = tally_since(lab, m, &before);
		assert_outcome(now, PERCH_RESET, 0, 0);
		assert_int_equal(now.late, 2);	/* whether it was reset, and whether it sent again */
	}
}

/* Until the sweep has come by, twice its round. */
static struct perch_tally tally_wait_for(struct lab *lab, struct mode m, const struct perch_tally *before,
					 unsigned outcome, unsigned waits)
{
	struct perch_tally now;

	for (int i = 0; i < 200; i++) {
		struct timespec t = { 0, 100000000 };

		now = tally_since(lab, m, before);
		if (now.outcome[outcome].decided >= 1 && now.wait[PERCH_WAIT_RESPONSE].n >= waits)
			break;
		nanosleep(&t, NULL);
	}
	return now;
}

static void test_what_lasts_settles_after_a_while(void **state)
{
	static struct talk t, u;

	for_each_mode(m) {
		struct perch_tally before = before_of(*state, m), now;

		lab_next_moment();
		mode_talk(&t, *state, m, IPPROTO_TCP, 140);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		mode_talk(&u, *state, m, IPPROTO_UDP, 141);
		assert_int_equal(talk_client(&u, 0, 10), TALK_FORWARDED);
		/* as if they had begun before; their packets are of now */
		talk_entry(&t)->created -= PERCH_SETTLE_NS;
		talk_entry(&u)->created -= PERCH_SETTLE_NS;
		tally_wait_for(*state, m, &before, PERCH_UDP_NO_REPLY, 2);
		now = tally_wait_for(*state, m, &before, PERCH_RESET, 2);
		assert_outcome(now, PERCH_RESET, 1, 0);
		assert_outcome(now, PERCH_NO_RESPONSE, 1, 1);
		assert_outcome(now, PERCH_UDP_NO_REPLY, 1, 1);
		assert_int_equal(now.wait[PERCH_WAIT_RESPONSE].n, 2);
		/* may have been in one moment */
		assert_in_range(now.wait[PERCH_WAIT_RESPONSE].above[0], 1, 2);
		/* once */
		assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
		assert_outcome(tally_since(*state, m, &before), PERCH_RESET, 1, 0);
	}
}

/* A request that hangs for longer than any edge says so before it settles. */
static void test_what_hangs_says_so_at_once(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct comparison c = { .since_epoch = lab_epoch(*state, m), .canary = 1, .on = true };
		struct perch_tally before, now;

		lab_next_moment();
		memset(c.edge, PERCH_NO_EDGE, sizeof(c.edge));
		c.edge[0][PERCH_WAIT_RESPONSE][2] = perch_hist_bucket(20000);
		tables_compare(((struct lab *)*state)->tables, m.v6, &c);
		before = tally_since(*state, m, NULL);
		mode_talk(&t, *state, m, IPPROTO_TCP, 150);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		now = tally_wait_for(*state, m, &before, PERCH_CONNECT_FAILURE, 1);
		assert_int_equal(now.wait[PERCH_WAIT_RESPONSE].n, 1);
		assert_int_equal(now.wait[PERCH_WAIT_RESPONSE].above[2], 1);
		assert_int_equal(now.wait[PERCH_WAIT_RESPONSE].above[1], 0);
		assert_outcome(now, PERCH_NO_RESPONSE, 0, 0);
		/* its answer comes after all: the wait has voted, the rest votes now */
		assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		close_orderly(&t);
		now = tally_since(*state, m, &before);
		assert_outcome(now, PERCH_NO_RESPONSE, 1, 0);
		assert_int_equal(now.wait[PERCH_WAIT_RESPONSE].n, 1);
	}
}

/* The histogram of waits is there before anything is compared: edges are
 * frozen from it. */
static void test_longest_waits_are_known_without_a_comparison(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		struct comparison off = { .since_epoch = lab_epoch(lab, m) };
		struct perch_votes before, now;
		struct timespec nap = { 0, 21000000 };
		__u64 sum = 0;

		tables_compare(lab->tables, m.v6, &off);
		lab_votes(lab, m.v6, 0, &before);
		mode_talk(&t, lab, m, IPPROTO_TCP, 160);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		for (int turn = 0; turn < 3; turn++) {
			assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
			if (turn == 1)
				nanosleep(&nap, NULL);
			assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
		}
		close_orderly(&t);
		lab_votes(lab, m.v6, 0, &now);
		for (unsigned b = perch_hist_bucket(20000); b < PERCH_HIST_BUCKETS; b++)
			sum += now.longest_wait[b] - before.longest_wait[b];
		assert_int_equal(sum, 1);
		assert_int_equal(now.longest_wait[0], before.longest_wait[0]);
		assert_int_equal(tally_since(lab, m, NULL).epoch, 0);
		assert_int_equal(lab_step(lab, 0), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_a_good_connection_votes_good_as_it_closes),
		prog_test(test_each_bad_outcome_is_told),
		prog_test(test_a_reset_after_the_backends_fin_is_no_failure),
		prog_test(test_silence_and_probes_are_no_failures),
		prog_test(test_one_client_has_so_many_bad_votes),
		prog_test(test_where_clients_keep_their_version_each_votes_once),
		prog_test(test_one_long_wait_votes_in_a_moment),
		prog_test(test_a_client_is_new_once_in_a_rollout),
		prog_test(test_votes_go_to_the_epoch_of_their_connection),
		prog_test(test_what_lasts_settles_after_a_while),
		prog_test(test_what_hangs_says_so_at_once),
		prog_test(test_longest_waits_are_known_without_a_comparison),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
