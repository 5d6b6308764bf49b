// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Each object's own words, with nobody at the socket: what is right fails for
 * want of an agent (1), what is wrong is refused before anybody is asked (2). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../user/cli/cli.h"

/* Splits line at spaces and runs it; keeps what it prints to itself. */
static int run(const char *line)
{
	struct cli cli = { .json = true, .socket = "/nonexistent/perch.sock", .bpffs = "/nonexistent" };
	char words[256], *argv[24], *rest = words;
	int argc = 0, ret, keep = dup(STDOUT_FILENO);
	FILE *file = tmpfile();

	snprintf(words, sizeof(words), "%s", line);
	while ((argv[argc] = strtok_r(rest, " ", &rest)))
		argc++;
	fflush(stdout);
	dup2(fileno(file), STDOUT_FILENO);
	ret = command_run(&cli, objects, "perch", argc, argv);
	fflush(stdout);
	dup2(keep, STDOUT_FILENO);
	close(keep);
	fclose(file);
	return ret;
}

static void expect(const char *const *lines, int want)
{
	for (; *lines; lines++) {
		int got = run(*lines);

		if (got != want)
			fail_msg("perch %s: exit %d, not %d", *lines, got, want);
	}
}

static void test_right_words_get_as_far_as_the_agent(void **state)
{
	static const char *const lines[] = {
		"status", "status quiet", "status web quiet", "status quiet service web",
		"service show", "service show web", "service", "version show service web", "backend show web",
		"weight show", "weight set service web canary 5", "weight set canary 5 service web",
		"weight set web canary 5", "weight set web canary 0.01 stable 99.99 force comment why",
		"rollback web", "rollback all", "rollback web sever", "rollback keep web comment x",
		"rollout show", "rollout show web", "rollout start web", "rollout start web comment x",
		"rollout start service web", "rollout promote web force", "rollout advance web", "rollout abort web", "rollout skip web gate reset", "rollout skip web gate reset comment x",
		"rollout pause web", "rollout resume web", "rollout retry web", "rollout start web version v2 comment x",
		"rollout wait web", "rollout wait web version v2 timeout 30s", "rollout watch web", "rollout why web",
		"rollout plan web", "batch file /nonexistent", "batch file /nonexistent continue",
		"flow show", "flow show client 2001:db8::1 limit 0 service web", "flow count",
		"event show limit 1000", "event watch limit 1", "reason show", "reason show all",
		"trace", "trace web limit 3", "trace client 10.0.0.1 service web", "top web", "top interval 100ms count 2", "doctor",
		"datapath show", "config show",
		"config show text", "config check /nonexistent", "config diff", "config diff /dev/null", "config apply /dev/null",
		"config apply /dev/null confirm 60s comment x", "config confirm", "config confirm comment x",
		"service apply /dev/null", "service delete web", "service delete web drain 30s force comment x",
		"service delete service web", "version add web v2 backend 10.0.0.1", "version delete service web v2",
		"version add service web v2 backend 10.0.0.1:80 [2001:db8::1]:80 label a=b c=d door 10.0.0.2:80/tcp comment x", NULL
	};

	expect(lines, CLI_FAILED);
}

static void test_wrong_words_are_refused_before_anybody_is_asked(void **state)
{
	static const char *const lines[] = {
		"status loud quiet web", "status web shop", "service show web shop", "service delete", "service del web",
		"service delete web drain", "service delete web drain soon", "service delete web keep", "service apply", "service apply a b",
		"version add", "version add web", "version add web v2", "version add web v2 10.0.0.1", "version add web v2 backend",
		"version add web v2 backend 10.0.0.1 label commit", "version add web v2 backend 10.0.0.1 label a=b a=c",
		"version delete", "version delete web", "version del web v2", "version delete web v2 v3",
		"weight set", "weight set web", "weight set web canary", "weight set web 5", "weight set canary 5",
		"weight set web canary five", "weight set web canary 101", "weight set web canary 5.001",
		"weight set web canary -1", "weight set web canary 5 canary 6", "weight set web canary 5 comment",
		"rollback", "rollback web shop", "rollback web keep drain", "rollback web keep keep", "rollback sever",
		"rollout start", "rollout start web force", "rollout skip web", "rollout skip web reset", "rollout pause web shop",
		"rollout wait", "rollout wait web timeout", "rollout wait web timeout soon", "rollout wait web now", "rollout watch",
		"rollout pause web version v2", "rollout why", "rollout why web v2", "rollout plan", "batch", "batch file",
		"batch file a b c", "metric push", "judge", "judge sequential w 0.5", "judge quantile a", "judge changepoint w 0.5",
		"flow show client web", "flow show limit -1", "flow show limit all", "flow count web",
		"event show limit 0", "event show limit 1001", "event watch until", "reason show web", "datapath show x",
		"trace limit 0", "trace client here", "trace web shop", "top interval 1ms", "top interval soon", "top count 0",
		"top web shop", "doctor web",
		"config check", "config check a b", "config diff a b", "config apply", "config apply a confirm", "config apply a confirm 0s",
		"config apply a confirm 25h", "config apply a now", "config confirm now", "config show all", "backend drain service web", NULL
	};

	expect(lines, CLI_USAGE);
}

static bool is_there(const struct command *c)
{
	return c->func || c->below;
}

/* Each object and each command says what may follow it and asks nobody. */
static void test_every_object_and_command_has_help(void **state)
{
	char line[256];

	for (const struct command *o = objects; o->name; o++) {
		snprintf(line, sizeof(line), "%s help", o->name);
		assert_int_equal(run(line), is_there(o) ? CLI_OK : CLI_USAGE);
		for (const struct command *c = o->below; c && c->name; c++) {
			snprintf(line, sizeof(line), "%s %s help", o->name, c->name);
			assert_int_equal(run(line), is_there(c) ? CLI_OK : CLI_USAGE);
			if (is_there(c) && (!c->about || !*c->about))
				fail_msg("perch %s %s says nothing about itself", o->name, c->name);
		}
	}
	assert_int_equal(run("help"), CLI_OK);
	assert_int_equal(run("help rollout wait"), CLI_OK);
	assert_int_equal(run("rollout help wait"), CLI_OK);
	assert_int_equal(run("rollout help nothing"), CLI_USAGE);
}

/* How many of the table begin as word does. */
static int alike(const struct command *table, const char *word, size_t length)
{
	int n = 0;

	for (; table->name; table++)
		n += strncmp(table->name, word, length) == 0;
	return n;
}

static void expect_prefixes(const struct command *table)
{
	const struct command *found;
	char word[64], why[512];

	for (const struct command *c = table; c->name; c++) {
		for (size_t length = 1; length <= strlen(c->name); length++) {
			bool whole = !c->name[length], alone = alike(table, c->name, length) == 1;

			snprintf(word, sizeof(word), "%.*s", (int)length, c->name);
			found = command_find(table, word, why, sizeof(why));
			if (whole || (alone && !c->whole))
				assert_ptr_equal(found, c);
			else	/* a name of its own, or nobody's */
				assert_true(!found || strcmp(found->name, word) == 0);
		}
	}
}

static void test_any_unambiguous_beginning_is_enough(void **state)
{
	expect_prefixes(objects);
	for (const struct command *o = objects; o->name; o++)
		if (o->below)
			expect_prefixes(o->below);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_words_get_as_far_as_the_agent),
		cmocka_unit_test(test_wrong_words_are_refused_before_anybody_is_asked),
		cmocka_unit_test(test_every_object_and_command_has_help),
		cmocka_unit_test(test_any_unambiguous_beginning_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
