// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perch explain: which version and backend a packet gets, and why. */
#include <stdio.h>

#include "../core/address.h"
#include "client.h"
#include "output.h"

#define USAGE "CLIENT:PORT LISTENER:PORT [tcp|udp] [dscp N]"

static void explain_text(const json_t *doc)
{
	const json_t *line;
	size_t i;

	printf("%s -> %s\n", field_line(doc, "client"), field_line(doc, "listener"));
	if (field_is(doc, "version"))
		printf("  service %s, version %s (%s), backend %s\n", field_line(doc, "service"),
		       field_line(doc, "version"), field_line(doc, "role"), field_line(doc, "backend"));
	else if (field_is(doc, "service"))
		printf("  service %s, nobody takes it\n", field_line(doc, "service"));
	printf("  by %s: %s\n", field_line(doc, "by"), field_line(doc, "why"));
	json_array_foreach(field_list(doc, "notes"), i, line) {
		const json_t *said = json_pack("{s:O}", "note", line);

		printf("  %s\n", field_line(said, "note"));
		json_decref((json_t *)said);
	}
}

/* What is wrong with the words, before perchd is asked. */
static int explain_check(const struct cli *cli, char **rest, int n, const char *tcp, const char *udp, const char *dscp)
{
	struct perch_address address;
	__be16 port;
	long number;

	if (n != 2)
		return cli_usage(cli, n < 2 ? "%s is missing: explain " USAGE : "'%s' is unexpected: explain " USAGE,
				 n < 2 ? (n ? "LISTENER:PORT" : "CLIENT:PORT") : rest[2]);
	if (address_port_parse(rest[0], &address, &port))
		return cli_usage(cli, "client '%s' is not an address with a port: 10.1.0.7:41234, [2001:db8::7]:41234", rest[0]);
	if (address_port_parse(rest[1], &address, &port) || !port)
		return cli_usage(cli, "listener '%s' is not an address with a port: 192.0.2.10:80, [2001:db8::10]:443", rest[1]);
	if (tcp && udp)
		return cli_usage(cli, "tcp or udp, not both");
	return dscp ? words_number(cli, "dscp", dscp, 0, 63, &number) : 0;
}

int do_explain(struct cli *cli, int argc, char **argv)
{
	const char *tcp = NULL, *udp = NULL, *dscp = NULL;
	const struct word words[] = { WORD_FLAG("tcp", &tcp), WORD_FLAG("udp", &udp), WORD("dscp", "N", &dscp), {} };
	struct client_path path;
	char *rest[argc + 1];
	json_t *doc;
	int n = 0, ret;

	ret = words_split(cli, argc, argv, words, rest, &n);
	if (!ret)
		ret = explain_check(cli, rest, n, tcp, udp, dscp);
	if (ret)
		return ret;
	client_path(&path, "/v1/explain", "", "");
	client_query(&path, "client", rest[0]);
	client_query(&path, "listener", rest[1]);
	client_query(&path, "protocol", tcp ?: udp);
	client_query(&path, "dscp", dscp);
	ret = client_get(cli, path.text, &doc);
	return ret ?: cli_print(cli, doc, explain_text);
}
