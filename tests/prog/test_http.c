/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Statuses of HTTP/1: which responses are read, and what they vote. */
#include <string.h>

#include "prog.h"

static int setup(void **state)
{
	struct lab *lab;

	prog_setup(state);
	lab = *state;
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].placed.http = true;
	assert_int_equal(lab_apply(lab), 0);
	return 0;
}

/* What is told of stable in a comparison that begins now. */
struct told {
	struct perch_votes votes;
	struct perch_tally tally;
};

static struct told told_now(struct lab *lab, struct mode m)
{
	static struct perch_tallies t;
	struct told now = { 0 };
	__u32 epoch = lab_epoch(lab, m);

	lab_votes(lab, m.v6, 0, &now.votes);
	assert_int_equal(tables_tallies(lab->tables, m.v6, 0, &t), 0);
	if (t.cell[epoch / 2 % PERCH_EPOCHS].epoch == epoch)
		now.tally = t.cell[epoch / 2 % PERCH_EPOCHS];
	return now;
}

static struct told begin(struct lab *lab, struct mode m)
{
	struct comparison c = { .canary = 1, .on = true };

	assert_int_equal(lab_step(lab, 0), 0);
	c.since_epoch = lab_epoch(lab, m);
	memset(c.edge, PERCH_NO_EDGE, sizeof(c.edge));
	tables_compare(lab->tables, m.v6, &c);
	return told_now(lab, m);
}

