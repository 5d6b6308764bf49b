// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Connect, ask, read the status line (RFC 9112), and go.  A server that is
 * still sending is read to its end, as far as that comes soon, because closing
 * on it would be a reset in its log. */
#define _GNU_SOURCE	/* asprintf */
#include "probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/address.h"
#include "../clock.h"

#define STATUS_LINE 12		/* "HTTP/1.1 200" */
#define IGNORED_MOST 65536
#define LATE_LEAST_NS (100 * NS_PER_MS)

static void handle_closed(uv_handle_t *handle)
{
	struct probe *p = handle->data;

	if (--p->open)
		return;
	free(p->request);
	p->request = NULL;
	p->done(p);
}

static void probe_end(struct probe *p)
{
	p->decided = true;
	if (!uv_is_closing((uv_handle_t *)&p->timeout))
		uv_close((uv_handle_t *)&p->timeout, handle_closed);
	if (!uv_is_closing((uv_handle_t *)&p->tcp))
		uv_close((uv_handle_t *)&p->tcp, handle_closed);
}

__attribute__((format(printf, 3, 4)))
static void probe_decide(struct probe *p, enum probe_verdict verdict, const char *format, ...)
{
	va_list args;

	if (p->decided)
		return;
	va_start(args, format);
	vsnprintf(p->text, sizeof(p->text), format, args);
	va_end(args);
	p->verdict = verdict;
	p->took = clock_now() - p->began;
	p->decided = true;
}

/* What this host lacks, not the backend. */
static bool is_ours(int error)
{
	return error == UV_EMFILE || error == UV_ENFILE || error == UV_ENOMEM || error == UV_ENOBUFS ||
	       error == UV_EADDRNOTAVAIL || error == UV_EADDRINUSE || error == UV_EPERM || error == UV_EACCES;
}

static void probe_error(struct probe *p, int error)
{
	bool ours = is_ours(error);

	probe_decide(p, ours ? PROBE_VOID : PROBE_FAILED, "%s%s", ours ? "could not be checked: " : "", uv_strerror(error));
	probe_end(p);
}

/* A loop that was held up has not seen what had come by then. */
static void timed_out(uv_timer_t *timer)
{
	struct probe *p = timer->data;
	__u64 due = p->began + p->policy->timeout, now = clock_now(), late = now > due ? now - due : 0;

	if (late > p->policy->timeout && late > LATE_LEAST_NS)
		probe_decide(p, PROBE_VOID, "could not be checked: perchd was held up");
	else
		probe_decide(p, PROBE_FAILED, "no %s within %g ms", p->connected ? "answer" : "connection",
			     p->policy->timeout / 1e6);
	probe_end(p);
}

static void answer_read(struct probe *p)
{
	static const char begin[] = "HTTP/1.";
	size_t same = p->have < sizeof(begin) - 1 ? p->have : sizeof(begin) - 1;
	unsigned status;
	int length = 0;

	if (memcmp(p->buffer, begin, same)) {
		probe_decide(p, PROBE_FAILED, "answers what is not HTTP/1");
		probe_end(p);
		return;
	}
	if (p->have < STATUS_LINE)
		return;
	p->buffer[STATUS_LINE] = 0;
	sscanf(p->buffer, "HTTP/1.%*1[0-9] %*3[0-9]%n", &length);
	status = strtoul(p->buffer + STATUS_LINE - 3, NULL, 10);
	if (length != STATUS_LINE || status < 100) {
		probe_decide(p, PROBE_FAILED, "answers without a status");
		probe_end(p);
	} else if (status >= p->policy->expect_low && status <= p->policy->expect_high) {
		probe_decide(p, PROBE_PASSED, "HTTP status %u", status);
	} else if (p->policy->expect_low == p->policy->expect_high) {
		probe_decide(p, PROBE_FAILED, "HTTP status %u, not %u", status, p->policy->expect_low);
	} else {
		probe_decide(p, PROBE_FAILED, "HTTP status %u, not %u-%u", status, p->policy->expect_low,
			     p->policy->expect_high);
	}
}

static void answer_room(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	struct probe *p = handle->data;

	*buffer = uv_buf_init(p->buffer + p->have, sizeof(p->buffer) - 1 - p->have);
}

static void answer_came(uv_stream_t *stream, ssize_t n, const uv_buf_t *buffer)
{
	struct probe *p = stream->data;

	if (n == UV_EOF || (n < 0 && p->decided)) {
		probe_decide(p, PROBE_FAILED, "closed the connection without an answer");
		probe_end(p);
	} else if (n < 0) {
		probe_error(p, n);
	} else if (!p->decided) {
		p->have += n;
		answer_read(p);
		if (p->decided)
			p->have = 0;	/* the rest is read over it */
	} else {
		p->ignored += n;
		if (p->ignored > IGNORED_MOST)
			probe_end(p);
	}
}

static void asked(uv_write_t *write, int error)
{
	struct probe *p = write->data;

	if (error && error != UV_ECANCELED)
		probe_error(p, error);
}

static void probe_ask(struct probe *p)
{
	uv_buf_t request = uv_buf_init(p->request, strlen(p->request));
	int error = uv_write(&p->write, (uv_stream_t *)&p->tcp, &request, 1, asked);

	if (!error)
		error = uv_read_start((uv_stream_t *)&p->tcp, answer_room, answer_came);
	if (error)
		probe_error(p, error);
}

static void connected(uv_connect_t *connect, int error)
{
	struct probe *p = connect->data;

	if (error == UV_ECANCELED)
		return;
	p->connected = !error;
	if (error) {
		probe_error(p, error);
	} else if (p->request) {
		probe_ask(p);
	} else {
		probe_decide(p, PROBE_PASSED, "connected");
		probe_end(p);
	}
}

static void socket_address(const struct perch_address *a, __be16 port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (address_is_v4(a)) {
		v4->sin_family = AF_INET;
		v4->sin_port = port;
		memcpy(&v4->sin_addr, &a->word[3], sizeof(v4->sin_addr));
	} else {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = port;
		memcpy(&v6->sin6_addr, a, sizeof(v6->sin6_addr));
	}
}

static int request_make(struct probe *p, const struct perch_address *address, __be16 port)
{
	char host[ADDRESS_TEXT];

	if (p->policy->type != MODEL_CHECK_HTTP)
		return 0;
	if (asprintf(&p->request,
		     "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: perchd/" PERCH_VERSION
		     "\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		     p->policy->path ? p->policy->path : "/", address_port_format(address, port, host)) >= 0)
		return 0;
	p->request = NULL;
	return UV_ENOMEM;
}

void probe_start(struct probe *p, uv_loop_t *loop, const struct perch_address *address, __be16 port,
		 const struct model_health *policy, void (*done)(struct probe *p))
{
	struct sockaddr_storage to;
	int error;

	memset(p, 0, sizeof(*p));
	p->done = done;
	p->policy = policy;
	p->tcp.data = p->timeout.data = p->connect.data = p->write.data = p;
	p->began = clock_now();
	uv_update_time(loop);	/* the loop's clock may be of before a long turn */
	uv_timer_init(loop, &p->timeout);
	uv_tcp_init(loop, &p->tcp);
	p->open = 2;
	uv_timer_start(&p->timeout, timed_out, (policy->timeout + NS_PER_MS - 1) / NS_PER_MS, 0);
	error = request_make(p, address, port);
	if (!error) {
		socket_address(address, port, &to);
		error = uv_tcp_connect(&p->connect, &p->tcp, (struct sockaddr *)&to, connected);
	}
	if (error)
		probe_error(p, error);
}

void probe_stop(struct probe *p)
{
	probe_end(p);
}
