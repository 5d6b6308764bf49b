/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The object into the kernel.  Programs are new at every start; maps are
 * those that are pinned, or new ones of the sizes asked for.  Sizes, secret
 * and ticks are in `control`, which is written last: a load that was killed
 * leaves an element of zeros, and the next one begins anew.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "internal.h"
#include "perch.skel.h"

#define TICK_NS 16000000ull

/* The length of a jiffy is the resolution of the coarse clock.  (The HZ that
 * sysconf knows is that of user space, 100 everywhere.) */
static __u32 jiffies_per_second(void)
{
	struct timespec jiffy = { 0 };

	clock_getres(CLOCK_MONOTONIC_COARSE, &jiffy);
	return jiffy.tv_nsec ? (1000000000ull + jiffy.tv_nsec / 2) / jiffy.tv_nsec : 100;
}

/* The shift that brings a tick nearest to 16 ms, by ratio. */
static __u32 tick_shift(__u32 hz)
{
	__u64 jiffy = 1000000000ull / hz;
	__u32 shift = 0;

	/* doubling is nearer as long as 16 ms is above sqrt(2) times the tick */
	while ((jiffy << shift) * 1414 / 1000 < TICK_NS)
		shift++;
	return shift;
}

static int fill_secret(__u64 secret[4], const __u8 *given)
{
	size_t size = 4 * sizeof(secret[0]);

	if (given)
		memcpy(secret, given, size);
	else if (getrandom(secret, size, 0) != (ssize_t)size)
		return -errno;
	return 0;
}

static int new_control(const struct datapath_options *o, struct perch_control *ret, char *why)
{
	__u32 hz = jiffies_per_second();
	int err;

	*ret = (struct perch_control){
		.abi_version = PERCH_ABI_VERSION,
		.flow_sets = (o->flow_entries ?: PERCH_FLOWS) / PERCH_WAYS,
		.tick_shift = tick_shift(hz),
		.hz = hz,
		.services = o->services ?: PERCH_SERVICES,
		.backends_n = o->backends ?: PERCH_BACKENDS,
		.listeners_n = o->listeners ?: PERCH_LISTENERS,
		.slice_words = o->slice_words ?: PERCH_SLICE_WORDS,
		.generation = 1,
	};
	err = fill_secret(ret->secret, o->secret);
	return err ? why_set(why, err, "random secret: %s", strerror(-err)) : 0;
}

static int pinned_control(const struct maps *m, const struct datapath_options *o, struct perch_control *ret, char *why)
{
	*ret = *m->control;
	if (o->replace_sizes && o->flow_entries && o->flow_entries != ret->flow_sets * PERCH_WAYS)
		return why_set(why, -EEXIST, "the flow table has %u entries, not %u; it is kept as long as the "
			       "datapath, take that away with perchd --detach", ret->flow_sets * PERCH_WAYS,
			       o->flow_entries);
	ret->generation++;
	return 0;
}

static int set_size(struct bpf_object *object, const char *map, __u32 entries)
{
	struct bpf_map *m = bpf_object__find_map_by_name(object, map);

	return m ? bpf_map__set_max_entries(m, entries) : -ENOENT;
}

static int new_sizes(struct bpf_object *object, const struct datapath_options *o, const struct perch_control *c)
{
	const struct { const char *map; __u32 entries; } sizes[] = {
		{ "services", c->services }, { "splits", c->services },
		{ "names", c->services }, { "rollouts", c->services },
		{ "versions", c->services * PERCH_SLOTS }, { "version_names", c->services * PERCH_SLOTS },
		{ "backends", c->backends_n }, { "counters", c->backends_n },
		{ "listeners", c->listeners_n }, { "addresses", c->listeners_n },
		{ "slices", c->slice_words }, { "flows", c->flow_sets },
		{ "marks", c->services }, { "sources", c->services }, { "pins", o->pins ? o->pins : PERCH_PINS },
	};
	int err = 0;

	for (size_t i = 0; !err && i < sizeof(sizes) / sizeof(sizes[0]); i++)
		err = set_size(object, sizes[i].map, sizes[i].entries);
	return err;
}

static int pinned_size(void *object, const char *name, int *fd)
{
	struct bpf_map_info info = { 0 };
	__u32 length = sizeof(info);

	return bpf_obj_get_info_by_fd(*fd, &info, &length) ?: set_size(object, name, info.max_entries);
}

struct pin_target {
	struct bpf_object *object;
	const char *pin_path;
};

/* libbpf takes what is pinned there, or pins what it makes. */
static int set_pin(void *arg, const char *name, int *fd)
{
	struct pin_target *t = arg;
	struct bpf_map *map = bpf_object__find_map_by_name(t->object, name);
	char path[PATH_MAX];

	return map ? bpffs_path(path, t->pin_path, "maps", name) ?: bpf_map__set_pin_path(map, path) : -ENOENT;
}

static void set_constants(struct perch_constants *k, const struct perch_control *c)
{
	*k = (struct perch_constants){
		.set_mask = c->flow_sets - 1,
		.tick_shift = c->tick_shift,
		.generation = c->generation,
		.cpus = libbpf_num_possible_cpus(),
		.services = c->services,
		.backends = c->backends_n,
		.listeners = c->listeners_n,
		.slice_words = c->slice_words,
	};
	memcpy(k->secret, c->secret, sizeof(k->secret));
#define X(class, seconds) k->timeout[class] = ((__u64)(seconds) * c->hz >> c->tick_shift) + 1;
	PERCH_TIMEOUTS(X)
#undef X
	k->timeout[PERCH_BUSY] = ~0u;	/* however long its CPU is held up */
}

static int open_object(struct datapath *d, const struct datapath_options *o, const struct perch_control *c)
{
	struct perch_bpf *skeleton = perch_bpf__open();
	struct pin_target t = { .pin_path = o->pin_path };
	int err;

	if (!skeleton)
		return -errno;
	d->skeleton = skeleton;
	t.object = skeleton->obj;
	err = d->taken_over ? maps_each(&d->maps, pinned_size, t.object) : new_sizes(t.object, o, c);
	if (!err)
		err = maps_each(&d->maps, set_pin, &t);
	set_constants(&skeleton->rodata->constants, c);
	return err;
}

/* What was not there before begins with this element. */
static int write_control(struct datapath *d, const struct datapath_options *o, const struct perch_control *c, char *why)
{
	__u32 zero = 0;
	int err = bpf_map_update_elem(bpf_map__fd(d->skeleton->maps.control), &zero, c, BPF_ANY);

	return err ? why_set(why, err, "write control: %s", strerror(-err)) : maps_open(&d->maps, o->pin_path, why);
}

int load_object(struct datapath *d, const struct datapath_options *o, char *why)
{
	struct perch_control c;
	char noted[WHY];
	int err;

	err = d->taken_over ? pinned_control(&d->maps, o, &c, why) : new_control(o, &c, why);
	if (err)
		return err;
	why_libbpf_begin();
	err = open_object(d, o, &c) ?: perch_bpf__load(d->skeleton);
	why_libbpf_end(noted);
	if (err)
		return why_set(why, err, "load the datapath: %s%s%.160s", strerror(-err), noted[0] ? ": " : "", noted);
	if (!d->taken_over)
		return write_control(d, o, &c, why);
	__atomic_store_n(&d->maps.control->generation, c.generation, __ATOMIC_RELEASE);
	return 0;
}
