// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* libcurl tells which sockets and when it wants to be woken for; the loop
 * wakes it. */
#include "fetch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#define CONNECTIONS 64L

struct fetcher {
	CURLM *multi;
	uv_loop_t *loop;
	uv_timer_t timer;
	struct fetch *first;
	bool closing;
};

struct fetch {
	struct fetcher *fetcher;
	struct fetch *next, **at;
	CURL *easy;
	struct curl_slist *headers;
	char *body;
	size_t length;
	bool too_big;
	char error[CURL_ERROR_SIZE];
	fetch_done *done;
	void *arg;
};

/* A socket of libcurl's, as the loop polls it. */
struct watched {
	uv_poll_t poll;
	struct fetcher *fetcher;
	curl_socket_t socket;
};

static void fetch_free(struct fetch *f)
{
	*f->at = f->next;
	if (f->next)
		f->next->at = f->at;
	curl_multi_remove_handle(f->fetcher->multi, f->easy);
	curl_easy_cleanup(f->easy);
	curl_slist_free_all(f->headers);
	free(f->body);
	free(f);
}

static void fetch_finish(struct fetch *f, const char *error)
{
	struct fetch_answer answer = { .error = error, .body = f->body ?: "", .length = f->length };
	fetch_done *done = f->done;
	void *arg = f->arg;

	if (!error)
		curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &answer.status);
	done(arg, &answer);
	fetch_free(f);
}

/* Those that ended.  A callback may start others. */
static void fetcher_reap(struct fetcher *f)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(f->multi, &left))) {
		struct fetch *fetch = NULL;
		CURLcode code = message->data.result;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&fetch);
		if (fetch->too_big)
			fetch_finish(fetch, "the answer is larger than 1 MiB");
		else
			fetch_finish(fetch, code == CURLE_OK ? NULL : fetch->error[0] ? fetch->error : curl_easy_strerror(code));
	}
}

static void on_timer(uv_timer_t *timer)
{
	struct fetcher *f = timer->data;
	int running;

	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	fetcher_reap(f);
}

static int want_timer(CURLM *multi, long ms, void *arg)
{
	struct fetcher *f = arg;

	if (f->closing)
		return 0;
	if (ms < 0)
		uv_timer_stop(&f->timer);
	else	/* not within this call of libcurl's */
		uv_timer_start(&f->timer, on_timer, ms > 0 ? ms : 1, 0);
	return 0;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;
	struct fetcher *f = w->fetcher;
	int flags = 0, running;

	if (status < 0)
		flags = CURL_CSELECT_ERR;
	if (events & UV_READABLE)
		flags |= CURL_CSELECT_IN;
	if (events & UV_WRITABLE)
		flags |= CURL_CSELECT_OUT;
	curl_multi_socket_action(f->multi, w->socket, flags, &running);
	fetcher_reap(f);
}

static void watched_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static int want_socket(CURL *easy, curl_socket_t socket, int what, void *arg, void *of_socket)
{
	struct fetcher *f = arg;
	struct watched *w = of_socket;
	int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);

	if (what == CURL_POLL_REMOVE) {
		curl_multi_assign(f->multi, socket, NULL);
		if (w)
			uv_close((uv_handle_t *)&w->poll, watched_closed);
		return 0;
	}
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w || uv_poll_init(f->loop, &w->poll, socket)) {
			free(w);
			return -1;
		}
		w->poll.data = w;
		w->fetcher = f;
		w->socket = socket;
		curl_multi_assign(f->multi, socket, w);
	}
	uv_poll_start(&w->poll, events, on_socket);
	return 0;
}

int fetcher_open(struct fetcher **ret, uv_loop_t *loop)
{
	struct fetcher *f = calloc(1, sizeof(*f));

	if (!f || curl_global_init(CURL_GLOBAL_DEFAULT)) {
		free(f);
		return -ENOMEM;
	}
	f->loop = loop;
	f->multi = curl_multi_init();
	if (!f->multi) {
		free(f);
		return -ENOMEM;
	}
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, want_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS);
	uv_timer_init(loop, &f->timer);
	f->timer.data = f;
	*ret = f;
	return 0;
}

static void fetcher_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void fetcher_close(struct fetcher *f)
{
	struct fetch *next;

	if (!f)
		return;
	f->closing = true;
	for (struct fetch *fetch = f->first; fetch; fetch = next) {
		next = fetch->next;
		fetch_finish(fetch, "perchd is leaving");
	}
	curl_multi_cleanup(f->multi);	/* gives its sockets back */
	curl_global_cleanup();
	uv_close((uv_handle_t *)&f->timer, fetcher_closed);
}

static size_t take(char *data, size_t size, size_t n, void *arg)
{
	struct fetch *f = arg;
	char *body;

	n *= size;
	f->too_big = f->length + n > FETCH_BODY;
	body = f->too_big ? NULL : realloc(f->body, f->length + n + 1);
	if (!body)
		return 0;
	memcpy(body + f->length, data, n);
	f->body = body;
	f->length += n;
	body[f->length] = 0;
	return n;
}

static void set_options(struct fetch *f, const struct fetch_ask *ask)
{
	curl_easy_setopt(f->easy, CURLOPT_URL, ask->url);
	curl_easy_setopt(f->easy, CURLOPT_PRIVATE, f);
	curl_easy_setopt(f->easy, CURLOPT_ERRORBUFFER, f->error);
	curl_easy_setopt(f->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(f->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(f->easy, CURLOPT_USERAGENT, "perchd/" PERCH_VERSION);
	curl_easy_setopt(f->easy, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(f->easy, CURLOPT_WRITEDATA, f);
	curl_easy_setopt(f->easy, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms);
	curl_easy_setopt(f->easy, CURLOPT_HTTPHEADER, f->headers);
	if (ask->ca_file)
		curl_easy_setopt(f->easy, CURLOPT_CAINFO, ask->ca_file);
	if (ask->body)
		curl_easy_setopt(f->easy, CURLOPT_COPYPOSTFIELDS, ask->body);
}

struct fetch *fetch_start(struct fetcher *fetcher, const struct fetch_ask *ask, fetch_done *done, void *arg)
{
	struct fetch *f = fetcher->closing ? NULL : calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->fetcher = fetcher;
	f->done = done;
	f->arg = arg;
	for (size_t i = 0; ask->headers && ask->headers[i]; i++)
		f->headers = curl_slist_append(f->headers, ask->headers[i]);
	f->easy = curl_easy_init();
	if (!f->easy) {
		curl_slist_free_all(f->headers);
		free(f);
		return NULL;
	}
	set_options(f, ask);
	f->next = fetcher->first;
	f->at = &fetcher->first;
	if (f->next)
		f->next->at = &f->next;
	fetcher->first = f;
	curl_multi_add_handle(fetcher->multi, f->easy);
	return f;
}

void fetch_cancel(struct fetch *f)
{
	if (f)
		fetch_free(f);
}
