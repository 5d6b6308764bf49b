/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Owns the plain `show`: read the words, ask, print. */
#include "show.h"

#include "client.h"
#include "output.h"

int show(struct cli *cli, int argc, char **argv, const char *path, void (*text)(const json_t *doc))
{
	const struct word words[] = { {} };
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (!ret)
		ret = client_get(cli, path, &doc);
	return ret ?: cli_print(cli, doc, text);
}

int show_of_service(struct cli *cli, int argc, char **argv, const char *path, void (*text)(const json_t *doc))
{
	const char *service = NULL;
	const struct word words[] = { WORD_BARE("service", "NAME", &service), {} };
	struct client_path at;
	json_t *doc;
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	client_path(&at, path, "", "");
	client_query(&at, "service", service);
	ret = client_get(cli, at.text, &doc);
	return ret ?: cli_print(cli, doc, text);
}

int show_one_or_all(struct cli *cli, int argc, char **argv, const char *all, const char *end, json_t **ret,
		    bool *ret_one)
{
	const char *name = NULL;
	const struct word words[] = { WORD_BARE("service", "NAME", &name), {} };
	struct client_path path;
	int err;

	err = words_read(cli, argc, argv, words);
	if (err)
		return err;
	if (name)
		client_path(&path, "/v1/services/", name, end);
	else
		client_path(&path, all, "", "");
	*ret_one = name;
	return client_get(cli, path.text, ret);
}
