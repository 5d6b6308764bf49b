// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Addresses of this host, and its forwarding switches and filters. */
#include "hostcheck.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/address.h"
#include "../../datapath/host.h"
#include "../alarms.h"
#include "../interfaces.h"

#define RP_FILTER_STRICT 1	/* RFC 3704, 2.2 */
#define CALM_LOOKS 6		/* without a drop, until the alarm is over */

/* A listener with port 0 takes every port of its address.  When the address is
 * this host's, that is how one locks oneself out. */
static int check_every_port(const struct model_service *s, char why[CONFIG_ERROR])
{
	char text[ADDRESS_TEXT];

	for (size_t i = 0; i < s->n_listen; i++) {
		const struct perch_endpoint *e = &s->listen[i];

		if (e->port || s->n_exclude || !routes_is_local(&e->address))
			continue;
		snprintf(why, CONFIG_ERROR,
			 "%s:%d: %slisten[%zu]: %s takes every port of an address of this host, those of its own servers "
			 "too; name the ports that stay with it, like exclude: [22]", s->origin, s->line, s->at, i,
			 endpoint_format(e, text));
		return -EINVAL;
	}
	return 0;
}

int hostcheck_config(const struct model_config *c, char why[CONFIG_ERROR])
{
	int r = 0;

	for (size_t i = 0; i < c->n_services && !r; i++)
		r = check_every_port(&c->services[i], why);
	return r;
}

static void forwarding_check(struct agent *a, bool used, const char *family, const char *path, const char *remedy)
{
	if (used && !host_sysctl(path, 1))
		alarm_raise(a, "forwarding", family, NULL, remedy,
			    "%s forwarding is off on this host: packets will not reach backends on other hosts", family);
	else
		alarm_clear(a, "forwarding", family);
}

/* Families with a backend that is not this host. */
static void families_forwarded(const struct version *v, bool used[PERCH_FAMILIES])
{
	for (size_t i = 0; i < v->n_backends; i++) {
		enum perch_family family = address_family(&v->backends[i].address);

		if (!used[family])
			used[family] = !routes_is_local(&v->backends[i].address);
	}
}

void hostcheck_forwarding(struct agent *a)
{
	bool used[PERCH_FAMILIES] = { false };

	for (const struct service *s = a->services; s; s = s->next)
		for (int i = 0; i < PERCH_SLOTS; i++)
			families_forwarded(&s->slot[i], used);
	forwarding_check(a, used[PERCH_IPV4], "IPv4", "/proc/sys/net/ipv4/ip_forward", "sysctl -w net.ipv4.ip_forward=1");
	forwarding_check(a, used[PERCH_IPV6], "IPv6", "/proc/sys/net/ipv6/conf/all/forwarding",
			 "sysctl -w net.ipv6.conf.all.forwarding=1");
}

/* A counter of TcpExt: a line of names, then one of values.  -1 without it. */
static long long netstat_read(const char *name)
{
	char names[8192], values[8192], *n, *v, *n_rest, *v_rest;
	FILE *f = fopen("/proc/net/netstat", "re");
	long long found = -1;

	if (!f)
		return -1;
	if (fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
		n = strtok_r(names, " \n", &n_rest);
		v = strtok_r(values, " \n", &v_rest);
		while (n && v && strcmp(n, name)) {
			n = strtok_r(NULL, " \n", &n_rest);
			v = strtok_r(NULL, " \n", &v_rest);
		}
		if (n && v)
			found = atoll(v);
	}
	fclose(f);
	return found;
}

/* The first interface of ours whose filter is strict; the larger of the two
 * settings counts. */
static const struct attachment *strict_interface(const struct agent *a)
{
	int all = host_sysctl("/proc/sys/net/ipv4/conf/all/rp_filter", 0), own;
	char path[128];

	for (const struct attachment *t = a->attachments; t; t = t->next) {
		snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", t->name);
		own = t->ifindex ? host_sysctl(path, 0) : 0;
		if (t->ifindex && (own > all ? own : all) == RP_FILTER_STRICT)
			return t;
	}
	return NULL;
}

/* What goes up the stack passes its filters: a client whose route leads by
 * another interface is not let in where they are strict. */
static void rp_filter_watch(struct agent *a)
{
	static long long before = -1;
	static unsigned calm;
	long long now = netstat_read("IPReversePathFilter"), dropped = before < 0 ? 0 : now - before;
	const struct attachment *t = dropped > 0 ? strict_interface(a) : NULL;
	char remedy[128];

	before = now;
	calm = t ? 0 : calm + 1;
	if (t) {
		snprintf(remedy, sizeof(remedy), "sysctl -w net.ipv4.conf.%s.rp_filter=2", t->name);
		alarm_raise(a, "rp_filter", "", NULL, remedy,
			    "strict reverse path filters drop packets, interface '%s' has one: the route back to their "
			    "senders leads by another interface", t->name);
	} else if (calm >= CALM_LOOKS) {
		alarm_clear(a, "rp_filter", "");
	}
}

void hostcheck_watch(struct agent *a)
{
	hostcheck_forwarding(a);
	rp_filter_watch(a);
}
