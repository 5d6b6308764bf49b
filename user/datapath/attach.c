/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which programs go where.  TC is always there, below XDP: it finishes what
 * XDP leaves to it, and it carries the traffic while XDP changes its mode.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <linux/if_link.h>

#include "attach.h"
#include "internal.h"

struct where {
	struct datapath *d;
	const char *ifname;
	int ifindex;
	char *why;
};

const char *attach_mode_name(enum attach_mode m)
{
	static const char *const names[] = { "auto", "xdp", "xdp-generic", "tc" };

	return (size_t)m < sizeof(names) / sizeof(names[0]) ? names[m] : "?";
}

/* What kernels before TCX answer, some of them with an errno of their own. */
static bool lacks_tcx(int err)
{
	return err == -EINVAL || err == -EOPNOTSUPP || err == -524 /* ENOTSUPP */;
}

static int attach_tcx(const struct where *w, enum link_hook hook)
{
	struct pinned_link l;
	int program = link_program(w->d, hook), err;

	err = link_name(&l, w->d->maps.pin_path, w->ifname, hook) ?: link_update(&l, w->ifindex, program);
	return err == -ENOENT ? link_create(&l, w->ifindex, program) : err;
}

/* Replies first, so that no connection is steered whose answers are not. */
static int attach_tc(const struct where *w)
{
	int err = attach_tcx(w, LINK_TC_OUT) ?: attach_tcx(w, LINK_TC_IN);

	if (lacks_tcx(err))
		return clsact_attach(w->d, w->ifname, w->ifindex, w->why);
	return err ? why_set(w->why, err, "interface '%s': attach TC programs: %s", w->ifname, strerror(-err)) : 0;
}

/* An XDP program on the device that no pin of ours holds. */
static int refuse_foreign(const struct where *w)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	__u32 ids[3], ours = 0, ifindex;
	struct pinned_link l;
	char name[BPF_OBJ_NAME_LEN];

	if (bpf_xdp_query(w->ifindex, 0, &query))
		return 0;
	for (int hook = LINK_XDP; hook <= LINK_XDP_GENERIC && !ours; hook++)
		if (link_name(&l, w->d->maps.pin_path, w->ifname, hook) || link_info(&l, &ifindex, &ours) ||
		    (int)ifindex != w->ifindex)
			ours = 0;
	ids[0] = query.drv_prog_id;
	ids[1] = query.skb_prog_id;
	ids[2] = query.hw_prog_id;
	for (int i = 0; i < 3; i++) {
		if (!ids[i] || ids[i] == ours)
			continue;
		program_name(ids[i], name);
		return why_set(w->why, -EBUSY, "interface '%s': XDP program '%s' (id %u) is there; "
			       "remove it, or attach with tc", w->ifname, name, ids[i]);
	}
	return 0;
}

static int attach_xdp(const struct where *w, enum link_hook hook)
{
	enum link_hook other = hook == LINK_XDP ? LINK_XDP_GENERIC : LINK_XDP;
	struct pinned_link l, before;
	int program = link_program(w->d, hook), err;

	err = link_name(&l, w->d->maps.pin_path, w->ifname, hook) ?:
	      link_name(&before, w->d->maps.pin_path, w->ifname, other) ?: link_remove(&before) ?:
	      link_update(&l, w->ifindex, program);
	if (err == -ENOENT)
		err = link_create(&l, w->ifindex, program);
	return err ? why_set(w->why, err, "interface '%s': attach %s: %s%s", w->ifname,
			     hook == LINK_XDP ? "xdp" : "xdp-generic", strerror(-err),
			     hook == LINK_XDP ? " (a driver without native XDP, an MTU above its limit, or LRO on?)" : "")
		   : 0;
}

static int detach_xdp(const struct where *w)
{
	struct pinned_link l;
	int err = 0;

	for (int hook = LINK_XDP; !err && hook <= LINK_XDP_GENERIC; hook++)
		err = link_name(&l, w->d->maps.pin_path, w->ifname, hook) ?: link_remove(&l);
	return err;
}

