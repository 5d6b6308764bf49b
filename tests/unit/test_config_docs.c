// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns that docs/config.md and perch.yaml(5) are true: every key that is read
 * is described in both, and their examples load.  Runs at the top of the tree.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/stat.h>

#include <cmocka.h>

#include "../../user/config/config.h"

#define GUIDE "docs/config.md"
#define MANUAL "docs/man/perch.yaml.5"

#define NAMED "schema: 1\ninterfaces: [{ name: eth0 }]\nservices:\n  - name: web\n    listen: [\"192.0.2.10:80/tcp\"]\n"

static char *read_text(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = NULL;
	size_t room = 0;

	if (!f)
		return NULL;
	if (getdelim(&text, &room, 0, f) < 0)
		fail_msg("%s can't be read", path);
	fclose(f);
	return text;
}

/* "name, listen, versions" of what an unknown key is answered with. */
static char *keys_at(const char *text_format)
{
	char text[1024], error[CONFIG_ERROR];
	struct model_config *c = NULL;
	const char *keys;

	snprintf(text, sizeof(text), text_format, "qqqqqqqqqqqq: 1");
	assert_true(config_parse("perch.yaml", text, strlen(text), &c, error) != 0);
	keys = strstr(error, "keys here: ");
	assert_non_null(keys);
	return keys ? strdup(keys + strlen("keys here: ")) : NULL;
}

/* In the guide: "`key`" or "`rollback.key`"; in the manual: ".BI key:" and the like. */
static void assert_described(const char *guide, const char *manual, const char *key)
{
	static const char *const guides[] = { "`%s`", ".%s`", "`%s." };
	static const char *const manuals[] = { ".BI %s:", ".B %s\n", "\" %s: \"", ".BI %s.", ".%s: " };
	bool in_guide = false, in_manual = false;
	char text[64];

	for (size_t i = 0; i < sizeof(guides) / sizeof(guides[0]); i++) {
		snprintf(text, sizeof(text), guides[i], key);
		in_guide = in_guide || strstr(guide, text);
	}
	for (size_t i = 0; i < sizeof(manuals) / sizeof(manuals[0]); i++) {
		snprintf(text, sizeof(text), manuals[i], key);
		in_manual = in_manual || strstr(manual, text);
	}
	if (!in_guide || !in_manual)
		fail_msg("'%s' is not described in %s", key, in_guide ? MANUAL : GUIDE);
}

static void test_docs_describe_every_key(void **state)
{
	static const char *const places[] = {
		"%s\n", "agent: { %s }\nschema: 1\n", "schema: 1\ninterfaces: [{ %s }]\n", "schema: 1\nservices: [{ %s }]\n",
		NAMED "    versions: [{ %s }]\n", NAMED "    rollback: { %s }\n", NAMED "    healthCheck: { %s }\n",
		NAMED "    rules: [{ %s }]\n", NAMED "    rollout: { %s }\n", NAMED "    rollout: { reflex: { %s } }\n",
		NAMED "    rollout: { gates: [{ %s }] }\n", NAMED "    rollout: { gates: [{ name: a, %s }] }\n",
		NAMED "    rollout: { score: { %s } }\n", NAMED "    rollout: { webhooks: [{ %s }] }\n", "schema: 1\ndefaults: { %s }\n",
	};
	char *guide = read_text(GUIDE), *manual = read_text(MANUAL);
	unsigned n = 0;

	if (!guide || !manual) {
		skip();
		return;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char *keys = keys_at(places[i]), *rest = keys, *key;

		for (; (key = strsep(&rest, ", ")); n += !!*key)
			if (*key)
				assert_described(guide, manual, key);
		free(keys);
	}
	print_message("%u keys described\n", n);
	assert_true(n > 60);
	free(guide);
	free(manual);
}

static void put(const char *folder, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void assert_loads(const char *text)
{
	char folder[] = "/tmp/test-config-docs.XXXXXX", path[128], error[CONFIG_ERROR], command[64];
	struct model_config *c = NULL;
	int err;

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/lists", folder);
	assert_int_equal(mkdir(path, 0755), 0);
	put(folder, "lists/employees.txt", "10.9.0.0/16\n");
	put(folder, "perch.yaml", text);
	snprintf(path, sizeof(path), "%s/perch.yaml", folder);
	err = config_load(path, &c, error);
	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	assert_int_equal(system(command), 0);
	if (err)
		fail_msg("%s in\n%s", error, text);
	config_free(c);
}

/* Each block between two lines that begins with "schema: 1", with \- as -. */
static unsigned examples_load(char *text, const char *begin, const char *end)
{
	unsigned n = 0;

	while ((text = strstr(text, begin))) {
		char *from = text + strlen(begin), *to = strstr(from, end), *out = from;

		assert_non_null(to);
		*to = 0;
		text = to + 1;
		if (strncmp(from, "schema: 1\n", 10))
			continue;
		for (char *in = from; *in; in++)
			if (in[0] != '\\' || in[1] != '-')
				*out++ = *in;
		*out = 0;
		assert_loads(from);
		n++;
	}
	return n;
}

static void test_docs_examples_load(void **state)
{
	char *guide = read_text(GUIDE), *manual = read_text(MANUAL);

	if (!guide || !manual) {
		skip();
		return;
	}
	assert_int_equal(examples_load(guide, "```yaml\n", "```\n"), 1);
	assert_int_equal(examples_load(manual, ".EX\n", ".EE\n"), 2);
	free(guide);
	free(manual);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_docs_describe_every_key),
		cmocka_unit_test(test_docs_examples_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
