// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Addresses of this host, and its forwarding switches. */
#include "hostcheck.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "../core/address.h"
#include "alarms.h"

static bool address_of_sockaddr(const struct sockaddr *from, struct perch_address *to)
{
	if (from && from->sa_family == AF_INET) {
		to->word[0] = to->word[1] = 0;
		to->word[2] = htonl(0xffff);
		to->word[3] = ((const struct sockaddr_in *)from)->sin_addr.s_addr;
		return true;
	}
	if (from && from->sa_family == AF_INET6) {
		memcpy(to, &((const struct sockaddr_in6 *)from)->sin6_addr, sizeof(*to));
		return true;
	}
	return false;
}

static bool address_is_local(const struct ifaddrs *list, const struct perch_address *a)
{
	struct perch_address own;

	for (; list; list = list->ifa_next)
		if (address_of_sockaddr(list->ifa_addr, &own) && !memcmp(&own, a, sizeof(own)))
			return true;
	return false;
}

static int service_backends(const struct model_config *c, size_t i, const struct ifaddrs *own, char why[CONFIG_ERROR])
{
	const struct model_service *s = &c->services[i];
	char text[ADDRESS_TEXT];

	for (size_t v = 0; v < s->n_versions; v++) {
		for (size_t b = 0; b < s->versions[v].n_backends; b++) {
			const struct model_backend *backend = &s->versions[v].backends[b];

			if (!address_is_local(own, &backend->address))
				continue;
			snprintf(why, CONFIG_ERROR,
				 "%s:%d: services[%zu].versions[%zu].backends[%zu]: %s is an address of this host; local "
				 "backends are not supported yet: run it on another host, or behind a network namespace",
				 s->file ? s->file : c->file, backend->line, i, v, b,
				 address_format(&backend->address, text));
			return -EINVAL;
		}
	}
	return 0;
}

int hostcheck_backends(const struct model_config *c, char why[CONFIG_ERROR])
{
	struct ifaddrs *own;
	int r = 0;

	if (getifaddrs(&own))
		return 0;	/* can't tell; the packets will */
	for (size_t i = 0; i < c->n_services && !r; i++)
		r = service_backends(c, i, own, why);
	freeifaddrs(own);
	return r;
}

static bool sysctl_is_on(const char *path)
{
	FILE *f = fopen(path, "re");
	int value = 1;

	if (!f)
		return true;	/* no such family here */
	if (fscanf(f, "%d", &value) != 1)
		value = 1;
	fclose(f);
	return value;
}

static void forwarding_check(struct agent *a, bool used, const char *family, const char *path, const char *remedy)
{
	if (used && !sysctl_is_on(path))
		alarm_raise(a, "forwarding", family, NULL, remedy,
			    "%s forwarding is off on this host: the kernel will not look up routes to backends", family);
	else
		alarm_clear(a, "forwarding", family);
}

static void families_used(const struct perch_endpoint *e, size_t n, bool used[PERCH_FAMILIES])
{
	for (size_t i = 0; i < n; i++)
		used[address_family(&e[i].address)] = true;
}

void hostcheck_forwarding(struct agent *a)
{
	bool used[PERCH_FAMILIES] = { false };

	for (const struct service *s = a->services; s; s = s->next) {
		families_used(s->model->listen, s->model->n_listen, used);
		for (int i = 0; i < PERCH_SLOTS; i++)
			families_used(s->slot[i].doors, s->slot[i].n_doors, used);
	}
	forwarding_check(a, used[PERCH_IPV4], "IPv4", "/proc/sys/net/ipv4/ip_forward", "sysctl -w net.ipv4.ip_forward=1");
	forwarding_check(a, used[PERCH_IPV6], "IPv6", "/proc/sys/net/ipv6/conf/all/forwarding",
			 "sysctl -w net.ipv6.conf.all.forwarding=1");
}
