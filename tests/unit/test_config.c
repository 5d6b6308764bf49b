// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Owns what a right configuration comes to, field by field; files that can't
 * be read; and that no text, cut or garbled, makes the reader fail otherwise
 * than with an error.
 */
#include <arpa/inet.h>
#include <errno.h>
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
#include "../../user/core/address.h"

#define MS 1000000ull
#define S (1000 * MS)
#define H (3600 * S)

static const char eight_lines[] =
	"schema: 1\n"
	"interfaces: [{ name: eth0 }]\n"
	"services:\n"
	"  - name: web\n"
	"    listen: [\"192.0.2.10:80/tcp\"]\n"
	"    versions:\n"
	"      - { name: v1.4.2, role: stable, backends: [10.0.1.2, 10.0.1.3] }\n"
	"      - { name: v1.5.0, role: canary, backends: [10.0.1.4] }\n";

static const char full[] =
	"# every key that is built\n"
	"schema: 1\n"
	"agent:\n"
	"  socket: /run/perch/test.sock\n"
	"  listen: \"[::1]:9911\"\n"
	"  stateDir: /var/lib/perch-test\n"
	"  pinPath: /sys/fs/bpf/perch-test\n"
	"  sampleInterval: 250ms\n"
	"  deadman: 0\n"
	"  flowTableSize: 65536\n"
	"  secretFile: /etc/perch/test-secret\n"
	"interfaces:\n"
	"  - { name: eth0, attach: xdp, foreign: refuse, decap: false }\n"
	"  - { name: eth1.100, attach: xdp-generic }\n"
	"  - name: veth0\n"
	"    attach: tc\n"
	"  - name: bond0\n"
	"include: []\n"
	"defaults: { affinity: client, onStableDown: reject, rollout: { interval: 60s, gates: [] } }\n"
	"fleet: {}\n"
	"services:\n"
	"  - name: web\n"
	"    listen: [\"192.0.2.10:80/tcp\", 192.0.2.10:443/udp, \"[2001:db8::10]:443/udp\"]\n"
	"    forward: nat\n"
	"    fragments: false\n"
	"    affinity: connection\n"
	"    observe: [udpReply]\n"
	"    adopt: 0s\n"
	"    rules: []\n"
	"    healthCheck: { type: none }\n"
	"    versions:\n"
	"      - name: v1.4.2\n"
	"        role: stable\n"
	"        backends: [\"10.0.1.2\", { address: \"10.0.1.3:8080\", weight: 2 }, \"[2001:db8:1::4]\"]\n"
	"      - name: \"v1.5.0\"\n"
	"        role: canary\n"
	"        door: [\"192.0.2.10:8080/tcp\"]\n"
	"        labels: { commit: ab12, pipeline: \"1234\" }\n"
	"        backends: [10.0.1.4:8080, { address: \"[2001:db8:1::5]:8080\", weight: 3 }]\n"
	"      - { name: base, role: baseline, backends: [10.0.1.5, \"[2001:db8:1::6]\"] }\n"
	"      - { name: next, backends: [\"[2001:db8:1::7]\", 10.0.1.6] }\n"
	"    rollback: { established: sever, drainTimeout: 1.5s }\n"
	"    rollout:\n"
	"      strategy: canary\n"
	"      mode: act\n"
	"      steps: [1, 2.5, { weight: 50, pause: manual }, { weight: 75.25, pause: 10m }, 100]\n"
	"      interval: 100ms\n"
	"      minConnections: 200\n"
	"      maxStepTime: 20m\n"
	"      onInconclusive: hold\n"
	"      progressDeadline: 12h\n"
	"      freeze: []\n"
	"      warmup: 7s\n"
	"      beta: 0.01\n"
	"      maxRatio: 2\n"
	"      maxSlowdown: 1.1\n"
	"      maxLoss: 0.5\n"
	"      maxLossPerHour: 10\n"
	"      watch: 2h\n"
	"      holdback: 7.5\n"
	"      keepPrevious: 48h\n"
	"      alpha: 0.001\n"
	"      reflex: { connectFailures: 25 }\n"
	"      gates:\n"
	"        - { signal: connect_failure, max: 2 }\n"
	"        - { signal: reset, max: 0.05 }\n"
	"        - { signal: response_time, quantile: 0.99, max: 500ms }\n"
	"        - { signal: response_time, quantile: 0.999, max: 0.5s }\n"
	"        - { signal: reset }\n"
	"        - { signal: udp_no_reply, maxRatio: 3 }\n"
	"        - { signal: response_time, maxSlowdown: 1.5 }\n"
	"      webhooks: []\n"
	"  - name: dns\n"
	"    listen: [\"[2001:db8::10]:53/udp\"]\n"
	"    versions:\n"
	"      - { name: v1, role: stable, backends: [\"[2001:db8:1::2]\", \"[2001:db8:1::3]:5353\"] }\n"
	"  - name: ports\n"
	"    listen: [\"192.0.2.12:0/tcp\"]\n"
	"    exclude: [22, 179]\n"
	"    onStableDown: canary\n"
	"    healthCheck: { type: http, interval: 2s, timeout: 250ms, fall: 5, rise: 1, path: /ok, expect: 200-204 }\n"
	"    rules: [{ source: 10.9.0.0/16, version: canary }, { dscp: 46, version: v1 }]\n"
	"    versions: [{ name: v1, role: stable, backends: [10.0.1.2:80] }]\n";

