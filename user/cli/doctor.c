// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * perch doctor: what this host lacks and how to mend it.  What perchd needs to
 * run at all is looked at here, so that it helps when perchd does not start;
 * the rest perchd knows best (GET /v1/doctor).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../datapath/host.h"
#include "client.h"
#include "output.h"

#define TEXT 512
#define FLOOR_MAJOR 6
#define FLOOR_MINOR 1
#define TICK_MS 100		/* the kernel's timer runs every 10 */

enum level { LEVEL_OK, LEVEL_NOTICE, LEVEL_WARNING, LEVEL_ERROR };
static const char *const levels[] = { "ok", "notice", "warning", "error" };

struct doctor {
	const struct cli *cli;
	const char *check;
	json_t *findings;
	bool answers;		/* perchd does */
};

static void __attribute__((format(printf, 4, 5)))
say(struct doctor *d, enum level level, const char *remedy, const char *format, ...)
{
	char text[TEXT];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(d->findings, json_pack("{s:s, s:s, s:n, s:s, s:s?}", "level", levels[level], "check",
						     d->check, "subject", "text", text, "remedy", remedy));
}

static void check_kernel(struct doctor *d)
{
	int major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	if (sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
	    (major < FLOOR_MAJOR || (major == FLOOR_MAJOR && minor < FLOOR_MINOR)))
		say(d, LEVEL_ERROR, "boot a kernel of 6.1 or newer", "Linux %s is older than 6.1", name.release);
	else
		say(d, LEVEL_OK, NULL, "Linux %s", name.release);
}

static void check_btf(struct doctor *d)
{
	if (access("/sys/kernel/btf/vmlinux", R_OK))
		say(d, d->answers ? LEVEL_NOTICE : LEVEL_ERROR, "a kernel with CONFIG_DEBUG_INFO_BTF, and /sys mounted",
		    "no BTF at /sys/kernel/btf/vmlinux: perch's programs can't be loaded without the kernel's types");
	else
		say(d, LEVEL_OK, NULL, "the kernel's types are there");
}

/* Other network namespaces than the first do not show the switch. */
static void check_jit(struct doctor *d)
{
	int on = host_sysctl("/proc/sys/net/core/bpf_jit_enable", -1);

	if (on == 0)
		say(d, LEVEL_WARNING, "sysctl -w net.core.bpf_jit_enable=1",
		    "the BPF JIT is off: programs are interpreted, a packet costs ten times as much");
	else
		say(d, LEVEL_OK, NULL, on < 0 ? "the switch is not seen from this network namespace" : "on");
}

static void check_bpffs(struct doctor *d)
{
	char path[sizeof(((struct maps *)0)->pin_path)];
	char *slash;

	snprintf(path, sizeof(path), "%s", d->cli->bpffs);
	while (access(path, F_OK) && (slash = strrchr(path, '/')) && slash != path)
		*slash = 0;
	if (host_is_bpffs(path))
		say(d, LEVEL_OK, NULL, "%s is on bpffs", d->cli->bpffs);
	else
		say(d, d->answers ? LEVEL_WARNING : LEVEL_NOTICE, "mount -t bpf bpf /sys/fs/bpf, or start perchd, which does it",
		    "%s: no bpffs is mounted here; is this another mount namespace?", d->cli->bpffs);
}

/* By doing it: capabilities, seccomp, lockdown and memlock all show. */
static void check_rights(struct doctor *d)
{
	int err = geteuid() ? 0 : host_try_load();

	if (geteuid())
		say(d, LEVEL_NOTICE, "run perch doctor as root", "whether programs can be loaded, only root can try");
	else if (err == -EPERM)
		say(d, LEVEL_ERROR, "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON for perchd; then ulimit -l, seccomp and lockdown",
		    "root may not load a BPF program here: %s", strerror(-err));
	else if (err)
		say(d, LEVEL_ERROR, "a kernel with CONFIG_BPF_SYSCALL", "a BPF program can't be loaded: %s", strerror(-err));
	else
		say(d, LEVEL_OK, NULL, "programs can be loaded");
}

static bool clockwork_runs(const struct perch_control *c)
{
	const struct timespec nap = { .tv_nsec = TICK_MS * 1000000 };
	__u32 before = __atomic_load_n(&c->tick, __ATOMIC_RELAXED);

	nanosleep(&nap, NULL);
	return __atomic_load_n(&c->tick, __ATOMIC_RELAXED) != before;
}