/* A turn that is answered with this. */
static void turn(struct talk *t, const char *response, unsigned bytes)
{
	assert_int_equal(talk_client(t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
	t->backend.text = response;
	assert_int_equal(talk_backend(t, TCP_ACK | TCP_PSH, bytes), TALK_FORWARDED);
	t->backend.text = NULL;
}

static void end(struct talk *t)
{
	assert_int_equal(talk_client(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
}

static void assert_bad(struct lab *lab, struct mode m, unsigned decided, unsigned bad4, unsigned bad5)
{
	struct told now = told_now(lab, m);

	assert_int_equal(now.tally.outcome[PERCH_HTTP_4XX].bad + now.tally.outcome[PERCH_HTTP_4XX].capped, bad4);
	assert_int_equal(now.tally.outcome[PERCH_HTTP_5XX].bad + now.tally.outcome[PERCH_HTTP_5XX].capped, bad5);
	assert_int_equal(now.tally.outcome[PERCH_HTTP_4XX].decided, decided);
	assert_int_equal(now.tally.outcome[PERCH_HTTP_5XX].decided, decided);
}

static void test_the_worst_status_is_the_connections(void **state)
{
	static const struct {
		const char *response[3];
		unsigned bad4, bad5;
	} one[] = {
		{ { "HTTP/1.1 200 OK\r\n" }, 0, 0 },
		{ { "HTTP/1.0 301 Moved\r\n", "HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 200 OK\r\n" }, 1, 0 },
		{ { "HTTP/1.1 503 Busy\r\n", "HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 500 No\r\n" }, 0, 1 },
		{ { "HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 502 Bad Gateway\r\n" }, 0, 1 },
		{ { "HTTP/1.1 100 Continue\r\n", "HTTP/1.1 201 Created\r\n" }, 0, 0 },
	};
	static struct talk t;
	unsigned client = 0;

	for_each_mode(m) {
		unsigned bad4 = 0, bad5 = 0;

		begin(*state, m);
		for (unsigned i = 0; i < sizeof(one) / sizeof(*one); i++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, ++client);
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			for (unsigned r = 0; r < 3 && one[i].response[r]; r++)
				turn(&t, one[i].response[r], 200);
			end(&t);
			bad4 += one[i].bad4;
			bad5 += one[i].bad5;
			assert_bad(*state, m, i + 1, bad4, bad5);
		}
	}
}

/* An error of the server's votes as it comes; the rest as the connection ends. */
static void test_an_error_of_the_server_votes_at_once(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		struct told now;

		begin(*state, m);
		mode_talk(&t, *state, m, IPPROTO_TCP, 100);
		t.client.from_port += mode_number(m);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		turn(&t, "HTTP/1.1 404 Not Found\r\n", 100);
		now = told_now(*state, m);
		assert_int_equal(now.tally.outcome[PERCH_HTTP_4XX].decided, 0);
		turn(&t, "HTTP/1.1 503 Busy\r\n", 12);
		now = told_now(*state, m);
		assert_int_equal(now.tally.outcome[PERCH_HTTP_5XX].decided, 1);
		assert_int_equal(now.tally.outcome[PERCH_HTTP_5XX].bad + now.tally.outcome[PERCH_HTTP_5XX].capped, 1);
		turn(&t, "HTTP/1.1 503 Busy\r\n", 1000);
		end(&t);
		assert_bad(*state, m, 1, 0, 1);
	}
}

static void test_responses_are_counted_by_class(void **state)
{
	static const char *const responses[] = {
		"HTTP/1.1 100 Continue\r\n", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 204 No Content\r\n", "HTTP/1.1 302 Found\r\n",
		"HTTP/1.1 404 Not Found\r\n", "HTTP/1.1 500 No\r\n", "HTTP/1.1 503 Busy\r\n", "HTTP/1.1 599 Odd\r\n",
	};
	static const unsigned expected[5] = { 1, 2, 1, 1, 3 };
	static struct talk t;

	for_each_mode(m) {
		struct told before = begin(*state, m), now;

		mode_talk(&t, *state, m, IPPROTO_TCP, 110);
		t.client.from_port += mode_number(m);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		for (unsigned i = 0; i < sizeof(responses) / sizeof(*responses); i++)
			turn(&t, responses[i], 300);
		now = told_now(*state, m);
		for (unsigned c = 0; c < 5; c++)
			assert_int_equal(now.votes.http[c] - before.votes.http[c], expected[c]);
		end(&t);
	}
}

/* What is no status line says nothing: not a good response either. */
static void test_other_bytes_say_nothing(void **state)
{
	static const char *const others[] = {
		"\x16\x03\x03 a handshake", "HTTP/2 500 x", "HTTP/1.1 600 Beyond", "HTTP/1.1 099 Below", "HTTP/1.1  503 Two spaces",
		"http/1.1 503 Small letters", "SSH-2.0-OpenSSH", "HTTP/1.1-503",
	};
	static struct talk t;

	for_each_mode(m) {
		struct told before = begin(*state, m), now;

		for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++) {
			mode_talk(&t, *state, m, IPPROTO_TCP, 120 + i);
			t.client.from_port += mode_number(m);
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			turn(&t, others[i], 64);
			turn(&t, "HTTP/1.1 503", 11);	/* cut off before the last digit */
			end(&t);
		}
		assert_bad(*state, m, 0, 0, 0);
		now = told_now(*state, m);
		assert_memory_equal(now.votes.http, before.votes.http, sizeof(now.votes.http));
	}
}

/* With tags and with a header of full length; the first response to requests
 * in a row is the one that is read. */
static void test_a_status_is_found_behind_longer_headers(void **state)
{
	static struct talk t;

	for_each_mode(m) {
		for (unsigned vlans = 0; vlans <= 2; vlans++) {
			begin(*state, m);
			mode_talk(&t, *state, m, IPPROTO_TCP, 140 + vlans);
			t.client.from_port += mode_number(m);
			t.backend.vlans = vlans;
			t.backend.tcp_options = 12 + 4 * vlans;
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			turn(&t, "HTTP/1.1 503 Busy\r\n", 500);
			t.backend.text = "HTTP/1.1 404 Not Found\r\n";
			assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
			end(&t);
			assert_bad(*state, m, 1, 0, 1);
		}
	}
}

static void test_nothing_is_read_where_nobody_asks(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].placed.http = false;
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m) {
		struct told before = begin(lab, m), now;

		mode_talk(&t, lab, m, IPPROTO_TCP, 150);
		t.client.from_port += mode_number(m);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		turn(&t, "HTTP/1.1 503 Busy\r\n", 100);
		end(&t);
		assert_bad(lab, m, 0, 0, 0);
		now = told_now(lab, m);
		assert_memory_equal(now.votes.http, before.votes.http, sizeof(now.votes.http));
	}
}

#define http_test(f) cmocka_unit_test_setup_teardown(f, setup, prog_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		http_test(test_the_worst_status_is_the_connections),
		http_test(test_an_error_of_the_server_votes_at_once),
		http_test(test_responses_are_counted_by_class),
		http_test(test_other_bytes_say_nothing),
		http_test(test_a_status_is_found_behind_longer_headers),
		http_test(test_nothing_is_read_where_nobody_asks),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
