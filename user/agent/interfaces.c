// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Attaching, and trying again. */
#include "interfaces.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarms.h"
#include "log.h"

#define PINNED_MAX 64

static enum attach_mode attach_mode_of(enum model_attach m)
{
	switch (m) {
	case MODEL_ATTACH_XDP: return ATTACH_XDP;
	case MODEL_ATTACH_XDP_GENERIC: return ATTACH_XDP_GENERIC;
	case MODEL_ATTACH_TC: return ATTACH_TC;
	default: return ATTACH_AUTO;
	}
}

static const struct model_interface *interface_find(const struct model_config *c, const char *name)
{
	for (size_t i = 0; i < c->n_interfaces; i++)
		if (!strcmp(c->interfaces[i].name, name))
			return &c->interfaces[i];
	return NULL;
}

static struct attachment *attachment_find(struct agent *a, const char *name)
{
	struct attachment *t = a->attachments;

	while (t && strcmp(t->name, name))
		t = t->next;
	return t;
}

static void attachment_failed(struct agent *a, struct attachment *t, const char *text, const char *remedy)
{
	snprintf(t->error, sizeof(t->error), "%s", text);
	t->ifindex = 0;
	alarm_raise(a, "interface", t->name, NULL, remedy, "interface '%s': %s", t->name, t->error);
}

static void attachment_try(struct agent *a, struct attachment *t)
{
	unsigned ifindex = if_nametoindex(t->name);
	char why[WHY] = "";
	int r;

	if (!ifindex) {
		attachment_failed(a, t, "is not there; waiting for it", NULL);
		return;
	}
	r = attach_interface(&a->datapath, t->name, t->asked, &t->mode, why);
	if (r) {
		attachment_failed(a, t, why[0] ? why : strerror(-r),
				  r == -EBUSY ? "take the other program away, or attach: tc" : NULL);
		return;
	}
	t->ifindex = ifindex;
	t->error[0] = 0;
	alarm_clear(a, "interface", t->name);
	log_info("interface '%s': attached by %s", t->name, attach_mode_name(t->mode));
}

static struct attachment *attachment_new(struct agent *a, const char *name)
{
	struct attachment **at = &a->attachments;

	while (*at)
		at = &(*at)->next;
	*at = calloc(1, sizeof(**at));
	if (*at)
		snprintf((*at)->name, sizeof((*at)->name), "%s", name);
	return *at;
}

static void attachment_remove(struct agent *a, struct attachment **at)
{
	struct attachment *t = *at;
	int r = attach_remove(a->datapath.maps.pin_path, t->name);

	if (r && r != -ENOENT)
		log_warning("interface '%s': detach: %s", t->name, strerror(-r));
	else
		log_info("interface '%s': detached", t->name);
	alarm_clear(a, "interface", t->name);
	*at = t->next;
	free(t);
}

/* Pinned by an agent with another configuration. */
static void strangers_remove(struct agent *a)
{
	struct attach_info info[PINNED_MAX];
	int n = attach_list(a->datapath.maps.pin_path, info, PINNED_MAX);

	for (int i = 0; i < n && i < PINNED_MAX; i++) {
		if (interface_find(a->config, info[i].ifname) || attachment_find(a, info[i].ifname))
			continue;
		if (!attach_remove(a->datapath.maps.pin_path, info[i].ifname))
			log_info("interface '%s': detached, it is not in the configuration", info[i].ifname);
	}
}

void interfaces_apply(struct agent *a)
{
	struct attachment **at = &a->attachments;

	while (*at) {
		if (interface_find(a->config, (*at)->name))
			at = &(*at)->next;
		else
			attachment_remove(a, at);
	}
	strangers_remove(a);
	for (size_t i = 0; i < a->config->n_interfaces; i++) {
		const struct model_interface *m = &a->config->interfaces[i];
		struct attachment *t = attachment_find(a, m->name);
		enum attach_mode asked = attach_mode_of(m->attach);

		if (!t)
			t = attachment_new(a, m->name);
		if (!t || (t->ifindex && t->asked == asked && t->ifindex == if_nametoindex(t->name)))
			continue;
		t->asked = asked;
		attachment_try(a, t);
	}
}

void interfaces_free(struct agent *a)
{
	while (a->attachments) {
		struct attachment *next = a->attachments->next;

		free(a->attachments);
		a->attachments = next;
	}
}

void interfaces_on_link(void *agent, const char *ifname, bool present)
{
	struct agent *a = agent;
	struct attachment *t = attachment_find(a, ifname);

	if (!t)
		return;
	if (!present)
		attachment_failed(a, t, "went away; waiting for it", NULL);
	else if (!t->ifindex || t->ifindex != if_nametoindex(ifname))
		attachment_try(a, t);
}