/* What goes on without perchd, or not. */
static void check_datapath(struct doctor *d)
{
	char why[WHY] = "";
	struct maps m;
	int err = maps_open(&m, d->cli->bpffs, why);

	if (err == -ENOENT) {
		say(d, d->answers ? LEVEL_WARNING : LEVEL_NOTICE, d->answers ? "--bpffs PATH as agent.pinPath says" : NULL,
		    "nothing is pinned at %s", d->cli->bpffs);
		return;
	}
	if (err) {
		say(d, err == -EPROTO ? LEVEL_ERROR : LEVEL_WARNING, err == -EACCES ? "run perch doctor as root" : NULL, "%s", why);
		return;
	}
	if (!clockwork_runs(m.control))
		say(d, LEVEL_ERROR, "systemctl restart perchd",
		    "the kernel's clockwork stands: no evidence, no dead-man, and flows do not expire");
	else
		say(d, LEVEL_OK, NULL, "ABI %u at %s, its clockwork runs", m.control->abi_version, d->cli->bpffs);
	maps_close(&m);
}

static const struct {
	const char *name;
	void (*fn)(struct doctor *d);
} checks[] = {
	{ "kernel", check_kernel },
	{ "btf", check_btf },
	{ "jit", check_jit },
	{ "bpffs", check_bpffs },
	{ "rights", check_rights },
	{ "datapath", check_datapath },
};

/* Adds perchd's findings, or that there is none to ask. */
static void ask_agent(struct doctor *d)
{
	json_t *doc = NULL;
	char why[512];
	int err, status = 0;

	d->check = "agent";
	err = client_call(d->cli, "GET", "/v1/doctor", NULL, CLIENT_MS, &status, &doc);
	d->answers = !err;
	if (err)
		say(d, LEVEL_ERROR, err == -EACCES ? "run it as root or as a member of the group perch"
						   : "systemctl start perchd; journalctl -u perchd says why it ended",
		    "%s; its checks (interfaces, forwarding, replies, listeners, …) are left out",
		    client_silence(d->cli, err, why, sizeof(why)));
	else if (status != 200)
		say(d, LEVEL_ERROR, "perch and perchd of one version", "perchd answered %d: %s", status,
		    field_text(doc, "error"));
	else
		say(d, LEVEL_OK, NULL, "perchd answers at %s", d->cli->socket);
	if (!err && status == 200)
		json_array_extend(d->findings, doc);
	json_decref(doc);
}

static void doctor_text(const json_t *findings)
{
	unsigned long n[4] = { 0 };
	const json_t *f;
	size_t i;

	json_array_foreach(findings, i, f) {
		for (int level = 0; level < 4; level++)
			n[level] += !strcmp(field_text(f, "level"), levels[level]);
		printf("%-7s  %-11s  %s\n", field_line(f, "level"), field_line(f, "check"), field_line(f, "text"));
		if (field_is(f, "remedy"))
			printf("%22smend it: %s\n", "", field_line(f, "remedy"));
	}
	printf("%lu error%s, %lu warning%s, %lu notice%s, %lu ok\n", n[LEVEL_ERROR], n[LEVEL_ERROR] == 1 ? "" : "s",
	       n[LEVEL_WARNING], n[LEVEL_WARNING] == 1 ? "" : "s", n[LEVEL_NOTICE], n[LEVEL_NOTICE] == 1 ? "" : "s",
	       n[LEVEL_OK]);
}

static bool has_errors(const json_t *findings)
{
	const json_t *f;
	size_t i;

	json_array_foreach(findings, i, f)
		if (!strcmp(field_text(f, "level"), levels[LEVEL_ERROR]))
			return true;
	return false;
}

int do_doctor(struct cli *cli, int argc, char **argv)
{
	struct doctor d = { .cli = cli, .findings = json_array() }, host = { .cli = cli, .findings = json_array() };
	const struct word words[] = { {} };
	int ret;

	ret = words_read(cli, argc, argv, words);
	if (ret)
		goto out;
	ask_agent(&d);
	host.answers = d.answers;
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		host.check = checks[i].name;
		checks[i].fn(&host);
	}
	json_array_extend(host.findings, d.findings);
	ret = has_errors(host.findings) ? CLI_FAILED : CLI_OK;
	cli_print(cli, json_incref(host.findings), doctor_text);
out:
	json_decref(d.findings);
	json_decref(host.findings);
	return ret;
}
