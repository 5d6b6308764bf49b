/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Which programs go where.  TC is always there, below XDP: it finishes what
 * XDP leaves to it, and it carries the traffic while XDP changes its mode.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_link.h>

#include "attach.h"
#include "internal.h"

/* An XDP program that no pin of ours holds. */
struct stranger {
	__u32 id;		/* 0: none */
	__u32 flags;		/* XDP_FLAGS_*_MODE it runs in */
	char name[BPF_OBJ_NAME_LEN];
};

struct where {
	struct datapath *d;
	const char *ifname;
	int ifindex;
	char *why;
	struct stranger displaced;	/* who has to go for our XDP program */
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

/* Who is on the device that no pin of ours holds: false when nobody is. */
static bool stranger_find(const struct where *w, struct stranger *ret)
{
	static const __u32 flags[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE, XDP_FLAGS_HW_MODE };
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	__u32 ours = 0, ifindex;
	struct pinned_link l;

	*ret = (struct stranger){ 0 };
	if (bpf_xdp_query(w->ifindex, 0, &query))
		return false;
	for (int hook = LINK_XDP; hook <= LINK_XDP_GENERIC && !ours; hook++)
		if (link_name(&l, w->d->maps.pin_path, w->ifname, hook) || link_info(&l, &ifindex, &ours) ||
		    (int)ifindex != w->ifindex)
			ours = 0;
	const __u32 ids[] = { query.drv_prog_id, query.skb_prog_id, query.hw_prog_id };

	for (int i = 0; i < 3 && !ret->id; i++)
		if (ids[i] && ids[i] != ours)
			*ret = (struct stranger){ .id = ids[i], .flags = flags[i] };
	if (ret->id)
		program_name(ret->id, ret->name);
	return ret->id;
}

/* The BPF link that holds it there: its id, 0 when there is none. */
static __u32 stranger_link(const struct where *w, const struct stranger *s)
{
	__u32 id = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		struct bpf_link_info info = { 0 };
		__u32 length = sizeof(info);
		int fd = bpf_link_get_fd_by_id(id), err;

		if (fd < 0)
			continue;
		err = bpf_obj_get_info_by_fd(fd, &info, &length);
		close(fd);
		if (!err && info.type == BPF_LINK_TYPE_XDP && info.prog_id == s->id &&
		    (int)info.xdp.ifindex == w->ifindex)
			return id;
	}
	return 0;
}

/*
 * What is to be done about a stranger: 0 with *mode TC, or with w->displaced
 * set; else -EBUSY.  A program that a BPF link holds is its owner's: the kernel
 * lets nobody else take it away.
 */
static int stranger_settle(struct where *w, enum attach_foreign foreign, enum attach_mode *mode)
{
	struct stranger s;
	__u32 link;

	if (*mode == ATTACH_TC || !stranger_find(w, &s))
		return 0;
	link = stranger_link(w, &s);
	if (foreign == ATTACH_BESIDE) {
		*mode = ATTACH_TC;
		return why_set(w->why, 0, "XDP program '%s' (id %u) stays; perch goes beside it, by tc", s.name, s.id);
	}
	if (foreign == ATTACH_REFUSE)
		return why_set(w->why, -EBUSY, "interface '%s': XDP program '%s' (id %u) is there; remove it, or set "
			       "foreign: tc (it stays)%s", w->ifname, s.name, s.id,
			       link ? "" : " or foreign: replace (it goes)");
	if (link || s.flags == XDP_FLAGS_HW_MODE)
		return why_set(w->why, -EBUSY, "interface '%s': XDP program '%s' (id %u) is held by %s %u, which cannot be "
			       "displaced; end who made it, or set foreign: tc", w->ifname, s.name, s.id,
			       link ? "BPF link" : "hardware of interface", link ?: (__u32)w->ifindex);
	w->displaced = s;
	return 0;
}

/*
 * Ours in the stranger's place.  The kernel puts no link where a program is,
 * so there are two steps; TC below carries our traffic between them, and only
 * the program that was seen is taken away.  If ours can't be had it comes back.
 */
static int displace(struct where *w, const struct pinned_link *l, int program)
{
	int theirs = bpf_prog_get_fd_by_id(w->displaced.id), err;
	LIBBPF_OPTS(bpf_xdp_attach_opts, expected, .old_prog_fd = theirs);

	if (theirs < 0)
		return theirs;
	err = bpf_xdp_detach(w->ifindex, w->displaced.flags, &expected);
	if (!err) {
		err = link_create(l, w->ifindex, program);
		if (err)
			bpf_xdp_attach(w->ifindex, theirs, w->displaced.flags | XDP_FLAGS_UPDATE_IF_NOEXIST, NULL);
	}
	close(theirs);
	return err ?: why_set(w->why, 0, "took the place of XDP program '%s' (id %u)", w->displaced.name,
			      w->displaced.id);
}

static int attach_xdp(struct where *w, enum link_hook hook)
{
	enum link_hook other = hook == LINK_XDP ? LINK_XDP_GENERIC : LINK_XDP;
	struct pinned_link l, before;
	int program = link_program(w->d, hook), err;

	err = link_name(&l, w->d->maps.pin_path, w->ifname, hook) ?:
	      link_name(&before, w->d->maps.pin_path, w->ifname, other) ?: link_remove(&before) ?:
	      link_update(&l, w->ifindex, program);
	if (err == -ENOENT)
		err = w->displaced.id ? displace(w, &l, program) : link_create(&l, w->ifindex, program);
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
static int attach_as(struct where *w, enum attach_mode mode, enum attach_mode *ret_mode)
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
		why_set(w->why, 0, "%s", "");
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

int attach_interface(struct datapath *d, const char *ifname, enum attach_mode mode, enum attach_foreign foreign,
		     enum attach_mode *ret_mode, char why[WHY])
{
	struct where w = { .d = d, .ifname = ifname, .ifindex = if_nametoindex(ifname), .why = why };
	enum attach_mode came_to;
	bool before;
	int err = 0;

	why_set(why, 0, "%s", "");
	if (!w.ifindex)
		return why_set(why, -ENODEV, "interface '%s': is not there", ifname);
	if (mode == ATTACH_AUTO)
		err = device_is_virtual(w.ifindex);
	if (err < 0)
		return why_set(why, err, "interface '%s': %s", ifname, strerror(-err));
	if (err)
		mode = ATTACH_TC;
	err = stranger_settle(&w, foreign, &mode);
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

	if (l->hook == LINK_CLSACT && if_nametoindex(l->ifname))
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
