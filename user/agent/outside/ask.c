// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Owns how a request is made from what a configuration says. */
#define _GNU_SOURCE	/* asprintf */
#include "ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "token.h"

/* Names are letters, digits, '.', '_' and '-': fit for URLs and queries. */
char *ask_substitute(const char *text, const struct ask_names *names)
{
	const struct { const char *word, *name; } words[] = { { "$version", names->version }, { "$service", names->service } };
	char *out = NULL;
	size_t size;
	FILE *f = open_memstream(&out, &size);

	if (!f)
		return NULL;
	while (*text) {
		size_t i = 0;

		while (i < 2 && strncmp(text, words[i].word, strlen(words[i].word)))
			i++;
		if (i < 2) {
			fputs(words[i].name, f);
			text += strlen(words[i].word);
		} else {
			fputc(*text++, f);
		}
	}
	if (fclose(f)) {
		free(out);
		return NULL;
	}
	return out;
}

int ask_header(struct ask *ask, const char *name, const char *value)
{
	char *line;

	if (ask->n_headers + 1 == sizeof(ask->header) / sizeof(ask->header[0]) || asprintf(&line, "%s: %s", name, value) < 0)
		return -ENOMEM;
	ask->header[ask->n_headers++] = line;
	ask->header[ask->n_headers] = NULL;
	return 0;
}

void ask_clear(struct ask *ask)
{
	for (size_t i = 0; i < ask->n_headers; i++) {
		explicit_bzero(ask->header[i], strlen(ask->header[i]));
		free(ask->header[i]);
	}
	if (ask->url)
		explicit_bzero(ask->url, strlen(ask->url));
	free(ask->url);
	*ask = (struct ask){};
}

static int read_file(const char *what, const char *path, char out[TOKEN_BYTES], char why[ASK_WHY])
{
	int r = token_read(path, out);

	if (r)
		snprintf(why, ASK_WHY, "%s %.60s: %s", what, path, strerror(-r));
	return r;
}

static int add_headers(struct ask *ask, const struct model_target *target, char why[ASK_WHY])
{
	char value[TOKEN_BYTES];
	int r = 0;

	for (size_t i = 0; i < target->n_headers && !r; i++) {
		r = read_file(target->header[i].name, target->header[i].file, value, why);
		if (!r && ask_header(ask, target->header[i].name, value)) {
			snprintf(why, ASK_WHY, "out of memory");
			r = -ENOMEM;
		}
	}
	explicit_bzero(value, sizeof(value));
	return r;
}

/* The URL is given away. */
static int ask_make(struct ask *ask, char *url, const struct model_target *target, char why[ASK_WHY])
{
	int r;

	if (!url) {
		snprintf(why, ASK_WHY, "out of memory");
		return -ENOMEM;
	}
	ask->url = url;
	r = add_headers(ask, target, why);
	if (r) {
		ask_clear(ask);
		return r;
	}
	ask->fetch = (struct fetch_ask){
		.url = ask->url, .headers = (const char *const *)ask->header,
		.ca_file = target->ca_file[0] ? target->ca_file : NULL,
	};
	return 0;
}

int ask_target(struct ask *ask, const struct model_target *target, const struct ask_names *names, char why[ASK_WHY])
{
	char text[TOKEN_BYTES];
	char *url;
	int r;

	*ask = (struct ask){};
	if (!target->url_file[0])
		return ask_make(ask, ask_substitute(target->url, names), target, why);
	r = read_file("urlFile", target->url_file, text, why);
	if (r)
		return r;
	url = ask_substitute(text, names);
	explicit_bzero(text, sizeof(text));
	return ask_make(ask, url, target, why);
}

int ask_prometheus(struct ask *ask, const char *base, const char *query, const struct model_target *target,
		   const struct ask_names *names, char why[ASK_WHY])
{
	char *text = ask_substitute(query, names), *escaped = text ? curl_easy_escape(NULL, text, 0) : NULL, *url = NULL;
	size_t n = strlen(base);

	*ask = (struct ask){};
	while (n && base[n - 1] == '/')
		n--;
	if (escaped && asprintf(&url, "%.*s/api/v1/query?query=%s", (int)n, base, escaped) < 0)
		url = NULL;
	curl_free(escaped);
	free(text);
	return ask_make(ask, url, target, why);
}
