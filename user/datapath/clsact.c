/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * TC before Linux 6.6: a filter on the clsact qdisc in each direction.
 * Filters are no BPF objects and cannot be pinned, so the pin IFNAME-clsact
 * (of a program) only says that the filters there are ours.  A filter of
 * somebody else in our place is left alone, and so is the qdisc while any
 * filter is below it.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define HANDLE 1
#define PRIORITY 1

static const struct {
	enum bpf_tc_attach_point point;
	enum link_hook hook;
	const char *program;
} sides[] = {
	{ BPF_TC_EGRESS, LINK_TC_OUT, "perch_tc_out" },
	{ BPF_TC_INGRESS, LINK_TC_IN, "perch_tc_in" },
};

#define SIDES (sizeof(sides) / sizeof(sides[0]))

/* Program of the filter in our place: its id, 0 when there is none. */
static __u32 filter_program(int ifindex, enum bpf_tc_attach_point point)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = point);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = HANDLE, .priority = PRIORITY);

	return bpf_tc_query(&hook, &options) ? 0 : options.prog_id;
}

static bool program_is_ours(__u32 id, size_t side)
{
	char name[BPF_OBJ_NAME_LEN];

	program_name(id, name);
	return !strcmp(name, sides[side].program);
}

static int filter_attach(const struct datapath *d, const char *ifname, int ifindex, size_t side, char *why)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = sides[side].point);
	LIBBPF_OPTS(bpf_tc_opts, options, .handle = HANDLE, .priority = PRIORITY, .flags = BPF_TC_F_REPLACE,
		    .prog_fd = link_program(d, sides[side].hook));
	__u32 there = filter_program(ifindex, sides[side].point);
	int err;

	if (there && !program_is_ours(there, side))
		return why_set(why, -EBUSY, "interface '%s': a TC filter with program %u is in the way "
			       "(clsact, priority %d)", ifname, there, PRIORITY);
	err = bpf_tc_hook_create(&hook);
	if (!err || err == -EEXIST)
		err = bpf_tc_attach(&hook, &options);
	return err ? why_set(why, err, "interface '%s': attach %s by clsact: %s", ifname,
			     sides[side].program, strerror(-err)) : 0;
}

int clsact_attach(const struct datapath *d, const char *ifname, int ifindex, char *why)
{
	struct pinned_link l;
	int err;

	err = link_name(&l, d->maps.pin_path, ifname, LINK_CLSACT);
	if (err)
		return err;
	/* the pin comes first: filters without it would be nobody's */
	err = bpf_obj_pin(link_program(d, LINK_TC_IN), l.path);
	if (err && err != -EEXIST)
		return why_set(why, err, "pin '%s': %s", l.path, strerror(-err));
	for (size_t i = 0; i < SIDES; i++) {
		err = filter_attach(d, ifname, ifindex, i, why);
		if (err)
			return err;
	}
	return 0;
}

int clsact_remove(const struct pinned_link *l)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex(l->ifname));
	int err = 0;

	if (access(l->path, F_OK))
		return errno == ENOENT ? 0 : -errno;
	/* replies last */
	for (size_t i = 0; !err && hook.ifindex && i < SIDES; i++) {
		LIBBPF_OPTS(bpf_tc_opts, options, .handle = HANDLE, .priority = PRIORITY);
		size_t side = SIDES - 1 - i;

		hook.attach_point = sides[side].point;
		if (program_is_ours(filter_program(hook.ifindex, hook.attach_point), side))
			err = bpf_tc_detach(&hook, &options);
	}
	if (err)
		return err;
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	if (hook.ifindex && device_filters(hook.ifindex) == 0)
		bpf_tc_hook_destroy(&hook);
	return unlink(l->path) && errno != ENOENT ? -errno : 0;
}

static __u32 our_program(int ifindex, size_t side)
{
	__u32 id = ifindex ? filter_program(ifindex, sides[side].point) : 0;

	return id && program_is_ours(id, side) ? id : 0;
}

void clsact_programs(const char *ifname, __u32 *ret_in, __u32 *ret_out)
{
	int ifindex = if_nametoindex(ifname);

	*ret_out = our_program(ifindex, 0);
	*ret_in = our_program(ifindex, 1);
}