/* `auto` is XDP on hardware if its driver takes it; why that was not so is of
 * no interest then. */
static int attach_as(const struct where *w, enum attach_mode mode, enum attach_mode *ret_mode)
{
	*ret_mode = mode;
	switch (mode) {
	case ATTACH_XDP:
		return attach_xdp(w, LINK_XDP);
	case ATTACH_XDP_GENERIC:
		return attach_xdp(w, LINK_XDP_GENERIC);
	case ATTACH_AUTO:
		*ret_mode = ATTACH_XDP;
		if (!attach_xdp(w, LINK_XDP))
			return 0;
		break;
	case ATTACH_TC:
		break;
	}
	*ret_mode = ATTACH_TC;
	return detach_xdp(w);
}

static int any_link(void *arg, const struct pinned_link *l)
{
	return !strcmp(l->ifname, arg);
}

int attach_interface(struct datapath *d, const char *ifname, enum attach_mode mode, enum attach_mode *ret_mode,
		     char why[WHY])
{
	struct where w = { d, ifname, if_nametoindex(ifname), why };
	enum attach_mode came_to;
	bool before;
	int err = 0;

	if (!w.ifindex)
		return why_set(why, -ENODEV, "interface '%s': is not there", ifname);
	if (mode == ATTACH_AUTO)
		err = device_is_virtual(w.ifindex);
	if (err < 0)
		return why_set(why, err, "interface '%s': %s", ifname, strerror(-err));
	if (err)
		mode = ATTACH_TC;
	err = mode == ATTACH_TC ? 0 : refuse_foreign(&w);
	if (err)
		return err;
	before = links_walk(d->maps.pin_path, any_link, (void *)ifname) > 0;
	err = attach_tc(&w) ?: attach_as(&w, mode, &came_to);
	/* a half is no start; what was attached before goes on, by TC at least */
	if (err && !before)
		links_remove(d->maps.pin_path, ifname);
	if (!err && ret_mode)
		*ret_mode = came_to;
	return err;
}

int attach_remove(const char *pin_path, const char *ifname)
{
	return links_remove(pin_path, ifname);
}

struct listing {
	struct attach_info *out;
	size_t room, n;
};

/* TC output is attached first and taken away last: an entry for each. */
static int list_interface(void *arg, const struct pinned_link *l)
{
	struct listing *list = arg;
	struct attach_info info = { .mode = ATTACH_TC };
	__u32 ifindex = 0;

	if (l->hook == LINK_CLSACT)
		clsact_programs(l->ifname, &info.tc_in_id, &info.tc_out_id);
	else if (l->hook != LINK_TC_OUT || link_info(l, &ifindex, &info.tc_out_id) || !ifindex)
		return 0;	/* another hook, or a device that has gone */
	snprintf(info.ifname, sizeof(info.ifname), "%s", l->ifname);
	if (list->n < list->room)
		list->out[list->n] = info;
	list->n++;
	return 0;
}

static int list_program(void *arg, const struct pinned_link *l)
{
	struct listing *list = arg;
	struct attach_info *info = NULL;
	__u32 ifindex, program;

	for (size_t i = 0; i < list->n && i < list->room && !info; i++)
		if (!strcmp(list->out[i].ifname, l->ifname))
			info = &list->out[i];
	if (!info || l->hook == LINK_CLSACT || link_info(l, &ifindex, &program) || !ifindex)
		return 0;
	if (l->hook == LINK_TC_IN)
		info->tc_in_id = program;
	if (l->hook != LINK_XDP && l->hook != LINK_XDP_GENERIC)
		return 0;
	info->mode = l->hook == LINK_XDP ? ATTACH_XDP : ATTACH_XDP_GENERIC;
	info->xdp_id = program;
	return 0;
}

int attach_list(const char *pin_path, struct attach_info *out, size_t n)
{
	struct listing list = { out, n, 0 };
	int err = links_walk(pin_path, list_interface, &list) ?: links_walk(pin_path, list_program, &list);

	return err ?: (int)list.n;
}
