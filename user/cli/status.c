// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch status: one screen for who was woken by it.  Without perchd it shows
 * what the kernel does, from the pinned maps.  `quiet` is for scripts: what is
 * not as it should be, and exit 1 when anything is not.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "direct.h"
#include "output.h"
#include "overview.h"
#include "service.h"
#include "text.h"

static const json_t *rollout_of(const json_t *status, const char *service)
{
	return field_find(field_list(status, "rollouts"), "service", service);
}

static void status_agent(const json_t *status)
{
	const json_t *agent = json_object_get(status, "agent"), *config = json_object_get(status, "config");
	char time[TEXT_NUMBER];

	if (!field_true(agent, "up")) {
		puts(field_line(agent, "error"));
		if (!field_true(status, "quiet"))
			puts("this is what the kernel does:");
		return;
	}
	printf("perchd %s, pid %.0f, up %s%s%s, %s\n", field_line(status, "version"), field_number(status, "pid"),
	       text_seconds(field_number(status, "uptime"), time),
	       json_is_false(json_object_get(status, "ready")) ? ", NOT READY" : "",
	       field_true(status, "takenOver") ? ", took over a running datapath" : "", field_line(config, "file"));
}

static void status_alarms(const json_t *status)
{
	const json_t *config = json_object_get(status, "config"), *alarm;
	size_t i;

	if (field_is(config, "error"))
		printf("ALARM  the configuration could not be loaded: %s\n", field_line(config, "error"));
	json_array_foreach(field_list(status, "alarms"), i, alarm) {
		printf("ALARM  ");
		if (field_is(alarm, "service"))
			printf("%s: ", field_line(alarm, "service"));
		puts(field_line(alarm, "text"));
		if (field_is(alarm, "remedy"))
			printf("       mend it: %s\n", field_line(alarm, "remedy"));
	}
}

/* One service in full, several in little room. */
static void status_services(const json_t *status)
{
	const json_t *services = field_list(status, "services"), *service = json_array_get(services, 0);

	if (json_array_size(services) == 1)
		service_text(service, rollout_of(status, field_text(service, "name")));
	else
		overview_services(services, field_list(status, "rollouts"));
}

static void status_text(const json_t *status)
{
	if (!field_true(status, "quiet") || !field_true(json_object_get(status, "agent"), "up") ||
	    json_is_false(json_object_get(status, "ready")))
		status_agent(status);
	status_alarms(status);
	status_services(status);
}

static bool is_sick(const json_t *status, const json_t *service)
{
	const char *phase = field_text(service, "phase");
	const json_t *version, *backend, *gate;
	size_t i, k;

	if (strcmp(phase, "Holding") == 0 || strcmp(phase, "RolledBack") == 0 || field_true(service, "rolledBack"))
		return true;
	json_array_foreach(field_list(rollout_of(status, field_text(service, "name")), "gates"), i, gate)
		if (strcmp(field_text(gate, "verdict"), "fail") == 0)
			return true;
	json_array_foreach(field_list(service, "versions"), i, version)
		json_array_foreach(field_list(version, "backends"), k, backend)
			if (strcmp(field_text(backend, "state"), "down") == 0)
				return true;
	return false;
}

static void keep_services(json_t *status, const char *name, bool quiet)
{
	json_t *services = json_object_get(status, "services"), *kept = json_array(), *service;
	size_t i;

	json_array_foreach(services, i, service)
		if ((!name || strcmp(field_text(service, "name"), name) == 0) && (!quiet || is_sick(status, service)))
			json_array_append(kept, service);
	json_object_set_new(status, "services", kept);
}

/* Alarms of other services, and of no service when one is asked for. */
static void keep_alarms(json_t *status, const char *name)
{
	json_t *alarms = json_object_get(status, "alarms"), *kept = json_array(), *alarm;
	size_t i;

	json_array_foreach(alarms, i, alarm)
		if (!name || !field_is(alarm, "service") || strcmp(field_text(alarm, "service"), name) == 0)
			json_array_append(kept, alarm);
	json_object_set_new(status, "alarms", kept);
}

static bool has_service(const json_t *status, const char *name)
{
	const json_t *service;
	size_t i;

	json_array_foreach(field_list(status, "services"), i, service)
		if (strcmp(field_text(service, "name"), name) == 0)
			return true;
	return false;
}

/* What `quiet` is about. */
static bool is_well(const json_t *status)
{
	return field_true(json_object_get(status, "agent"), "up") &&
	       !json_is_false(json_object_get(status, "ready")) &&
	       !field_is(json_object_get(status, "config"), "error") && !json_array_size(field_list(status, "alarms")) &&
	       !json_array_size(field_list(status, "services"));
}

static int status_of_kernel(const struct cli *cli, int silence, json_t **ret)
{
	char error[512], why[WHY] = "";
	struct maps maps;
	int err;

	client_silence(cli, silence, error, sizeof(error));
	err = maps_open(&maps, cli->bpffs, why);
	if (err == -ENOENT)
		return cli_error(cli, "%s; and no datapath is pinned at %s", error, cli->bpffs);
	if (err)
		return cli_error(cli, "%s; and the datapath: %s", error, why);
	*ret = json_pack("{s:{s:b,s:s},s:[],s:o}", "agent", "up", 0, "error", error, "alarms", "services",
			 direct_services(&maps));
	maps_close(&maps);
	return *ret ? CLI_OK : cli_error(cli, "%s; and what is pinned has names that are not UTF-8", error);
}

static int status_of_agent(const struct cli *cli, json_t *status)
{
	json_t *rollouts;
	int ret;

	ret = client_get(cli, "/v1/rollouts", &rollouts);
	if (ret)
		return ret;
	json_object_set_new(status, "rollouts", rollouts);
	json_object_set_new(status, "agent", json_pack("{s:b,s:n}", "up", 1, "error"));
	return CLI_OK;
}

int do_status(struct cli *cli, int argc, char **argv)
{
	const char *name = NULL, *quiet = NULL;
	const struct word words[] = { WORD_BARE("service", "NAME", &name), WORD_FLAG("quiet", &quiet), {} };
	int ret, silence, http = 200;
	json_t *status = NULL;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		return ret;
	silence = client_call(cli, "GET", "/v1/status", NULL, CLIENT_STATUS_MS, &http, &status);
	if (silence)
		ret = status_of_kernel(cli, silence, &status);
	else if (http != 200)
		ret = cli_error(cli, "perchd answered %d: %s", http, field_text(status, "error"));
	else
		ret = status_of_agent(cli, status);
	if (!ret && name && !has_service(status, name))
		ret = cli_error(cli, "no service '%s'; perch service show lists them", name);
	if (ret) {
		json_decref(status);
		return ret;
	}
	keep_services(status, name, quiet);
	keep_alarms(status, name);
	if (quiet)
		json_object_set_new(status, "quiet", json_true());
	ret = silence || (quiet && !is_well(status)) ? CLI_FAILED : CLI_OK;
	cli_print(cli, status, status_text);
	return ret;
}
