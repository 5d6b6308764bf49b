// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Texts of services with one version more or less, files that are replaced
 * whole, and the folders to watch for a file. */
#define _GNU_SOURCE	/* mkdtemp, asprintf */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/agent/reload/applied_text.h"
#include "../../user/agent/reload/files.h"
#include "../../user/agent/reload/watch.h"
#include "../../user/config/config.h"

static const char yaml[] = "# by hand\n"
			   "name: web\n"
			   "listen: ['192.0.2.10:80/tcp', \"[2001:db8::10]:80/tcp\"]\n"
			   "versions:\n"
			   "  - name: v1\n"
			   "    role: stable\n"
			   "    labels: { commit: \"0123\", note: 'a: b' }\n"
			   "    backends: [10.0.0.1, \"[2001:db8::1]\"]\n"
			   "  - { name: v2, backends: [10.0.0.2, \"[2001:db8::2]:8080\"] }\n"
			   "rollout: { steps: [1, { weight: 50, pause: manual }, 100] }\n";

static const char json[] = "{\"name\":\"web\",\"listen\":[\"192.0.2.10:80/tcp\"],"
			   "\"versions\":[{\"name\":\"v1\",\"role\":\"stable\",\"backends\":[\"10.0.0.1\"]}]}";

static struct model_config *parsed(const char *text)
{
	struct model_config *c;
	char error[CONFIG_ERROR];

	if (config_parse_service("text", text, strlen(text), NULL, &c, error))
		fail_msg("%s\n%s", error, text);
	return c;
}

static void differs(void *arg, const char *path, const char *from, const char *to)
{
	char *list = arg;

	snprintf(list + strlen(list), 1024 - strlen(list), "%s ", path);
}

static void assert_differs(const char *from, const char *to, const char *paths)
{
	struct model_config *a = parsed(from), *b = parsed(to);
	char list[1024] = "";

	assert_int_equal(config_diff(a, b, differs, list), 0);
	assert_string_equal(list, paths);
	config_free(a);
	config_free(b);
}

static char *added(const char *text, const char *version)
{
	json_t *v = json_loads(version, 0, NULL);
	char *out = NULL;

	assert_non_null(v);
	assert_int_equal(applied_text_add(text, v, &out), 0);
	json_decref(v);
	return out;
}

static void test_added_version_is_all_that_changes(void **state)
{
	char *text = added(yaml, "{\"name\":\"v3\",\"backends\":[\"10.0.0.3\",{\"address\":\"[2001:db8::3]:80\",\"weight\":2}],"
				 "\"labels\":{\"commit\":\"0042\",\"note\":\"say \\\"hi\\\": #1\"}}");
	struct model_config *c = parsed(text);
	const struct model_version *v = &c->services[0].versions[2];

	assert_differs(yaml, text, "services.web.versions.v3.role services.web.versions.v3.backends "
				   "services.web.versions.v3.labels.commit services.web.versions.v3.labels.note ");
	assert_string_equal(v->name, "v3");
	assert_int_equal(v->backends[1].weight, 2);
	assert_string_equal(v->labels[0].value, "0042");
	assert_string_equal(v->labels[1].value, "say \"hi\": #1");
	config_free(c);
	free(text);
}

static void test_version_is_added_to_json_too(void **state)
{
	char *text = added(json, "{\"name\":\"v2\",\"backends\":[\"10.0.0.2\"]}");

	assert_differs(json, text, "services.web.versions.v2.role services.web.versions.v2.backends ");
	free(text);
}

static void test_added_and_removed_is_as_before(void **state)
{
	char *more = added(yaml, "{\"name\":\"v3\",\"backends\":[\"10.0.0.3\",\"[2001:db8::3]\"]}"), *less;

	assert_int_equal(applied_text_remove(more, "v3", &less), 0);
	assert_differs(yaml, less, "");
	free(more);
	free(less);
}

static void test_removed_version_is_all_that_changes(void **state)
{
	struct model_config *c;
	char *text;

	assert_int_equal(applied_text_remove(yaml, "v2", &text), 0);
	c = parsed(text);
	assert_int_equal(c->services[0].n_versions, 1);
	assert_string_equal(c->services[0].versions[0].labels[1].value, "a: b");
	config_free(c);
	free(text);
}

static void test_names_that_do_not_fit_are_told_apart(void **state)
{
	json_t *v = json_pack("{s:s}", "name", "v2");
	char *text;

	assert_int_equal(applied_text_add(yaml, v, &text), -EEXIST);
	assert_int_equal(applied_text_remove(yaml, "v9", &text), -ENOENT);
	assert_int_equal(applied_text_remove("name: web\n", "v1", &text), -EINVAL);
	assert_int_equal(applied_text_add("- a\n- b\n", v, &text), -EINVAL);
	assert_int_equal(applied_text_add("a: [", v, &text), -EINVAL);
	assert_int_equal(applied_text_add("", v, &text), -EINVAL);
	json_decref(v);
}

static void test_service_name_is_found_without_reading_the_rest(void **state)
{
	static const char odd[] = "{ rest: { of: it }, name: shop }";
	char name[PERCH_NAME_LEN], error[CONFIG_ERROR];

	assert_int_equal(config_service_name("f", yaml, strlen(yaml), name, error), 0);
	assert_string_equal(name, "web");
	assert_int_equal(config_service_name("f", odd, strlen(odd), name, error), 0);
	assert_string_equal(name, "shop");
	assert_int_equal(config_service_name("f", "a: b", 4, name, error), -EINVAL);
	assert_string_equal(error, "f:1: name: is missing; write name, listen and versions, as an element of services in perch.yaml has them");
	assert_int_equal(config_service_name("f", "name: [a]", 9, name, error), -EINVAL);
	assert_int_equal(config_service_name("f", "services: []", 12, name, error), -EINVAL);
	assert_non_null(strstr(error, "perch config apply"));
	assert_int_equal(config_service_name("f", "name: a: b", 10, name, error), -EINVAL);
}