static struct model_config *parse(const char *text)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR];

	if (config_parse("perch.yaml", text, strlen(text), &c, error))
		fail_msg("%s", error);
	assert_string_equal(error, "");
	return c;
}

static void assert_endpoint(const struct perch_endpoint *e, const char *text)
{
	char out[ADDRESS_TEXT];

	assert_string_equal(endpoint_format(e, out), text);
}

static void assert_backend(const struct model_backend *b, const char *text, unsigned weight, int line)
{
	char out[ADDRESS_TEXT];

	assert_string_equal(address_port_format(&b->address, b->port, out), text);
	assert_int_equal(b->weight, weight);
	assert_int_equal(b->line, line);
}

static void assert_default_rollout(const struct model_rollout *p)
{
	static const unsigned steps[] = { 100, 500, 1000, 2500, 5000, 10000 };

	assert_int_equal(p->n_steps, 6);
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(p->step[i].share, steps[i]);
		assert_false(p->step[i].manual);
		assert_int_equal(p->step[i].pause, 0);
	}
	assert_int_equal(p->interval, 60 * S);
	assert_int_equal(p->min_connections, 30);
	assert_int_equal(p->max_step_time, 1800 * S);
	assert_int_equal(p->progress_deadline, 24 * H);
	assert_int_equal(p->watch, H);
	assert_int_equal(p->holdback, 500);
	assert_int_equal(p->keep_previous, 24 * H);
	assert_true(p->alpha == 0.01);
	assert_true(p->compare.beta == 0.05 && p->compare.ratio == 1.5 && p->compare.slowdown == 1.25);
	assert_int_equal(p->compare.max_loss, 20);
	assert_int_equal(p->compare.max_loss_per_hour, 60);
	assert_int_equal(p->compare.warmup, 60 * S);
	assert_int_equal(p->reflex, 10);
	assert_int_equal(p->n_gates, 0);
}

static void test_config_of_eight_lines_has_documented_defaults(void **state)
{
	struct model_config *c = parse(eight_lines);
	const struct model_service *s = c->services;
	char error[CONFIG_ERROR];

	assert_string_equal(c->file, "perch.yaml");
	assert_string_equal(c->agent.socket, "/run/perch/perch.sock");
	assert_null(c->agent.listen_host);
	assert_string_equal(c->agent.state_dir, "/var/lib/perch");
	assert_string_equal(c->agent.pin_path, "/sys/fs/bpf/perch");
	assert_string_equal(c->agent.secret_file, "/etc/perch/secret");
	assert_int_equal(c->agent.sample_interval, 100 * MS);
	assert_int_equal(c->agent.flow_table_size, 1048576);
	assert_int_equal(c->n_interfaces, 1);
	assert_string_equal(c->interfaces[0].name, "eth0");
	assert_int_equal(c->interfaces[0].attach, MODEL_ATTACH_AUTO);
	assert_int_equal(c->n_services, 1);
	assert_int_equal(s->affinity, PERCH_AFFINITY_CLIENT);
	assert_int_equal(s->established, PERCH_DRAIN);
	assert_int_equal(s->drain_timeout, 30 * S);
	assert_int_equal(s->n_versions, 2);
	assert_backend(&s->versions[0].backends[1], "10.0.1.3", 1, 7);
	assert_default_rollout(&s->rollout);
	assert_int_equal(config_check_new_service(s, error), 0);
	config_free(c);
}

