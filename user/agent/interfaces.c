// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Attaching, and trying again.  A name of the configuration may be a glob: the
 * first entry that an interface's name matches is the one, whenever the
 * interface comes.  An interface that goes leaves no pin behind.
 */
#include "interfaces.h"

#include <errno.h>
#include <fnmatch.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "alarms.h"
#include "log.h"

static enum attach_mode attach_mode_of(enum model_attach m)
{
	switch (m) {
	case MODEL_ATTACH_XDP: return ATTACH_XDP;
	case MODEL_ATTACH_XDP_GENERIC: return ATTACH_XDP_GENERIC;
	case MODEL_ATTACH_TC: return ATTACH_TC;
	default: return ATTACH_AUTO;
	}
}

static enum attach_foreign attach_foreign_of(enum model_foreign m)
{
	switch (m) {
	case MODEL_FOREIGN_TC: return ATTACH_BESIDE;
	case MODEL_FOREIGN_REPLACE: return ATTACH_REPLACE;
	default: return ATTACH_REFUSE;
	}
}

/* The entry that an interface is attached by; false when it is none's.  What a
 * pattern sweeps in is Ethernet and not loopback. */
static bool entry_find(const struct agent *a, const char *name, size_t *ret_entry)
{
	for (size_t i = 0; i < a->config->n_interfaces; i++) {
		const char *wanted = a->config->interfaces[i].name;

		if (fnmatch(wanted, name, 0) || (config_is_pattern(wanted) && !routes_is_ethernet(a->routes, name)))
			continue;
		*ret_entry = i;
		return true;
	}
	return false;
}

static struct attachment **attachment_at(struct agent *a, const char *name, bool pattern)
{
	struct attachment **at = &a->attachments;

	while (*at && ((*at)->pattern != pattern || strcmp((*at)->name, name)))
		at = &(*at)->next;
	return at;
}