static char dir[] = "/tmp/perch-unit-XXXXXX";

static const char *in_dir(const char *name)
{
	static char path[4][FILE_PATH];
	static unsigned at;
	char *p = path[at++ % 4];

	snprintf(p, FILE_PATH, "%s/%s", dir, name);
	return p;
}

static void test_file_is_replaced_whole_with_mode_and_owner(void **state)
{
	const char *path = in_dir("file");
	char *text, tmp[FILE_PATH];
	struct stat was, is;
	size_t length;

	assert_int_equal(file_replace(path, "one", 3), 0);
	assert_int_equal(stat(path, &was), 0);
	assert_int_equal(was.st_mode & 07777, 0600);
	assert_int_equal(chmod(path, 0640), 0);
	if (!geteuid())
		assert_int_equal(chown(path, 12, 34), 0);
	/* prepared, but not in its place */
	assert_int_equal(file_prepare(path, "other", 5, tmp), 0);
	assert_int_equal(file_read(path, &text, &length), 0);
	assert_string_equal(text, "one");
	free(text);
	assert_int_equal(file_commit(tmp, path), 0);
	assert_int_equal(access(tmp, F_OK), -1);
	assert_int_equal(file_read(path, &text, &length), 0);
	assert_string_equal(text, "other");
	assert_int_equal(length, 5);
	free(text);
	assert_int_equal(stat(path, &is), 0);
	assert_int_equal(is.st_mode & 07777, 0640);
	if (!geteuid()) {
		assert_int_equal(is.st_uid, 12);
		assert_int_equal(is.st_gid, 34);
	}
	assert_int_equal(file_replace(in_dir("no/file"), "x", 1), -ENOENT);
	assert_int_equal(file_read(dir, &text, &length), -EISDIR);
	unlink(path);
}

struct seen {
	char text[4096];
};

static void seen_add(void *arg, const char *folder)
{
	struct seen *s = arg;
	size_t n = strlen(s->text);

	snprintf(s->text + n, sizeof(s->text) - n, "%s\n", folder);
}

static bool seen_has(const struct seen *s, const char *folder)
{
	char line[FILE_PATH + 2];

	snprintf(line, sizeof(line), "%s\n", folder);
	return strstr(s->text, line);
}

static struct seen folders_of(const char *path)
{
	struct seen s = { "" };

	watch_each_folder(path, seen_add, &s);
	return s;
}

/* conf -> real; real/perch.yaml -> ..data/perch.yaml; real/..data -> ..1 */
static void test_folders_of_every_link_on_the_way_are_watched(void **state)
{
	struct seen s;

	assert_int_equal(mkdir(in_dir("real"), 0755), 0);
	assert_int_equal(mkdir(in_dir("real/..1"), 0755), 0);
	assert_int_equal(symlink("real", in_dir("conf")), 0);
	assert_int_equal(symlink("..1", in_dir("real/..data")), 0);
	assert_int_equal(symlink("..data/perch.yaml", in_dir("real/perch.yaml")), 0);
	assert_int_equal(file_replace(in_dir("real/..1/perch.yaml"), "x", 1), 0);
	s = folders_of(in_dir("conf/perch.yaml"));
	assert_true(seen_has(&s, dir));			/* holds conf */
	assert_true(seen_has(&s, in_dir("real")));	/* holds perch.yaml and ..data */
	assert_true(seen_has(&s, in_dir("real/..1")));
	s = folders_of(in_dir("real/..1/perch.yaml"));
	assert_false(seen_has(&s, dir));
	assert_true(seen_has(&s, in_dir("real/..1")));
}

static void test_folder_that_is_missing_is_awaited_above(void **state)
{
	struct seen s = folders_of(in_dir("gone/services.d/*.yaml"));

	assert_true(seen_has(&s, dir));
	assert_false(seen_has(&s, in_dir("gone")));
	/* a circle of links ends */
	assert_int_equal(symlink("b", in_dir("a")), 0);
	assert_int_equal(symlink("a", in_dir("b")), 0);
	s = folders_of(in_dir("a/file"));
	assert_true(seen_has(&s, dir));
}

static int dir_make(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int dir_remove(void **state)
{
	static const char *const files[] = { "real/..1/perch.yaml", "real/perch.yaml", "real/..data", "conf", "a", "b" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(in_dir(files[i]));
	rmdir(in_dir("real/..1"));
	rmdir(in_dir("real"));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_added_version_is_all_that_changes),
		cmocka_unit_test(test_version_is_added_to_json_too),
		cmocka_unit_test(test_added_and_removed_is_as_before),
		cmocka_unit_test(test_removed_version_is_all_that_changes),
		cmocka_unit_test(test_names_that_do_not_fit_are_told_apart),
		cmocka_unit_test(test_service_name_is_found_without_reading_the_rest),
		cmocka_unit_test(test_file_is_replaced_whole_with_mode_and_owner),
		cmocka_unit_test(test_folders_of_every_link_on_the_way_are_watched),
		cmocka_unit_test(test_folder_that_is_missing_is_awaited_above),
	};

	return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
