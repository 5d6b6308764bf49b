/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The pinned maps as descriptors and mappings.  Opened by path, so that it
 * takes the right to the files and none over the kernel.  The kernel fills a
 * mapping's pages when it is made: the flow table is the largest by far, and
 * a rollback does without it.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

struct map_kind {
	const char *name;
	size_t fd;		/* offsets in struct maps */
	size_t mapping;		/* 0: not mapped */
	size_t size;		/* of an element, 0: unchecked */
	bool rollback;		/* a rollback needs it */
};

#define MAPPED(name, rollback)                                                 \
	{ #name, offsetof(struct maps, name##_fd), offsetof(struct maps, name),  \
	  sizeof(*((struct maps *)0)->name), rollback }
#define PLAIN(name, rollback) { #name, offsetof(struct maps, name##_fd), 0, 0, rollback }

static const struct map_kind kinds[] = {
	/* control is first: it says whether the others are what we think */
	MAPPED(control, true),
	MAPPED(services, true),
	MAPPED(splits, true),
	MAPPED(versions, true),
	MAPPED(names, true),
	MAPPED(version_names, true),
	PLAIN(rejections, true),
	MAPPED(filter, false),
	MAPPED(listeners, false),
	MAPPED(backends, false),
	MAPPED(slices, false),
	MAPPED(flows, false),
	MAPPED(devices, false),
	MAPPED(observed, false),
	PLAIN(rollouts, false),
	PLAIN(comparisons, false),
	PLAIN(addresses, false),
	PLAIN(stripes, false),
	PLAIN(device_ids, false),
	PLAIN(counters, false),
	PLAIN(votes, false),
	PLAIN(tallies, false),
	PLAIN(caps, false),
	MAPPED(turns, false),
	MAPPED(blame, false),
	PLAIN(reasons, false),
	PLAIN(timers, false),
	PLAIN(samples, false),
	PLAIN(events, false),
	PLAIN(pins, false),
	PLAIN(rules, false),
	MAPPED(marks, false),
	MAPPED(sources, false),
	PLAIN(traces, false),
	PLAIN(locals, false),
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))
#define X(name) +1
_Static_assert(KINDS == 0 PERCH_MAPS(X), "a map of the contract is missing here");
#undef X

static int *kind_fd(struct maps *m, const struct map_kind *k)
{
	return (int *)((char *)m + k->fd);
}

static void **kind_mapping(struct maps *m, const struct map_kind *k)
{
	return (void **)((char *)m + k->mapping);
}

static int map_info(int fd, struct bpf_map_info *ret)
{
	__u32 length = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return bpf_obj_get_info_by_fd(fd, ret, &length);
}

static size_t mapping_length(const struct bpf_map_info *info)
{
	return (size_t)info->value_size * info->max_entries;
}

static int map_kind_open(struct maps *m, const struct map_kind *k, char *why)
{
	struct bpf_map_info info;
	char path[PATH_MAX];
	int fd, err;
	void *at;

	err = bpffs_path(path, m->pin_path, "maps", k->name);
	if (err)
		return err;
	fd = bpf_obj_get(path);
	if (fd < 0)
		return why_set(why, fd, "open '%s': %s", path, strerror(-fd));
	*kind_fd(m, k) = fd;
	if (!k->mapping)
		return 0;
	err = map_info(fd, &info);
	if (err)
		return why_set(why, err, "'%s': %s", path, strerror(-err));
	at = mmap(NULL, mapping_length(&info), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return why_set(why, -errno, "map '%s': %s", path, strerror(errno));
	*kind_mapping(m, k) = at;
	if (info.value_size != k->size)
		return why_set(why, -EPROTO, "'%s' has elements of %u bytes, this is built for %zu; "
			       "take it away with perchd --detach", path, info.value_size, k->size);
	return 0;
}

static int check_abi(const struct maps *m, char *why)
{
	__u32 abi = __atomic_load_n(&m->control->abi_version, __ATOMIC_ACQUIRE);

	if (!abi)
		return why_set(why, -ENOENT, "'%s': was never loaded to the end", m->pin_path);
	if (abi != PERCH_ABI_VERSION)
		return why_set(why, -EPROTO, "'%s' holds a datapath of ABI %u, this is built for ABI %u; "
			       "take it away with perchd --detach", m->pin_path, abi, PERCH_ABI_VERSION);
	return 0;
}

/* The version comes first in any ABI's control, whatever its size. */
static int open_control(struct maps *m, char *why)
{
	int err = map_kind_open(m, &kinds[0], why), abi = m->control ? check_abi(m, why) : 0;

	return abi ?: err;
}

static int maps_open_kinds(struct maps *m, const char *pin_path, bool rollback, char *why)
{
	int err;

	memset(m, 0, sizeof(*m));
	for (size_t i = 0; i < KINDS; i++)
		*kind_fd(m, &kinds[i]) = -1;
	if (strlen(pin_path) >= sizeof(m->pin_path))
		return why_set(why, -ENAMETOOLONG, "pin path '%.64s…': too long", pin_path);
	memcpy(m->pin_path, pin_path, strlen(pin_path) + 1);
	err = open_control(m, why);
	for (size_t i = 1; !err && i < KINDS; i++) {
		if (rollback && !kinds[i].rollback)
			continue;
		err = map_kind_open(m, &kinds[i], why);
		/* -ENOENT is for "nothing is pinned", not for "half of it" */
		if (err == -ENOENT)
			err = why_set(why, -EPROTO, "'%s/maps/%s' is missing; take the rest away with "
				      "perchd --detach", pin_path, kinds[i].name);
	}
	if (err)
		maps_close(m);
	return err;
}

int maps_open(struct maps *m, const char *pin_path, char why[WHY])
{
	return maps_open_kinds(m, pin_path, false, why);
}

int maps_open_rollback(struct maps *m, const char *pin_path, char why[WHY])
{
	return maps_open_kinds(m, pin_path, true, why);
}

void maps_close(struct maps *m)
{
	struct bpf_map_info info;

	/* one that was never opened holds descriptors of 0, which are not ours */
	if (!m->pin_path[0])
		return;
	for (size_t i = 0; i < KINDS; i++) {
		const struct map_kind *k = &kinds[i];

		if (k->mapping && *kind_mapping(m, k) && !map_info(*kind_fd(m, k), &info))
			munmap(*kind_mapping(m, k), mapping_length(&info));
		if (k->mapping)
			*kind_mapping(m, k) = NULL;
		if (*kind_fd(m, k) >= 0)
			close(*kind_fd(m, k));
		*kind_fd(m, k) = -1;
	}
	m->pin_path[0] = '\0';
}

int maps_each(struct maps *m, int (*fn)(void *arg, const char *name, int *fd), void *arg)
{
	int err = 0;

	for (size_t i = 0; !err && i < KINDS; i++)
		err = fn(arg, kinds[i].name, kind_fd(m, &kinds[i]));
	return err;
}