static void test_config_full_agent_and_interfaces_are_read(void **state)
{
	struct model_config *c = parse(full);

	assert_string_equal(c->agent.socket, "/run/perch/test.sock");
	assert_string_equal(c->agent.listen_host, "::1");
	assert_int_equal(c->agent.listen_port, 9911);
	assert_string_equal(c->agent.state_dir, "/var/lib/perch-test");
	assert_string_equal(c->agent.pin_path, "/sys/fs/bpf/perch-test");
	assert_string_equal(c->agent.secret_file, "/etc/perch/test-secret");
	assert_int_equal(c->agent.sample_interval, 250 * MS);
	assert_int_equal(c->agent.flow_table_size, 65536);
	assert_int_equal(c->n_interfaces, 4);
	assert_int_equal(c->interfaces[0].attach, MODEL_ATTACH_XDP);
	assert_string_equal(c->interfaces[1].name, "eth1.100");
	assert_int_equal(c->interfaces[1].attach, MODEL_ATTACH_XDP_GENERIC);
	assert_int_equal(c->interfaces[2].attach, MODEL_ATTACH_TC);
	assert_int_equal(c->interfaces[2].line, 15);
	assert_int_equal(c->interfaces[3].attach, MODEL_ATTACH_AUTO);
	config_free(c);
}

static void test_config_full_services_are_read(void **state)
{
	struct model_config *c = parse(full);
	const struct model_service *s = c->services;
	const struct model_version *v = s->versions;

	assert_int_equal(c->n_services, 3);
	assert_string_equal(s->name, "web");
	assert_string_equal(s->file, "perch.yaml");
	assert_int_equal(s->line, 22);
	assert_int_equal(s->n_listen, 3);
	assert_endpoint(&s->listen[0], "192.0.2.10:80/tcp");
	assert_endpoint(&s->listen[1], "192.0.2.10:443/udp");
	assert_endpoint(&s->listen[2], "[2001:db8::10]:443/udp");
	assert_int_equal(s->affinity, PERCH_AFFINITY_CONNECTION);
	assert_int_equal(s->established, PERCH_SEVER);
	assert_int_equal(s->drain_timeout, 1500 * MS);
	assert_int_equal(s->n_versions, 4);
	assert_string_equal(v[0].name, "v1.4.2");
	assert_int_equal(v[0].role, PERCH_ROLE_STABLE);
	assert_int_equal(v[0].line, 32);
	assert_int_equal(v[0].n_backends, 3);
	assert_backend(&v[0].backends[0], "10.0.1.2", 1, 34);
	assert_backend(&v[0].backends[1], "10.0.1.3:8080", 2, 34);
	assert_backend(&v[0].backends[2], "2001:db8:1::4", 1, 34);
	assert_backend(&v[1].backends[1], "[2001:db8:1::5]:8080", 3, 39);
	assert_string_equal(v[1].name, "v1.5.0");
	assert_int_equal(v[1].role, PERCH_ROLE_CANARY);
	assert_int_equal(v[1].n_doors, 1);
	assert_endpoint(&v[1].doors[0], "192.0.2.10:8080/tcp");
	assert_int_equal(v[1].n_labels, 2);
	assert_string_equal(v[1].labels[0].key, "commit");
	assert_string_equal(v[1].labels[0].value, "ab12");
	assert_string_equal(v[1].labels[1].value, "1234");
	assert_int_equal(v[2].role, PERCH_ROLE_BASELINE);
	assert_int_equal(v[3].role, PERCH_ROLE_CANARY);
	assert_endpoint(&s[1].listen[0], "[2001:db8::10]:53/udp");
	assert_backend(&s[1].versions[0].backends[0], "2001:db8:1::2", 1, 76);
	assert_backend(&s[1].versions[0].backends[1], "[2001:db8:1::3]:5353", 1, 76);
	assert_default_rollout(&s[1].rollout);
	config_free(c);
}

static void assert_gate(const struct model_gate *g, const char *name, double max, double quantile, __u64 limit)
{
	assert_string_equal(g->name, name);
	assert_true(g->max == max);
	assert_true(g->quantile == quantile);
	assert_int_equal(g->limit, limit);
	assert_int_equal(g->signal, quantile != 0 ? MODEL_RESPONSE_TIME : *name == 'r' ? MODEL_RESET : MODEL_CONNECT_FAILURE);
}

