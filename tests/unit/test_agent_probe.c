// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Probes of real servers on the loopback: good ones, bad ones, and ones that
 * are not there. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "../../user/agent/clock.h"
#include "../../user/agent/health/probe.h"
#include "../../user/core/address.h"

/* One connection: what it answers, in pieces, and what it was asked. */
struct server {
	int fd;
	__be16 port;
	bool v6;
	pthread_t thread;
	const char *answer[4];	/* NULL ends; pieces come 20 ms apart */
	unsigned hold_ms;	/* before it closes */
	size_t flood;		/* bytes after the answer */
	char asked[4096];
	bool reset;		/* its end saw a reset */
};

static void nap(unsigned ms)
{
	usleep(ms * 1000);
}

static void server_answer(struct server *s, int fd)
{
	char junk[4096] = { 0 };
	ssize_t n;

	for (int i = 0; i < 4 && s->answer[i]; i++) {
		if (i)
			nap(20);
		if (send(fd, s->answer[i], strlen(s->answer[i]), MSG_NOSIGNAL) < 0)
			return;
	}
	for (size_t sent = 0; sent < s->flood; sent += n) {
		n = send(fd, junk, sizeof(junk), MSG_NOSIGNAL);
		if (n < 0)
			return;
	}
	nap(s->hold_ms);
	shutdown(fd, SHUT_WR);
	s->reset = recv(fd, junk, sizeof(junk), 0) < 0;
}

static void *server_run(void *arg)
{
	struct server *s = arg;
	int fd = accept(s->fd, NULL, NULL);
	ssize_t n;

	if (fd < 0)
		return NULL;
	n = recv(fd, s->asked, sizeof(s->asked) - 1, 0);
	s->asked[n > 0 ? n : 0] = 0;
	if (n > 0)
		server_answer(s, fd);
	close(fd);
	return NULL;
}

static void server_listen(struct server *s)
{
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *a = s->v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t length = s->v6 ? sizeof(v6) : sizeof(v4);

	s->fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, a, length), 0);
	assert_int_equal(listen(s->fd, 1), 0);
	assert_int_equal(getsockname(s->fd, a, &length), 0);
	s->port = s->v6 ? v6.sin6_port : v4.sin_port;
}

