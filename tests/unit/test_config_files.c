// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns configurations of several files: includes, lists of addresses, what is
 * told about where, and which files those are.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <sys/stat.h>

#include <cmocka.h>

#include "../../user/config/config.h"
#include "../../user/core/address.h"

#define TOP "schema: 1\ninterfaces: [{ name: eth0 }]\n"
#define SERVICE(name_, listen_, backend_)                                                                         \
	"  - name: " name_ "\n    listen: [\"" listen_ "\"]\n    versions:\n"                                     \
	"      - { name: v1, role: stable, backends: [\"" backend_ "\"] }\n"
#define WEB SERVICE("web", "192.0.2.10:80/tcp", "10.0.1.2")
#define API SERVICE("api", "192.0.2.11:80/tcp", "10.0.1.3")

static char folder[64];

static int make_folder(void **state)
{
	strcpy(folder, "/tmp/test-config-files.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r '%s'", folder);
	return system(command);
}

static const char *path_of(const char *name)
{
	static char path[4][192];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static void put(const char *name, const char *text)
{
	const char *path = path_of(name), *slash = strchr(name, '/');
	char parent[192];
	FILE *f;

	if (slash) {
		snprintf(parent, sizeof(parent), "%s/%.*s", folder, (int)(slash - name), name);
		mkdir(parent, 0755);
	}
	f = fopen(path, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static struct model_config *load(void)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	if (config_load(path_of("perch.yaml"), &c, error))
		fail_msg("%s", error);
	return c;
}

static void test_include_reads_services_of_matching_files_in_order(void **state)
{
	struct model_config *c;

	put("perch.yaml", TOP "include: [services.d/*.yaml, more.yaml, none/*.yaml]\nservices:\n" WEB);
	put("services.d/b.yaml", "schema: 1\nservices:\n" SERVICE("b", "192.0.2.12:80/tcp", "10.0.1.4"));
	put("services.d/a.yaml", "# first by name\nservices:\n" API);
	put("services.d/c.yaml", "# nothing yet\n");
	put("services.d/d.txt", "not YAML: [");
	put("more.yaml", "services: []\n");
	c = load();
	assert_int_equal(c->n_services, 3);
	assert_string_equal(c->services[0].name, "web");
	assert_string_equal(c->services[0].file, path_of("perch.yaml"));
	assert_string_equal(c->services[1].name, "api");
	assert_string_equal(c->services[1].file, path_of("services.d/a.yaml"));
	assert_string_equal(c->services[1].origin, c->services[1].file);
	assert_string_equal(c->services[1].at, "services[0].");
	assert_int_equal(c->services[1].line, 3);
	assert_string_equal(c->services[2].name, "b");
	assert_int_equal(c->n_files, 5);
	assert_string_equal(c->files[0], path_of("perch.yaml"));
	assert_string_equal(c->files[1], path_of("services.d/a.yaml"));
	assert_string_equal(c->files[3], path_of("services.d/c.yaml"));
	assert_string_equal(c->files[4], path_of("more.yaml"));
	assert_int_equal(c->n_includes, 3);
	assert_string_equal(c->includes[0], path_of("services.d/*.yaml"));
	assert_string_equal(c->includes[2], path_of("none/*.yaml"));
	config_free(c);
}

static void test_include_of_one_pattern_needs_no_list(void **state)
{
	struct model_config *c;

	put("perch.yaml", TOP "include: services.d/*.yaml\n");
	put("services.d/a.yaml", "services:\n" API);
	c = load();
	assert_int_equal(c->n_services, 1);
	config_free(c);
}

/* Patterns are in the name that is written; folders are as they are called. */
static void test_include_takes_folders_as_they_are_called(void **state)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	put("a[1]*/perch.yaml", TOP "include: '*.yml'\n");
	put("a[1]*/a.yml", "services:\n" API);
	if (config_load(path_of("a[1]*/perch.yaml"), &c, error))
		fail_msg("%s", error);
	assert_int_equal(c->n_services, 1);
	assert_string_equal(c->files[1], path_of("a[1]*/a.yml"));
	assert_string_equal(c->includes[0], path_of("a[1]*/*.yml"));
	config_free(c);
}

static void test_include_gets_defaults_of_the_main_file(void **state)
{
	struct model_config *c;

	put("perch.yaml", TOP "include: a.yaml\ndefaults:\n  affinity: connection\n"
			  "  rules: [{ sourceFile: lists/all.txt, version: stable }]\n");
	put("a.yaml", "services:\n" API);
	put("lists/all.txt", "10.9.0.0/16\n");
	c = load();
	assert_int_equal(c->services[0].affinity, PERCH_AFFINITY_CONNECTION);
	assert_int_equal(c->services[0].n_rules, 1);
	assert_string_equal(c->services[0].rules[0].file, path_of("lists/all.txt"));
	config_free(c);
}

static void test_source_file_lines_become_rules(void **state)
{
	const struct model_rule *rule;
	struct model_config *c;
	char text[ADDRESS_TEXT];

	put("perch.yaml", TOP "include: services.d/*.yaml\n");
	put("services.d/a.yaml", "services:\n" API
	    "    rules:\n      - { sourceFile: lists/staff.txt, version: v1 }\n      - { source: 10.8.0.1, version: canary }\n");
	mkdir(path_of("services.d/lists"), 0755);
	put("services.d/lists/staff.txt", "# staff\n\n10.9.0.0/16\t# office\r\n  2001:db8:9::/48  \n10.9.1.1\n192.0.2.7/32");
	c = load();
	rule = c->services[0].rules;
	assert_int_equal(c->services[0].n_rules, 5);
	assert_string_equal(prefix_format(&rule[0].source, rule[0].prefix, text), "10.9.0.0/16");
	assert_int_equal(rule[0].prefix, 112);
	assert_int_equal(rule[0].line, 3);
	assert_string_equal(rule[0].version, "v1");
	assert_string_equal(rule[0].file, path_of("services.d/lists/staff.txt"));
	assert_string_equal(prefix_format(&rule[1].source, rule[1].prefix, text), "2001:db8:9::/48");
	assert_int_equal(rule[1].prefix, 48);
	assert_int_equal(rule[2].prefix, 128);
	assert_string_equal(prefix_format(&rule[3].source, rule[3].prefix, text), "192.0.2.7");
	assert_int_equal(rule[3].line, 6);
	assert_string_equal(rule[4].file, path_of("services.d/a.yaml"));
	assert_string_equal(c->files[2], path_of("services.d/lists/staff.txt"));
	config_free(c);
}

#define INCLUDE TOP "include: a.yaml\nservices:\n" WEB
#define LIST TOP "services:\n" WEB "    rules: [{ sourceFile: list, version: v1 }]\n"

static const struct mistake {
	const char *main, *file, *text;	/* file: NULL, or a second one */
	const char *where;	/* "FILE:LINE: key: " */
	const char *says;
} mistakes[] = {
	{ TOP "include: a.yaml\n", NULL, NULL, "perch.yaml:3: include: ", "a.yaml is not there; create it" },
	{ TOP "include: ['*.yaml']\n", NULL, NULL, "perch.yaml:3: include[0]: ", "perch.yaml is read already; include it once" },
	{ TOP "include: [a.yaml, a*.yaml]\n", "a.yaml", "", "perch.yaml:3: include[1]: ", "a.yaml is read already; include it once" },
	{ TOP "include: '*/a.yaml'\n", NULL, NULL, "perch.yaml:3: include: ", "list each folder" },
	{ TOP "include: [[a]]\n", NULL, NULL, "perch.yaml:3: include[0]: ", "is a list; write a file or a pattern" },
	{ INCLUDE, "a.yaml", "services:\n" API "    afinity: client\n", "a.yaml:6: services[0].afinity: ", "did you mean 'affinity'?" },
	{ INCLUDE, "a.yaml", "services: [\n", "a.yaml:2: ", "is not YAML" },
	{ INCLUDE, "a.yaml", "schema: 2\n", "a.yaml:1: schema: ", "write schema: 1" },
	{ INCLUDE, "a.yaml", "include: b.yaml\n", "a.yaml:1: include: ", "does not belong here; it belongs in the file that includes" },
	{ INCLUDE, "a.yaml", "defaults: {}\n", "a.yaml:1: defaults: ", "does not belong here; " },
	{ INCLUDE, "a.yaml", "agent: {}\n", "a.yaml:1: agent: ", "does not belong here; " },
	{ INCLUDE, "a.yaml", "interfaces: []\n", "a.yaml:1: interfaces: ", "does not belong here; " },
	{ INCLUDE, "a.yaml", "service: []\n", "a.yaml:1: service: ", "did you mean 'services'? keys here: schema, services" },
	{ INCLUDE, "a.yaml", "- name: web\n", "a.yaml:1: ", "is a list; an included file is a mapping" },
	{ INCLUDE, "a.yaml", "services:\n" WEB, "a.yaml:2: services[0].name: ", "'web' is there twice, first on line 5 of " },
	{ INCLUDE, "a.yaml", "services:\n" SERVICE("api", "192.0.2.10:80/tcp", "10.0.1.3"), "a.yaml:3: services[0].listen[0]: ",
	  "192.0.2.10:80/tcp is used already by services[0].listen[0] on line 6 of " },
	{ INCLUDE, "a.yaml", "services:\n" SERVICE("api", "192.0.2.11:80/tcp", "192.0.2.10"),
	  "a.yaml:5: services[0].versions[0].backends[0]: ", "that perch splits (services[0].listen[0], line 6 of " },
	{ "schema: 1\ninclude: a.yaml\n", "a.yaml", "services:\n" WEB, "perch.yaml:1: interfaces: ", "none is given" },

	{ LIST, NULL, NULL, "perch.yaml:8: services[0].rules[0].sourceFile: ", "list can't be read: No such file" },
	{ LIST, "list", "10.0.0.1\n10.0.0.300\n", "list:2: ", "'10.0.0.300' is not understood; write an address or CIDR" },
	{ LIST, "list", "10.0.0.1 10.0.0.2\n", "list:1: ", "is not understood; write an address or CIDR" },
	{ LIST, "list", "10.0.0.1/8\n", "list:1: ", "'10.0.0.1/8' has bits set behind its prefix; write 10.0.0.0/8, or" },
	{ LIST, "list", "10.0.0.0/33\n", "list:1: ", "is not understood" },
	{ LIST, "list", "10.0.0.0/08\n", "list:1: ", "is not understood" },
	{ LIST, "list", "::/0\n", "list:1: ", "'::/0' would hold all of IPv4 too; write 2000::/3" },
	{ LIST, "list", "10.0.0.0/8\n# again\n10.0.0.0/8\n", "list:3: ", "10.0.0.0/8 is there twice, first on line 1; keep one" },
	{ TOP "services:\n" WEB "    rules:\n      - { source: 10.0.0.0/8, version: v1 }\n      - { sourceFile: list, version: v1 }\n",
	  "list", "\n10.0.0.0/8\n", "list:2: ", "10.0.0.0/8 is there twice, first on line 9 of " },
	{ TOP "services:\n" WEB "    rules: [{ sourceFile: list, version: v9 }]\n", "list", "10.0.0.0/8\n", "list:1: ",
	  "'v9' is no version of 'web'; write a role" },
};

/* The error without the folder. */
static const char *plain(const char *error)
{
	size_t n = strlen(folder) + 1;

	return strncmp(error, folder, n - 1) ? error : error + n;
}

static void test_mistake_in_any_file_is_refused_at_its_place(void **state)
{
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		const struct mistake *m = &mistakes[i];
		struct model_config *c = NULL;
		char error[CONFIG_ERROR] = "";
		int err;

		put("perch.yaml", m->main);
		if (m->file)
			put(m->file, m->text);
		err = config_load(path_of("perch.yaml"), &c, error);
		if (m->file)
			unlink(path_of(m->file));
		if (err != -EINVAL || c || strncmp(plain(error), m->where, strlen(m->where)) || !strstr(error, m->says) ||
		    strchr(error, '\n') || !strchr(error, ';'))
			fail_msg("%zu: %d, expected \"%s\" and \"%s\", got \"%s\"", i, err, m->where, m->says, error);
	}
}