static void test_config_full_rollout_is_read(void **state)
{
	struct model_config *c = parse(full);
	const struct model_rollout *p = &c->services[0].rollout;

	assert_int_equal(p->n_steps, 5);
	assert_int_equal(p->step[0].share, 100);
	assert_int_equal(p->step[1].share, 250);
	assert_int_equal(p->step[2].share, 5000);
	assert_true(p->step[2].manual);
	assert_int_equal(p->step[3].share, 7525);
	assert_false(p->step[3].manual);
	assert_int_equal(p->step[3].pause, 600 * S);
	assert_int_equal(p->step[4].share, 10000);
	assert_int_equal(p->step[4].pause, 0);
	assert_int_equal(p->interval, 100 * MS);
	assert_int_equal(p->min_connections, 200);
	assert_int_equal(p->max_step_time, 1200 * S);
	assert_int_equal(p->progress_deadline, 12 * H);
	assert_int_equal(p->watch, 2 * H);
	assert_int_equal(p->holdback, 750);
	assert_int_equal(p->keep_previous, 48 * H);
	assert_true(p->alpha == 0.001);
	assert_int_equal(p->reflex, 25);
	assert_int_equal(p->n_gates, 4);
	assert_gate(&p->gate[0], "connect_failure", 0.02, 0, 0);
	assert_gate(&p->gate[1], "reset", 0.0005, 0, 0);
	assert_gate(&p->gate[2], "response_time p99", 0.01, 0.99, 500 * MS);
	assert_gate(&p->gate[3], "response_time p99.9", 0.001, 0.999, 500 * MS);
	assert_int_equal(p->gate[3].line, 68);
	assert_int_equal(p->compare.warmup, 7 * S);
	assert_true(p->compare.beta == 0.01);
	assert_true(p->compare.ratio == 2);
	assert_true(p->compare.slowdown == 1.1);
	assert_int_equal(p->compare.max_loss, 50);
	assert_int_equal(p->compare.max_loss_per_hour, 10);
	assert_true(p->compare.max_ratio[MODEL_EVENT_RESET] == MODEL_MARGIN);
	assert_true(p->compare.max_ratio[MODEL_EVENT_UDP_NO_REPLY] == 3);
	assert_true(p->compare.max_ratio[MODEL_EVENT_CONNECT_FAILURE] == 0);
	assert_true(p->compare.max_slowdown[MODEL_WAIT_RESPONSE_TIME] == 1.5);
	assert_true(p->compare.max_slowdown[MODEL_WAIT_CONNECT_TIME] == 0);
	config_free(c);
}

static void test_config_new_service_needs_one_stable(void **state)
{
	static const char head[] = "schema: 1\ninterfaces: [{ name: a }]\nservices:\n  - name: web\n"
				   "    listen: [\"192.0.2.10:80/tcp\"]\n    versions:\n";
	static const struct { const char *versions, *error; } cases[] = {
		{ "      - { name: v1, backends: [10.0.1.2] }\n",
		  "perch.yaml:7: services[0].versions: no version has role stable;" },
		{ "      - { name: v1, role: stable, backends: [10.0.1.2] }\n"
		  "      - { name: v2, role: stable, backends: [10.0.1.3] }\n",
		  "perch.yaml:8: services[0].versions[1].role: version 'v1' is stable already;" },
	};

	for (size_t i = 0; i < 2; i++) {
		char text[1024], error[CONFIG_ERROR] = "";
		struct model_config *c;

		snprintf(text, sizeof(text), "%s%s", head, cases[i].versions);
		c = parse(text);
		assert_int_equal(config_check_new_service(c->services, error), -EINVAL);
		assert_memory_equal(error, cases[i].error, strlen(cases[i].error));
		config_free(c);
	}
}

/* A folder for files, gone at the end. */
static int make_folder(void **state)
{
	char *folder = strdup("/tmp/test-config.XXXXXX");

	*state = folder;
	return folder && mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/file", (char *)*state);
	unlink(path);
	rmdir(*state);
	free(*state);
	return 0;
}

static void write_file(char path[256], const char *folder, const char *text, size_t length)
{
	FILE *f;

	snprintf(path, 256, "%s/file", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, length, f), length);
	assert_int_equal(fclose(f), 0);
}

