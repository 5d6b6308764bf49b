// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The HTTP client against answers in every shape and cut: whole, in chunks,
 * byte by byte, wrong, late and never. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/cli/http.h"

/* A server that takes one request and sends text in pieces of `piece`. */
static pid_t serve(int *ret_fd, const char *text, size_t piece, bool hang)
{
	int fds[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char request[4096];
		size_t length = strlen(text);

		close(fds[0]);
		if (read(fds[1], request, sizeof(request)) <= 0)
			_exit(1);
		for (size_t at = 0; at < length; at += piece)
			if (write(fds[1], text + at, length - at < piece ? length - at : piece) < 0)
				_exit(0);
		if (hang)
			pause();
		_exit(0);
	}
	close(fds[1]);
	*ret_fd = fds[0];
	return pid;
}

static void served(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* What comes of an answer: its body, or the error. */
static int fetch(const char *text, size_t piece, bool hang, int timeout_ms, char *body, size_t room, int *ret_status)
{
	size_t length = 0;
	struct http h;
	ssize_t n = 0;
	pid_t pid;
	int fd, err;

	pid = serve(&fd, text, piece, hang);
	http_start(&h, fd, timeout_ms);
	err = http_request(&h, "GET", "/v1/status", "", 0);
	if (!err)
		err = http_answer(&h);
	while (!err && (n = http_read(&h, body + length, room - 1 - length)) > 0)
		length += n;
	if (!err && n < 0)
		err = n;
	body[length] = 0;
	*ret_status = h.status;
	http_close(&h);
	served(pid);
	return err;
}

static void expect_body(const char *text, const char *want)
{
	static const size_t pieces[] = { 1, 3, 100000 };
	char body[1024];
	int status;

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		assert_int_equal(fetch(text, pieces[i], false, 2000, body, sizeof(body), &status), 0);
		assert_int_equal(status, 200);
		assert_string_equal(body, want);
	}
}

static void expect_error(const char *text, int want)
{
	char body[1024];
	int status;

	assert_int_equal(fetch(text, 100000, false, 2000, body, sizeof(body), &status), want);
}

static void test_body_of_a_length_is_read_to_it(void **state)
{
	expect_body("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhellomore", "hello");
	expect_body("HTTP/1.1 200 OK\r\ncontent-length:5\r\nX: y\r\n\r\nhello", "hello");
	expect_body("HTTP/1.0 200 OK\nContent-Length: 5 \n\nhello", "hello");
	expect_body("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "");
}

static void test_body_in_chunks_is_joined(void **state)
{
	expect_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "3\r\nhel\r\n2;x=1\r\nlo\r\n00a\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n", "hello0123456789");
	expect_body("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "");
}

static void test_body_without_length_ends_with_the_connection(void **state)
{
	expect_body("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", "hello");
}

static void test_interim_answer_is_passed_over(void **state)
{
	expect_body("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello");
}

static void test_answer_cut_short_is_no_answer(void **state)
{
	expect_error("", -ECONNRESET);
	expect_error("HTTP/1.1 200 OK\r\nContent-Le", -ECONNRESET);
	expect_error("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", -ECONNRESET);
	expect_error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", -ECONNRESET);
}

static void test_what_is_not_http_is_refused(void **state)
{
	expect_error("SSH-2.0-x\r\n\r\n", -EPROTO);
	expect_error("HTTP/2 200\r\n\r\n", -EPROTO);
	expect_error("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", -EPROTO);
	expect_error("HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello", -EPROTO);
	expect_error("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", -EPROTO);
	expect_error("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\nhello", -EPROTO);
	expect_error("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello", -EPROTO);
	expect_error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\nhello\r\n", -EPROTO);
	expect_error("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n", -EPROTO);
}

static void test_endless_header_is_refused(void **state)
{
	char *text = malloc(100000);

	assert_non_null(text);
	memset(text, 'a', 90000);
	memcpy(text, "HTTP/1.1 200 OK\r\nX: ", strlen("HTTP/1.1 200 OK\r\nX: "));
	text[90000] = 0;
	expect_error(text, -EPROTO);
	free(text);
}

/* Answers to two requests on one connection; is it fit for the second? */
static bool again_after(const char *text, const char *want)
{
	char body[64] = "";
	size_t length = 0;
	struct http h;
	bool again;
	ssize_t n;
	pid_t pid;
	int fd;

	pid = serve(&fd, text, 100000, true);
	http_start(&h, fd, 2000);
	h.keep = true;
	assert_int_equal(http_request(&h, "GET", "/v1/status", "", 0), 0);
	assert_int_equal(http_answer(&h), 0);
	while ((n = http_read(&h, body + length, sizeof(body) - 1 - length)) > 0)
		length += n;
	assert_string_equal(body, want);
	again = http_again(&h, 2000);
	http_close(&h);
	served(pid);
	return again;
}

static void test_connection_is_kept_only_when_nothing_is_left_on_it(void **state)
{
	assert_true(again_after("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"));
	assert_true(again_after("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", "a"));
	assert_false(again_after("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello", "hello"));
	assert_false(again_after("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP", "hello"));
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void test_silence_ends_at_the_deadline(void **state)
{
	double before = seconds(), took;
	char body[64];
	int status;

	assert_int_equal(fetch("", 1, true, 200, body, sizeof(body), &status), -ETIMEDOUT);
	assert_int_equal(fetch("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 1, true, 200, body, sizeof(body), &status),
			 -ETIMEDOUT);
	took = seconds() - before;
	assert_true(took >= .39 && took < 3);
}

static void test_missing_and_dead_sockets_say_so(void **state)
{
	char folder[] = "/tmp/perch-http-XXXXXX", path[64];
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct http h;
	int fd;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	assert_int_equal(http_open(&h, path, 100), -ENOENT);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(http_open(&h, path, 100), -ECONNREFUSED);
	close(fd);
	unlink(path);
	rmdir(folder);
	assert_int_equal(h.fd, -1);
}

static void test_full_backlog_ends_at_the_deadline(void **state)
{
	char folder[] = "/tmp/perch-http-XXXXXX", path[64];
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct http h[8];
	int fd, err = 0, n;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/s", folder);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 1), 0);
	for (n = 0; n < 8 && !err; n++)
		err = http_open(&h[n], path, 100);
	assert_int_equal(err, -ETIMEDOUT);
	while (n--)
		http_close(&h[n]);
	close(fd);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_body_of_a_length_is_read_to_it),
		cmocka_unit_test(test_body_in_chunks_is_joined),
		cmocka_unit_test(test_body_without_length_ends_with_the_connection),
		cmocka_unit_test(test_interim_answer_is_passed_over),
		cmocka_unit_test(test_answer_cut_short_is_no_answer),
		cmocka_unit_test(test_what_is_not_http_is_refused),
		cmocka_unit_test(test_endless_header_is_refused),
		cmocka_unit_test(test_connection_is_kept_only_when_nothing_is_left_on_it),
		cmocka_unit_test(test_silence_ends_at_the_deadline),
		cmocka_unit_test(test_missing_and_dead_sockets_say_so),
		cmocka_unit_test(test_full_backlog_ends_at_the_deadline),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
