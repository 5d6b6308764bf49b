/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The life of the datapath: every start is an upgrade.  Programs are loaded
 * against the pinned maps, the timer goes over to them, and only when it is
 * seen running are the links given the new programs, each in place, so that
 * no packet finds none.  Nothing here is undone at the end of the process.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_ether.h>

#include "internal.h"
#include "perch.skel.h"

#define HANDOVER_MS 2000	/* how long the agent before us may take to end */
#define TIMER_MS 1000

static int check_range(const char *what, __u32 value, __u32 most, char *why)
{
	return value > most ? why_set(why, -EINVAL, "%s: %u is above %u", what, value, most) : 0;
}

static int check_options(const struct datapath_options *o, char *why)
{
	__u32 flows = o->flow_entries ?: PERCH_FLOWS;

	if (flows < 1024 || (flows & (flows - 1)))
		return why_set(why, -EINVAL, "flow table: %u entries is not a power of two of 1024 or more", flows);
	return check_range("services", o->services, PERCH_SERVICES_MOST, why) ?:
	       check_range("backends", o->backends, PERCH_BACKENDS_MOST, why) ?:
	       check_range("listeners", o->listeners, PERCH_LISTENERS_MOST, why);
}

/* One agent at a time; a predecessor that is about to end is waited for. */
static int lock_pins(struct datapath *d, const char *pin_path, char *why)
{
	d->lock_fd = bpffs_lock(pin_path, HANDOVER_MS);
	if (d->lock_fd >= 0)
		return 0;
	if (d->lock_fd == -ETIMEDOUT)
		return why_set(why, -EBUSY, "'%s': another perchd%s has these pins", pin_path,
			       bpffs_lock_holder(pin_path).text);
	return why_set(why, d->lock_fd, "lock '%s': %s", pin_path, strerror(-d->lock_fd));
}

static int count_link(void *arg, const struct pinned_link *l)
{
	return 1;
}

/* Sets taken_over.  What a load that was killed has left is cleared away; it
 * never came to attach anything. */
static int find_pins(struct datapath *d, const char *pin_path, char *why)
{
	int err = maps_open(&d->maps, pin_path, why);

	d->taken_over = !err;
	if (err != -ENOENT)
		return err;
	if (links_walk(pin_path, count_link, NULL) > 0)
		return why_set(why, -EPROTO, "'%s': programs are attached but maps are missing; "
			       "take them away with perchd --detach", pin_path);
	err = bpffs_clear(pin_path, "programs");
	if (err >= 0)
		err = bpffs_clear(pin_path, "maps");
	return err < 0 ? why_set(why, err, "clear '%s': %s", pin_path, strerror(-err)) : 0;
}

static int note_programs(struct datapath *d, char *why)
{
	const struct bpf_program *programs[] = {
		d->skeleton->progs.perch_xdp, d->skeleton->progs.perch_tc_in,
		d->skeleton->progs.perch_tc_out, d->skeleton->progs.perch_tick,
	};

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		struct bpf_prog_info info = { 0 };
		__u32 length = sizeof(info);
		int fd = bpf_program__fd(programs[i]), err = bpf_obj_get_info_by_fd(fd, &info, &length);

		d->program[i].name = bpf_program__name(programs[i]);
		d->program[i].fd = fd;
		d->program[i].id = info.id;
		d->program[i].verified = info.verified_insns;
		if (err)
			return why_set(why, err, "%s: %s", d->program[i].name, strerror(-err));
	}
	return 0;
}

/* One run of perch_tick hands the timer to this load's callback. */
static int arm_timer(struct datapath *d, char *why)
{
	const struct timespec nap = { .tv_nsec = 1000000 };
	const struct perch_control *c = d->maps.control;
	__u8 frame[ETH_ZLEN] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame), .repeat = 1);
	__u32 first;
	int err;

	/* the kernel takes a timer's memory without waiting for it, and may find none */
	for (int ms = 0; ms < TIMER_MS; ms++) {
		err = bpf_prog_test_run_opts(bpf_program__fd(d->skeleton->progs.perch_tick), &run);
		if (err || run.retval == XDP_PASS)
			break;
		nanosleep(&nap, NULL);
	}
	if (err || run.retval != XDP_PASS)
		return why_set(why, err ?: -EIO, "arm the kernel's timer: %s (verdict %u)", strerror(err ? -err : EIO),
			       run.retval);
	first = __atomic_load_n(&c->tick, __ATOMIC_RELAXED);
	for (int ms = 0; ms < TIMER_MS; ms++) {
		if (__atomic_load_n(&c->timer_generation, __ATOMIC_ACQUIRE) == c->generation &&
		    __atomic_load_n(&c->tick, __ATOMIC_RELAXED) != first)
			return 0;
		nanosleep(&nap, NULL);
	}
	return why_set(why, -ETIME, "the kernel's timer did not run within %d ms (generation %u, wanted %u)", TIMER_MS,
		       c->timer_generation, c->generation);
}

/* Each pin goes from the old program to the new one by a rename. */
static int pin_programs(struct datapath *d, char *why)
{
	char path[PATH_MAX], fresh[PATH_MAX], name[64];

	for (size_t i = 0; i < sizeof(d->program) / sizeof(d->program[0]); i++) {
		int err;

		snprintf(name, sizeof(name), "%s-new", d->program[i].name);
		err = bpffs_path(path, d->maps.pin_path, "programs", d->program[i].name) ?:
		      bpffs_path(fresh, d->maps.pin_path, "programs", name);
		if (!err && unlink(fresh) && errno != ENOENT)
			err = -errno;
		if (!err)
			err = bpf_obj_pin(d->program[i].fd, fresh);
		if (!err && rename(fresh, path))
			err = -errno;
		if (err)
			return why_set(why, err, "pin '%s': %s", path, strerror(-err));
	}
	return 0;
}

int datapath_open(struct datapath *d, const struct datapath_options *o, char why[WHY])
{
	int err;

	memset(d, 0, sizeof(*d));
	d->lock_fd = -1;
	err = check_options(o, why) ?: bpffs_prepare(o->pin_path, why) ?: lock_pins(d, o->pin_path, why);
	if (err)
		return err;
	err = find_pins(d, o->pin_path, why);
	if (err)
		goto out;
	err = load_object(d, o, why) ?: note_programs(d, why) ?: arm_timer(d, why) ?: links_update(d, why) ?:
	      pin_programs(d, why);
	/* a first start that failed leaves no table behind that the next would
	 * have to take as it is */
	if (err && !d->taken_over) {
		bpffs_clear(o->pin_path, "programs");
		bpffs_clear(o->pin_path, "maps");
	}
out:
	if (err)
		datapath_close(d);
	return err;
}

void datapath_close(struct datapath *d)
{
	maps_close(&d->maps);
	perch_bpf__destroy(d->skeleton);
	d->skeleton = NULL;
	memset(d->program, 0, sizeof(d->program));
	/* a structure that was never opened holds 0, which is not ours */
	if (d->lock_fd > 0)
		close(d->lock_fd);
	d->lock_fd = -1;
}