static void refuse_file(const char *path, int code, const char *says)
{
	struct model_config *c = NULL;
	char error[CONFIG_ERROR] = "";

	assert_int_equal(config_load(path, &c, error), code);
	assert_null(c);
	if (strncmp(error, path, strlen(path)) || !strstr(error, says))
		fail_msg("expected '%s', got '%s'", says, error);
}

static void test_config_file_is_loaded(void **state)
{
	char path[256], error[CONFIG_ERROR];
	struct model_config *c = NULL;

	write_file(path, *state, full, strlen(full));
	assert_int_equal(config_load(path, &c, error), 0);
	assert_string_equal(c->file, path);
	assert_string_equal(c->services[1].file, path);
	config_free(c);
}

static void test_config_file_that_is_none_is_refused(void **state)
{
	const size_t huge = (16 << 20) + 1;
	char path[256], *spaces = malloc(huge);

	refuse_file(*state, -EISDIR, "Is a directory");
	snprintf(path, sizeof(path), "%s/none", (char *)*state);
	refuse_file(path, -ENOENT, "No such file or directory");
	write_file(path, *state, "\x7f""ELF\2\1\1\0\0\0\0", 11);
	refuse_file(path, -EINVAL, ":1: is not text");
	write_file(path, *state, "", 0);
	refuse_file(path, -EINVAL, ":1: schema: is missing, the file is empty");
	assert_non_null(spaces);
	memset(spaces, '\n', huge);
	write_file(path, *state, spaces, huge);
	refuse_file(path, -EFBIG, "larger than 16 MiB");
	write_file(path, *state, spaces, huge - 1);
	refuse_file(path, -EINVAL, "the file is empty");
	free(spaces);
}

static void test_config_long_file_name_keeps_the_error(void **state)
{
	struct model_config *c = NULL;
	char name[1024], error[CONFIG_ERROR];

	memset(name, 'x', sizeof(name));
	strcpy(name + sizeof(name) - 12, "/perch.yaml");
	assert_int_equal(config_parse(name, "schema: 2\n", 10, &c, error), -EINVAL);
	assert_non_null(strstr(error, "/perch.yaml:1: schema: '2' is not known"));
}

static void test_config_cut_anywhere_is_parsed_or_refused(void **state)
{
	size_t taken = 0;

	for (size_t n = 0; n < strlen(full); n++) {
		struct model_config *c = NULL;
		char error[CONFIG_ERROR], *exact = malloc(n ?: 1);	/* so that ASan sees the end */
		int err;

		memcpy(exact, full, n);
		err = config_parse("perch.yaml", exact, n, &c, error);
		assert_true(err == 0 || err == -EINVAL);
		assert_true(err ? !c && *error : c && !*error);
		taken += !err;
		config_free(c);
		free(exact);
	}
	assert_true(taken > 20 && taken < strlen(full) / 2);
}

static void test_config_garbled_is_parsed_or_refused(void **state)
{
	static const char bytes[] = "\n\n\t  :-[]{}\"'#&*!|>%@`?,.0189azEe~\\\x01\xc3\xa9\xff";
	char text[sizeof(full)];

	srandom(1);
	for (unsigned round = 0; round < 4000; round++) {
		struct model_config *c = NULL;
		char error[CONFIG_ERROR];
		int err;

		memcpy(text, full, sizeof(full));
		for (unsigned i = 0; i <= round % 4; i++)
			text[random() % strlen(full)] = bytes[random() % (sizeof(bytes) - 1)];
		err = config_parse("perch.yaml", text, strlen(full), &c, error);
		assert_true(err == 0 || err == -EINVAL);
		if (err)
			assert_true(!c && !strncmp(error, "perch.yaml:", 11) && strstr(error, "; ") && !strchr(error, '\n'));
		else
			assert_true(c && !*error);
		config_free(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config_of_eight_lines_has_documented_defaults),
		cmocka_unit_test(test_config_full_agent_and_interfaces_are_read),
		cmocka_unit_test(test_config_full_services_are_read),
		cmocka_unit_test(test_config_full_rollout_is_read),
		cmocka_unit_test(test_config_new_service_needs_one_stable),
		cmocka_unit_test_setup_teardown(test_config_file_is_loaded, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_config_file_that_is_none_is_refused, make_folder, drop_folder),
		cmocka_unit_test(test_config_long_file_name_keeps_the_error),
		cmocka_unit_test(test_config_cut_anywhere_is_parsed_or_refused),
		cmocka_unit_test(test_config_garbled_is_parsed_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