static void server_start(struct server *s)
{
	server_listen(s);
	assert_int_equal(pthread_create(&s->thread, NULL, server_run, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
}

static const struct model_health tcp = { .type = MODEL_CHECK_TCP, .timeout = 300 * NS_PER_MS };
static const struct model_health http = { .type = MODEL_CHECK_HTTP, .timeout = 300 * NS_PER_MS, .path = "/health?deep=1",
					  .expect_low = 200, .expect_high = 399 };
static struct probe probe;
static unsigned done_calls;

static void done(struct probe *p)
{
	done_calls++;
}

static struct perch_address loopback(bool v6)
{
	struct perch_address a;

	assert_int_equal(address_parse(v6 ? "::1" : "127.0.0.1", &a), 0);
	return a;
}

/* One probe from its beginning to its end. */
static void run(const struct perch_address *a, __be16 port, const struct model_health *policy)
{
	uv_loop_t loop;

	done_calls = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	probe_start(&probe, &loop, a, port, policy, done);
	assert_int_equal(done_calls, 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(done_calls, 1);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void ask(struct server *s, const struct model_health *policy)
{
	struct perch_address a = loopback(s->v6);

	server_start(s);
	run(&a, s->port, policy);
	server_stop(s);
}

static void expect(enum probe_verdict verdict, const char *text)
{
	assert_string_equal(probe.text, text);
	assert_int_equal(probe.verdict, verdict);
}

static void test_tcp_passes_where_somebody_listens(void **state)
{
	for (int v6 = 0; v6 < 2; v6++) {
		struct server s = { .v6 = v6 };

		ask(&s, &tcp);
		expect(PROBE_PASSED, "connected");
		assert_true(probe.took > 0 && probe.took < 300 * NS_PER_MS);
	}
}

static void test_tcp_fails_where_nobody_listens(void **state)
{
	struct perch_address a = loopback(false);
	struct server s = { 0 };

	server_listen(&s);
	close(s.fd);
	run(&a, s.port, &tcp);
	expect(PROBE_FAILED, "connection refused");
}

/* A full queue: the SYN is not answered. */
static void test_tcp_fails_after_its_timeout(void **state)
{
	struct perch_address a = loopback(false);
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct server s = { 0 };
	int fill[8];

	server_listen(&s);
	to.sin_port = s.port;
	for (int i = 0; i < 8; i++) {
		fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fill[i], (struct sockaddr *)&to, sizeof(to));
	}
	nap(50);
	run(&a, s.port, &tcp);
	expect(PROBE_FAILED, "no connection within 300 ms");
	assert_in_range(probe.took, 299 * NS_PER_MS, 500 * NS_PER_MS);
	for (int i = 0; i < 8; i++)
		close(fill[i]);
	close(s.fd);
}

static void test_http_asks_as_it_should(void **state)
{
	struct server s = { .answer = { "HTTP/1.1 204 No Content\r\n\r\n" } };
	char host[64];

	ask(&s, &http);
	expect(PROBE_PASSED, "HTTP status 204");
	assert_ptr_equal(strstr(s.asked, "GET /health?deep=1 HTTP/1.1\r\n"), s.asked);
	snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", ntohs(s.port));
	assert_non_null(strstr(s.asked, host));
	assert_non_null(strstr(s.asked, "\r\nConnection: close\r\n"));
	assert_string_equal(s.asked + strlen(s.asked) - 4, "\r\n\r\n");
}

static void test_http_names_an_ipv6_host_in_brackets(void **state)
{
	struct server s = { .v6 = true, .answer = { "HTTP/1.0 200 OK\r\n\r\n" } };
	char host[64];

	ask(&s, &http);
	expect(PROBE_PASSED, "HTTP status 200");
	snprintf(host, sizeof(host), "\r\nHost: [::1]:%u\r\n", ntohs(s.port));
	assert_non_null(strstr(s.asked, host));
}

static void test_http_judges_the_status(void **state)
{
	static const struct {
		const char *answer;
		unsigned low, high;
		enum probe_verdict verdict;
		const char *text;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\n", 200, 200, PROBE_PASSED, "HTTP status 200" },
		{ "HTTP/1.1 399 ?\r\n", 200, 399, PROBE_PASSED, "HTTP status 399" },
		{ "HTTP/1.1 400 Bad Request\r\n", 200, 399, PROBE_FAILED, "HTTP status 400, not 200-399" },
		{ "HTTP/1.1 199\r\n", 200, 399, PROBE_FAILED, "HTTP status 199, not 200-399" },
		{ "HTTP/1.1 503 Service Unavailable\r\n", 200, 200, PROBE_FAILED, "HTTP status 503, not 200" },
		{ "HTTP/1.1 404 Not Found\r\n", 404, 404, PROBE_PASSED, "HTTP status 404" },
		{ "HTTP/1.1 abc\r\n", 200, 399, PROBE_FAILED, "answers without a status" },
		{ "HTTP/1.1 -20\r\n", 200, 399, PROBE_FAILED, "answers without a status" },
		{ "HTTP/2.0 200\r\n", 200, 399, PROBE_FAILED, "answers what is not HTTP/1" },
		{ "SSH-2.0-OpenSSH_9.2\r\n", 200, 399, PROBE_FAILED, "answers what is not HTTP/1" },
		{ "HTTP/1.1 2", 200, 399, PROBE_FAILED, "closed the connection without an answer" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct model_health policy = http;
		struct server s = { .answer = { cases[i].answer } };

		policy.expect_low = cases[i].low;
		policy.expect_high = cases[i].high;
		ask(&s, &policy);
		expect(cases[i].verdict, cases[i].text);
	}
}

static void test_http_status_may_come_in_pieces(void **state)
{
	struct server s = { .answer = { "H", "TTP/1.1 20", "0 OK\r\nContent-Length: 2\r\n\r\n", "ok" } };

	ask(&s, &http);
	expect(PROBE_PASSED, "HTTP status 200");
	assert_false(s.reset);
}

static void test_http_silence_is_a_failure(void **state)
{
	struct server silent = { .hold_ms = 500 }, closing = { 0 };

	ask(&silent, &http);
	expect(PROBE_FAILED, "no answer within 300 ms");
	ask(&closing, &http);
	expect(PROBE_FAILED, "closed the connection without an answer");
}

/* What comes after the status is no reason to fail, nor to be rude. */
static void test_http_reads_a_body_to_its_end_and_no_further_than_it_must(void **state)
{
	struct server body = { .answer = { "HTTP/1.1 200 OK\r\n\r\n" }, .flood = 32768 };
	struct server endless = { .answer = { "HTTP/1.1 200 OK\r\n\r\n" }, .hold_ms = 600 };
	struct server huge = { .answer = { "HTTP/1.1 200 OK\r\n\r\n" }, .flood = 64u << 20 };

	ask(&body, &http);
	expect(PROBE_PASSED, "HTTP status 200");
	assert_false(body.reset);
	ask(&endless, &http);
	expect(PROBE_PASSED, "HTTP status 200");
	assert_true(probe.took < 300 * NS_PER_MS);
	ask(&huge, &http);
	expect(PROBE_PASSED, "HTTP status 200");
	assert_in_range(probe.ignored, 65536, 131072);
}

static void test_lack_of_files_says_nothing_of_the_backend(void **state)
{
	struct perch_address a = loopback(false);
	struct rlimit was, none;
	uv_loop_t loop;

	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	done_calls = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	probe_start(&probe, &loop, &a, htons(9), &tcp, done);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(done_calls, 1);
	expect(PROBE_VOID, "could not be checked: too many open files");
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* The answer was there in time, and nobody looked. */
static void test_loop_held_up_says_nothing_of_the_backend(void **state)
{
	struct server s = { .answer = { "HTTP/1.1 200 OK\r\n\r\n" } };
	struct perch_address a = loopback(false);
	uv_loop_t loop;

	server_start(&s);
	assert_int_equal(uv_loop_init(&loop), 0);
	done_calls = 0;
	probe_start(&probe, &loop, &a, s.port, &http, done);
	nap(900);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(done_calls, 1);
	expect(PROBE_VOID, "could not be checked: perchd was held up");
	assert_int_equal(uv_loop_close(&loop), 0);
	server_stop(&s);
}

static void test_stop_ends_without_a_verdict(void **state)
{
	struct server s = { .hold_ms = 50 };
	struct perch_address a = loopback(false);
	uv_loop_t loop;

	server_start(&s);
	assert_int_equal(uv_loop_init(&loop), 0);
	for (int turns = 0; turns < 3; turns++) {	/* before, while and after it connects */
		done_calls = 0;
		probe_start(&probe, &loop, &a, s.port, &http, done);
		for (int i = 0; i < turns; i++)
			uv_run(&loop, UV_RUN_NOWAIT);
		probe_stop(&probe);
		uv_run(&loop, UV_RUN_DEFAULT);
		assert_int_equal(done_calls, 1);
		assert_int_equal(probe.verdict, PROBE_VOID);
	}
	assert_int_equal(uv_loop_close(&loop), 0);
	server_stop(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_passes_where_somebody_listens),
		cmocka_unit_test(test_tcp_fails_where_nobody_listens),
		cmocka_unit_test(test_tcp_fails_after_its_timeout),
		cmocka_unit_test(test_http_asks_as_it_should),
		cmocka_unit_test(test_http_names_an_ipv6_host_in_brackets),
		cmocka_unit_test(test_http_judges_the_status),
		cmocka_unit_test(test_http_status_may_come_in_pieces),
		cmocka_unit_test(test_http_silence_is_a_failure),
		cmocka_unit_test(test_http_reads_a_body_to_its_end_and_no_further_than_it_must),
		cmocka_unit_test(test_lack_of_files_says_nothing_of_the_backend),
		cmocka_unit_test(test_loop_held_up_says_nothing_of_the_backend),
		cmocka_unit_test(test_stop_ends_without_a_verdict),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
