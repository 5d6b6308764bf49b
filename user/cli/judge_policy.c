// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A policy for `perch judge simulate` and `replay`, as KEY=VALUE,…: the keys of
 * a rollout in perch.yaml(5); what is not said has its default. */
#include <stdlib.h>
#include <string.h>

#include "../config/config.h"
#include "judge_simulate.h"

struct key {
	const char *name;
	int (*read)(const struct cli *cli, const char *text, struct simulate_case *c);
};

/* "1/5/25/100": percent. */
static int steps_read(const struct cli *cli, const char *text, struct simulate_case *c)
{
	char copy[256], *rest = copy, *word;
	double last = 0, percent;

	snprintf(copy, sizeof(copy), "%s", text);
	c->n_steps = 0;
	while ((word = strtok_r(rest, "/", &rest))) {
		if (c->n_steps == SIMULATE_STEPS || judge_real(cli, "steps", word, last, 100.0001, &percent))
			return c->n_steps == SIMULATE_STEPS ? cli_usage(cli, "steps '%s' has more than %d", text, SIMULATE_STEPS) : CLI_USAGE;
		last = percent;
		c->step[c->n_steps++] = percent >= 100 ? 1 : percent / 100;
	}
	return c->n_steps ? 0 : cli_usage(cli, "steps '%s' has none: percentages, as in 1/5/25/100", text);
}

static int interval_read(const struct cli *cli, const char *text, struct simulate_case *c)
{
	unsigned long long ns = 0;
	int ret = words_duration(cli, "interval", text, 1000000000ull, 86400 * 1000000000ull, &ns);

	c->interval = (double)ns / 1e9;
	return ret;
}

static int connections_read(const struct cli *cli, const char *text, struct simulate_case *c)
{
	return judge_real(cli, "minConnections", text, -1e-9, 1e12, &c->min_connections);
}

static int alpha_read(const struct cli *cli, const char *text, struct simulate_case *c)
{
	return judge_real(cli, "alpha", text, 0, 1, &c->policy.alpha);
}

static int beta_read(const struct cli *cli, const char *text, struct simulate_case *c)
{
	return judge_real(cli, "beta", text, 0, 1, &c->policy.beta);
}

static int ratio_read(const struct cli *cli, const char *text, struct simulate_case *c)
{
	double ratio = 0;
	int ret = judge_real(cli, "maxRatio", text, 0, 1000, &ratio);

	for (unsigned e = 0; e < TRIAL_EVENTS && !ret; e++)
		if (c->policy.max_ratio[e] > 0)
			c->policy.max_ratio[e] = ratio;
	return ret;
}

static int loss_read(const struct cli *cli, const char *text, struct simulate_case *c)
{
	double percent = 0;
	int ret = judge_real(cli, "maxLoss", text, -1e-9, 100, &percent);

	c->max_loss = percent / 100;
	return ret;
}

static int hourly_read(const struct cli *cli, const char *text, struct simulate_case *c)
{
	return judge_real(cli, "maxLossPerHour", text, -1e-9, 1e12, &c->max_loss_per_hour);
}

static int most_read(const struct cli *cli, const char *text, struct simulate_case *c)
{
	unsigned long long ns = 0;
	int ret = words_duration(cli, "progressDeadline", text, 1000000000ull, 30 * 86400 * 1000000000ull, &ns);

	c->most = (double)ns / 1e9;
	return ret;
}

static const struct key keys[] = {
	{ "steps", steps_read }, { "interval", interval_read }, { "minConnections", connections_read },
	{ "alpha", alpha_read }, { "beta", beta_read }, { "maxRatio", ratio_read }, { "maxLoss", loss_read },
	{ "maxLossPerHour", hourly_read }, { "progressDeadline", most_read },
};
#define KEYS (sizeof(keys) / sizeof(*keys))

static int key_read(const struct cli *cli, char *word, struct simulate_case *c)
{
	char *value = strchr(word, '='), all[256] = "";

	if (value)
		*value++ = 0;
	for (size_t i = 0; i < KEYS; i++) {
		if (strcmp(keys[i].name, word) == 0)
			return value && *value ? keys[i].read(cli, value, c) :
						 cli_usage(cli, "policy: '%s' needs a value: %s=…", word, word);
		text_append(all, sizeof(all), "%s%s", i ? ", " : "", keys[i].name);
	}
	return cli_usage(cli, "policy: no key '%s'; here may stand: %s", word, all);
}

int judge_policy(const struct cli *cli, const char *text, struct simulate_case *c)
{
	char copy[512], *rest = copy, *word;
	int ret = 0;

	if (strlen(text) >= sizeof(copy))
		return cli_usage(cli, "policy '%.20s…' is too long", text);
	snprintf(copy, sizeof(copy), "%s", text);
	if (strcmp(text, "default") == 0)
		return 0;
	while (!ret && (word = strtok_r(rest, ",", &rest)))
		ret = key_read(cli, word, c);
	return ret;
}
