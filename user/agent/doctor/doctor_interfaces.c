// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What the interfaces we are on, or should be on, have against us. */
#include "doctor.h"

#include <net/if.h>
#include <stdio.h>

#include "../../datapath/host.h"
#include "../interfaces.h"

#define STRICT 1
#define STRANGERS 32
#define REMEDY 160

static int rp_filter(const char *ifname)
{
	char path[128];

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/rp_filter", ifname);
	return host_sysctl(path, 0);
}

/* The kernel takes the larger one of the interface's and that of all. */
void doctor_rp_filter(struct doctor *d)
{
	int all = rp_filter("all");
	char remedy[REMEDY];

	for (const struct attachment *t = d->agent->attachments; t; t = t->next) {
		int own = rp_filter(t->name);

		if (!t->ifindex || (own > all ? own : all) != STRICT)
			continue;
		snprintf(remedy, sizeof(remedy), "sysctl -w net.ipv4.conf.%s.rp_filter=2", t->name);
		doctor_say(d, DOCTOR_WARNING, t->name, remedy,
			   "interface '%s': the reverse path filter is strict: what perch leaves to the stack is dropped "
			   "when the route to its sender is by another interface", t->name);
	}
}

void doctor_lro(struct doctor *d)
{
	char remedy[REMEDY];

	for (const struct attachment *t = d->agent->attachments; t; t = t->next) {
		if (t->pattern || host_lro(t->name) != 1)
			continue;
		snprintf(remedy, sizeof(remedy), "ethtool -K %s lro off", t->name);
		doctor_say(d, t->asked == ATTACH_TC ? DOCTOR_WARNING : DOCTOR_ERROR, t->name, remedy,
			   "interface '%s': large receive offload is on: packets are merged past recovery, and XDP is refused",
			   t->name);
	}
}

/* `auto` on a device made by software is TC by design. */
void doctor_xdp(struct doctor *d)
{
	for (const struct attachment *t = d->agent->attachments; t; t = t->next) {
		if (!t->ifindex)
			continue;	/* an alarm says so */
		if (t->asked == ATTACH_AUTO && t->mode == ATTACH_TC && host_is_virtual(t->name) == 0)
			doctor_say(d, DOCTOR_NOTICE, t->name, "a driver with native XDP; or attach: tc, to say that it is meant",
				   "interface '%s': its driver takes no native XDP now, so TC steers, at several times the cost",
				   t->name);
		if (t->mode == ATTACH_XDP_GENERIC)
			doctor_say(d, DOCTOR_NOTICE, t->name, "attach: tc",
				   "interface '%s': generic XDP copies packets first; TC is faster", t->name);
	}
}

static void stranger_say(struct doctor *d, const char *ifname, const struct host_program *p)
{
	bool xdp = p->hook[0] == 'x';
	char remedy[REMEDY];

	if (xdp)
		snprintf(remedy, sizeof(remedy), "ip link set dev %s xdp off, if nobody needs it", ifname);
	else if (p->filter)
		snprintf(remedy, sizeof(remedy), "tc filter show dev %s %s tells whose it is", ifname,
			 p->hook[3] == 'i' ? "ingress" : "egress");
	else
		snprintf(remedy, sizeof(remedy), "bpftool net show dev %s tells whose it is", ifname);
	doctor_say(d, xdp ? DOCTOR_WARNING : DOCTOR_NOTICE, ifname, remedy,
		   "interface '%s': program '%s' (id %u, %s) is not ours: %s", ifname, p->name, p->id, p->hook,
		   xdp ? "it comes first, and what it drops or redirects perch never sees"
		       : "what it drops or redirects before us perch never sees");
}

void doctor_foreign(struct doctor *d)
{
	struct host_program p[STRANGERS];

	for (const struct attachment *t = d->agent->attachments; t; t = t->next) {
		int n = t->pattern ? 0 : host_strangers(d->agent->datapath.maps.pin_path, t->name, p, STRANGERS);

		for (int i = 0; i < n && i < STRANGERS; i++)
			stranger_say(d, t->name, &p[i]);
	}
}

void doctor_mtu(struct doctor *d)
{
	const struct attachment *small = NULL, *large = NULL;
	int least = 0, most = 0;

	for (const struct attachment *t = d->agent->attachments; t; t = t->next) {
		int mtu = t->ifindex ? host_mtu(t->name) : -1;

		if (mtu <= 0)
			continue;
		if (!small || mtu < least) {
			small = t;
			least = mtu;
		}
		if (!large || mtu > most) {
			large = t;
			most = mtu;
		}
	}
	if (least != most)
		doctor_say(d, DOCTOR_NOTICE, small->name, "one MTU on both sides, or clamp the MSS to the smaller one",
			   "the MTU of '%s' is %d, that of '%s' %d: what is too big goes to the stack, which asks its sender "
			   "for less", small->name, least, large->name, most);
}
