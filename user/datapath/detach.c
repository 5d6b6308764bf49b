// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The end of the datapath on this host: its listeners handed back and its
 * connections waited for, if there is time, then links, programs and maps
 * taken away.  The lock is held from the beginning, so that no agent starts
 * meanwhile; nothing else is needed for connections to go on.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "flows.h"
#include "internal.h"
#include "listeners.h"

static int lock_idle(const char *pin_path, char *why)
{
	int fd;

	/* files of a path that was mistaken for ours are not */
	if (!bpffs_holds(pin_path))
		return why_set(why, -ENOENT, "'%s': nothing is pinned there", pin_path);
	fd = bpffs_lock(pin_path, 0);
	if (fd == -ETIMEDOUT)
		return why_set(why, -EBUSY, "'%s': perchd%s is running; stop it first (systemctl stop perchd, or SIGTERM)",
			       pin_path, bpffs_lock_holder(pin_path).text);
	return fd < 0 ? why_set(why, fd, "'%s': %s", pin_path, strerror(-fd)) : fd;
}

static int take_away(const char *pin_path, char *why)
{
	int err = links_remove(pin_path, NULL);

	if (!err)
		err = bpffs_clear(pin_path, "links");
	if (err >= 0)
		err = bpffs_clear(pin_path, "programs");
	if (err >= 0)
		err = bpffs_clear(pin_path, "maps");
	if (err >= 0)
		err = bpffs_leave(pin_path);
	return err < 0 ? why_set(why, err, "remove '%s': %s", pin_path, strerror(-err)) : 0;
}

static int wait_for_flows(const struct maps *m, const struct datapath_drain *d)
{
	const struct timespec second = { .tv_sec = 1 };
	__u64 until = clock_ns() + d->ns, now;
	size_t left;

	for (;;) {
		left = flows_left(m, NULL);
		now = clock_ns();
		if (!d->tell(d->arg, left, now < until ? until - now : 0))
			return -EINTR;
		if (!left || now >= until)
			return 0;
		nanosleep(&second, NULL);	/* shorter when a signal comes */
	}
}

/* No agent is there to beat the heart, and none will come: what is left is not
 * rolled back for it. */
static int drain_flows(const char *pin_path, const struct datapath_drain *d, char *why)
{
	struct maps m;
	int err = maps_open(&m, pin_path, why);
	__u64 deadman;

	if (err)
		return err == -ENOENT ? 0 : err;
	deadman = __atomic_exchange_n(&m.control->deadman, 0, __ATOMIC_RELAXED);
	listeners_leave_all(&m, true);
	err = wait_for_flows(&m, d);
	if (err) {
		listeners_leave_all(&m, false);
		__atomic_store_n(&m.control->deadman, deadman, __ATOMIC_RELAXED);
	}
	maps_close(&m);
	return err;
}

int datapath_leave(const char *pin_path, const struct datapath_drain *drain, char why[WHY])
{
	int fd = lock_idle(pin_path, why), err;

	if (fd < 0)
		return fd;
	err = drain_flows(pin_path, drain, why) ?: take_away(pin_path, why);
	close(fd);
	return err;
}

int datapath_remove(const char *pin_path, char why[WHY])
{
	int fd = lock_idle(pin_path, why), err;

	if (fd < 0)
		return fd;
	err = take_away(pin_path, why);
	close(fd);
	return err;
}