static void test_include_of_the_same_file_by_another_name_is_refused(void **state)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	put("perch.yaml", TOP "include: services.d/*.yaml\n");
	put("services.d/a.yaml", "services:\n" WEB);
	assert_int_equal(symlink("a.yaml", path_of("services.d/b.yaml")), 0);
	assert_int_equal(config_load(path_of("perch.yaml"), &c, error), -EINVAL);
	assert_non_null(strstr(error, "b.yaml is read already as "));
}

static void test_include_of_a_folder_is_refused(void **state)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	put("perch.yaml", TOP "include: services.d\n");
	put("services.d/a.yaml", "services:\n" WEB);
	assert_int_equal(config_load(path_of("perch.yaml"), &c, error), -EISDIR);
	assert_non_null(strstr(error, "services.d: cannot be read: Is a directory"));
	put("perch.yaml", TOP "services:\n" WEB "    rules: [{ sourceFile: services.d, version: v1 }]\n");
	assert_int_equal(config_load(path_of("perch.yaml"), &c, error), -EINVAL);
	assert_non_null(strstr(error, "can't be read: Is a directory"));
}

#define MILLION 1000000

static void put_networks(unsigned n)
{
	FILE *f = fopen(path_of("list"), "w");

	assert_non_null(f);
	for (unsigned i = 0; i < n; i++)
		if (i % 2)
			fprintf(f, "10.%u.%u.%u\n", i >> 16 & 255, i >> 8 & 255, i & 255);
		else
			fprintf(f, "2001:db8:%x:%x::/64\n", i >> 16, i & 0xffff);
	assert_int_equal(fclose(f), 0);
}

