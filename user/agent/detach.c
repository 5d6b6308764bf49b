// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* perchd --detach. */
#include "detach.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../config/config.h"
#include "../datapath/datapath.h"
#include "clock.h"
#include "log.h"

#define TELL_EVERY_NS (5 * NS_PER_S)	/* to a log; a terminal sees every second */

static volatile sig_atomic_t called_off;

static void call_off(int signal)
{
	called_off = 1;
}

struct progress {
	bool terminal;
	__u64 told;		/* ns */
	size_t left;		/* as told last */
};

/* 1234567 as "1,234,567". */
static const char *grouped(size_t n, char out[32])
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%zu", n), at = 0;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			out[at++] = ',';
		out[at++] = digits[i];
	}
	out[at] = 0;
	return out;
}

static bool tell(void *arg, size_t left, __u64 ns)
{
	struct progress *p = arg;
	char number[32], line[96];
	__u64 now = clock_now();

	snprintf(line, sizeof(line), "%s connection%s left, %llu s", grouped(left, number), left == 1 ? "" : "s",
		 (unsigned long long)((ns + NS_PER_S - 1) / NS_PER_S));
	p->left = left;
	if (p->terminal)
		fprintf(stderr, "\r\033[K%s", line);
	else if (!p->told || now - p->told >= TELL_EVERY_NS)
		log_notice("%s", line);
	else
		return !called_off;
	p->told = now;
	return !called_off;
}

static int detach_drain(const char *pin_path, __u64 drain_ns, char why[WHY])
{
	struct progress p = { .terminal = isatty(STDERR_FILENO) };
	const struct datapath_drain drain = { .ns = drain_ns, .tell = tell, .arg = &p };
	struct sigaction action = { .sa_handler = call_off };
	char number[32];
	int r;

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	r = datapath_leave(pin_path, &drain, why);
	if (p.terminal && p.told)
		fputc('\n', stderr);
	if (r == -EINTR)
		snprintf(why, WHY, "called off: the listeners take new connections again");
	if (!r && p.left)
		log_warning("the time is over; %s connections are the stack's now", grouped(p.left, number));
	return r;
}

int detach_run(const char *config_path, bool drain, __u64 drain_ns)
{
	struct model_config *config;
	char why[CONFIG_ERROR > WHY ? CONFIG_ERROR : WHY] = "";
	int r;

	if (config_load(config_path, &config, why)) {
		log_error("%s", why);
		return 1;
	}
	r = drain ? detach_drain(config->agent.pin_path, drain_ns, why) : datapath_remove(config->agent.pin_path, why);
	if (r)
		log_error("detach: %s", why[0] ? why : strerror(-r));
	else
		log_notice("detached: traffic goes to the stack");
	config_free(config);
	return r ? 1 : 0;
}