/* In the order of the configuration, then by name. */
static void attachment_insert(struct agent *a, struct attachment *t)
{
	struct attachment **at = &a->attachments;

	while (*at && ((*at)->entry < t->entry || ((*at)->entry == t->entry && strcmp((*at)->name, t->name) < 0)))
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

static struct attachment *attachment_new(struct agent *a, const char *name, size_t entry, bool pattern)
{
	struct attachment *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	snprintf(t->name, sizeof(t->name), "%s", name);
	t->entry = entry;
	t->pattern = pattern;
	attachment_insert(a, t);
	return t;
}

static const char not_there[] = "is not there; waiting for it";

/* The part of a text behind the name, which is told beside it. */
static const char *behind_name(const struct attachment *t, const char *text)
{
	char name[sizeof(t->name) + 16];
	size_t n = snprintf(name, sizeof(name), "interface '%s': ", t->name);

	return strncmp(text, name, n) ? text : text + n;
}

/* Behind a semicolon stands the remedy. */
static void attachment_failed(struct agent *a, struct attachment *t, const char *text, bool has_remedy)
{
	const char *remedy;

	snprintf(t->error, sizeof(t->error), "%s", behind_name(t, text));
	t->note[0] = 0;
	t->ifindex = 0;
	remedy = has_remedy ? strstr(t->error, "; ") : NULL;
	alarm_raise(a, "interface", t->name, NULL, remedy ? remedy + 2 : NULL, "interface '%s': %.*s", t->name,
		    remedy ? (int)(remedy - t->error) : (int)sizeof(t->error), t->error);
}

static void attachment_try(struct agent *a, struct attachment *t)
{
	unsigned ifindex = if_nametoindex(t->name);
	char why[WHY] = "";
	int r;

	r = attach_interface(&a->datapath, t->name, t->asked, t->foreign, &t->mode, why);
	if (r) {
		attachment_failed(a, t, why[0] ? why : strerror(-r), r == -EBUSY);
		return;
	}
	t->ifindex = ifindex;
	t->error[0] = 0;
	snprintf(t->note, sizeof(t->note), "%s", why);
	routes_attached(a->routes, t->name, true);
	alarm_clear(a, "interface", t->name);
	log_info("interface '%s': attached by %s%s%s", t->name, attach_mode_name(t->mode), t->note[0] ? ": " : "", t->note);
}

/* Programs and pins away, also of an interface that is gone. */
static void name_detach(struct agent *a, const char *name, const char *because)
{
	int r;

	routes_attached(a->routes, name, false);
	routes_unpack(a->routes, name, false);
	r = attach_remove(a->datapath.maps.pin_path, name);
	if (r && r != -ENOENT)
		log_warning("interface '%s': detach: %s", name, strerror(-r));
	else
		log_info("interface '%s': detached%s", name, because);
}

static void attachment_remove(struct agent *a, struct attachment **at, const char *because)
{
	struct attachment *t = *at;

	if (!t->pattern)
		name_detach(a, t->name, because);
	alarm_clear(a, "interface", t->name);
	*at = t->next;
	free(t);
}

/* Bring one interface to what the configuration wants of it, as it is now:
 * what was told of it may be over already. */
static void interface_settle(struct agent *a, const char *name)
{
	struct attachment **at = attachment_at(a, name, false), *t = *at;
	unsigned ifindex = if_nametoindex(name);
	const struct model_interface *m;
	size_t entry = 0;

	if (!ifindex && t && config_is_pattern(a->config->interfaces[t->entry].name)) {
		attachment_remove(a, at, ", it is gone");
	} else if (!ifindex && t) {
		name_detach(a, name, ", it is gone");
		attachment_failed(a, t, not_there, false);
	}
	if (!ifindex || !entry_find(a, name, &entry))
		return;
	m = &a->config->interfaces[entry];
	routes_unpack(a->routes, name, m->decap);
	if (!t)
		t = attachment_new(a, name, entry, false);
	if (!t || (t->ifindex == ifindex && t->asked == attach_mode_of(m->attach) &&
		   t->foreign == attach_foreign_of(m->foreign)))
		return;
	t->asked = attach_mode_of(m->attach);
	t->foreign = attach_foreign_of(m->foreign);
	attachment_try(a, t);
}

/* An entry that stands for no interface now is shown, and said once: a name is
 * missed, a pattern may well wait. */
static void entry_settle(struct agent *a, size_t entry)
{
	const char *name = a->config->interfaces[entry].name;
	struct attachment **at = attachment_at(a, name, true), *t;

	for (t = a->attachments; t && (t->entry != entry || t->pattern); t = t->next)
		;
	if (t && *at)
		attachment_remove(a, at, "");
	if (t || *at)
		return;
	t = attachment_new(a, name, entry, config_is_pattern(name));
	if (t && !t->pattern) {
		attachment_failed(a, t, not_there, false);
	} else if (t) {
		snprintf(t->error, sizeof(t->error), "matches no interface yet");
		log_notice("interfaces[%zu]: '%s' %s; waiting for one", entry, name, t->error);
	}
}

/* Attachments that the configuration has no more; the others in its order. */
static void attachments_sort(struct agent *a)
{
	struct attachment *list = a->attachments, *t;
	size_t entry;

	a->attachments = NULL;
	while ((t = list)) {
		bool wanted = !t->pattern && entry_find(a, t->name, &entry);

		/* a plain name is waited for without being there */
		for (size_t i = 0; i < a->config->n_interfaces && !wanted; i++)
			if (!strcmp(a->config->interfaces[i].name, t->name)) {
				wanted = true;
				entry = i;
			}
		if (!wanted) {
			attachment_remove(a, &list, "");
			continue;
		}
		list = t->next;
		t->entry = entry;
		attachment_insert(a, t);
	}
}

/* Pinned by an agent with another configuration. */
static void strangers_remove(struct agent *a)
{
	int n = attach_list(a->datapath.maps.pin_path, NULL, 0), found;
	struct attach_info *info = n > 0 ? calloc(n, sizeof(*info)) : NULL;
	size_t entry;

	if (!info)
		return;
	found = attach_list(a->datapath.maps.pin_path, info, n);
	for (int i = 0; i < found && i < n; i++)
		if (!entry_find(a, info[i].ifname, &entry))
			name_detach(a, info[i].ifname, ", it is not in the configuration");
	free(info);
}

void interfaces_apply(struct agent *a)
{
	struct if_nameindex *all = if_nameindex();

	attachments_sort(a);
	strangers_remove(a);
	for (struct if_nameindex *i = all; i && i->if_index; i++)
		interface_settle(a, i->if_name);
	if (all)
		if_freenameindex(all);
	for (size_t i = 0; i < a->config->n_interfaces; i++)
		entry_settle(a, i);
	agent_pump_routes(a);
}

void interfaces_retry(struct agent *a)
{
	struct attachment *next;

	for (struct attachment *t = a->attachments; t; t = next) {
		next = t->next;
		if (!t->pattern && !t->ifindex && if_nametoindex(t->name))
			interface_settle(a, t->name);
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

	interface_settle(a, ifname);
	/* those that are there at the start are told one by one: what is missing
	 * shows in interfaces_apply */
	for (size_t i = 0; i < a->config->n_interfaces && a->ready; i++)
		entry_settle(a, i);
}

static json_t *attachment_json(const struct agent *a, const struct attachment *t)
{
	const char *entry = a->config->interfaces[t->entry].name;

	return json_pack("{s:s, s:s?, s:s, s:s?, s:s?, s:s?}", "name", t->name, "pattern", config_is_pattern(entry) ? entry : NULL,
			 "asked", attach_mode_name(t->asked), "mode", t->ifindex ? attach_mode_name(t->mode) : NULL, "error",
			 t->error[0] ? t->error : NULL, "note", t->note[0] ? t->note : NULL);
}

json_t *interfaces_json(const struct agent *a)
{
	int room = attach_list(a->datapath.maps.pin_path, NULL, 0), n = 0;
	struct attach_info *info = room > 0 ? calloc(room, sizeof(*info)) : NULL;
	json_t *array = json_array();

	if (info)
		n = attach_list(a->datapath.maps.pin_path, info, room);
	for (const struct attachment *t = a->attachments; t; t = t->next) {
		json_t *o = attachment_json(a, t);

		for (int i = 0; i < n && i < room; i++) {
			if (strcmp(info[i].ifname, t->name))
				continue;
			json_object_set_new(o, "xdp", json_integer(info[i].xdp_id));
			json_object_set_new(o, "tcIn", json_integer(info[i].tc_in_id));
			json_object_set_new(o, "tcOut", json_integer(info[i].tc_out_id));
		}
		json_array_append_new(array, o);
	}
	free(info);
	return array;
}