static void test_source_file_of_a_million_lines_is_read_in_seconds(void **state)
{
	struct timespec begin, end;
	struct model_config *c;
	char error[CONFIG_ERROR];
	double seconds;

	put("perch.yaml", LIST);
	put_networks(MILLION);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	c = load();
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(c->services[0].n_rules, MILLION);
	assert_int_equal(c->services[0].rules[MILLION - 1].line, MILLION);
	seconds = end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9;
	print_message("%d lines in %.2f s, %zu bytes a rule\n", MILLION, seconds, sizeof(struct model_rule));
	assert_true(seconds < 20);
	assert_true(sizeof(struct model_rule) <= 64);
	config_free(c);
	put_networks(MILLION + 1);
	assert_int_equal(config_load(path_of("perch.yaml"), &c, error), -EINVAL);
	assert_non_null(strstr(error, "list:1000001: a list has at most 1000000 lines"));
}

#define TEST(name_) cmocka_unit_test_setup_teardown(name_, make_folder, drop_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_include_reads_services_of_matching_files_in_order),
		TEST(test_include_of_one_pattern_needs_no_list),
		TEST(test_include_takes_folders_as_they_are_called),
		TEST(test_include_gets_defaults_of_the_main_file),
		TEST(test_source_file_lines_become_rules),
		TEST(test_mistake_in_any_file_is_refused_at_its_place),
		TEST(test_include_of_the_same_file_by_another_name_is_refused),
		TEST(test_include_of_a_folder_is_refused),
		TEST(test_source_file_of_a_million_lines_is_read_in_seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
