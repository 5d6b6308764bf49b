/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The datapath in the kernel as user space holds it: the object, its pins and
 * the mapped tables.  Only this folder knows libbpf and netlink.
 *
 * Pins, below the pin path: maps/NAME, programs/NAME, links/IFNAME-HOOK (xdp,
 * xdp-generic, tc-in, tc-out, clsact; a dot in IFNAME is written %2e).
 * Everything stays pinned when the process ends.  Functions return 0 or
 * -errno and say nothing; `why` (may be NULL) takes a sentence for the log.
 * With PERCH_BPF_LOG in the environment libbpf and the verifier speak for
 * themselves, on stderr.
 */
#ifndef PERCH_DATAPATH_H
#define PERCH_DATAPATH_H

#include <stdbool.h>
#include <stddef.h>

#include <perch/abi.h>

#define WHY 256

/* File descriptors and mappings of the pinned maps; what --direct and flow
 * show need too.  Mapped: read and write, shared with the kernel. */
struct maps {
	char pin_path[256];
#define X(name) int name##_fd;
	PERCH_MAPS(X)
#undef X
	struct perch_control *control;
	struct perch_filter *filter;
	struct perch_listener *listeners;
	struct perch_service *services;
	struct perch_split *splits;
	struct perch_version *versions;
	struct perch_backend *backends;
	struct perch_slice_word *slices;
	struct perch_flow_set *flows;
	struct perch_device *devices;
	struct perch_observed *observed;
	struct perch_service_name *names;
	struct perch_version_name *version_names;
	struct perch_mark *marks;
	struct perch_sources *sources;
	struct perch_turns *turns;
	struct perch_blame *blame;
};

/* Map what is pinned below pin_path; what is there but of another ABI is
 * -EPROTO.  Nothing pinned: -ENOENT. */
int maps_open(struct maps *m, const char *pin_path, char why[WHY]);
void maps_close(struct maps *m);

/* The few maps of a rollback, in a fraction of the time: control, services,
 * splits, versions, names, version_names and rejections.  The others stay NULL
 * and -1. */
int maps_open_rollback(struct maps *m, const char *pin_path, char why[WHY]);

/* The planner lock: flock on PINPATH/maps, taken by who prepares a plan.
 * Returns a descriptor to close, -ETIMEDOUT after timeout_ms, or -errno. */
int planner_lock(const char *pin_path, int timeout_ms);

struct datapath_options {
	const char *pin_path;
	__u32 flow_entries;	/* 0: PERCH_FLOWS; the pinned table's size wins */
	__u32 services, backends, listeners, slice_words;	/* 0: default */
	__u32 pins;		/* 0: PERCH_PINS; the pinned table's size wins */
	const __u8 *secret;	/* 32 bytes; NULL: random; the pinned one wins */
	bool replace_sizes;	/* refuse (-EEXIST) a pinned table of other size */
};

struct datapath {
	struct maps maps;
	struct perch_bpf *skeleton;
	bool taken_over;	/* found pins and went on with them */
	int lock_fd;		/* of PINPATH: one agent at a time */
	/* instructions the verifier walked, by program */
	struct { const char *name; int fd; __u32 verified; __u32 id; } program[4];
};

/* Mount bpffs if it is missing, take over what is pinned or load anew, pin,
 * replace the programs of attached links, re-arm the timer and see it run.
 * -EBUSY: another agent has this pin path; -EPROTO: pins of another ABI;
 * -EEXIST: see replace_sizes. */
int datapath_open(struct datapath *d, const struct datapath_options *o, char why[WHY]);
/* Are the pins there, and ours?  Not after bpffs was unmounted, or they were
 * deleted. */
bool datapath_pinned(const struct datapath *d);
/* Pin all again where they belong, bpffs mounted if it must be.  Interfaces
 * whose links were deleted are to be attached again.  -EBUSY: another agent has
 * come to be there. */
int datapath_repin(struct datapath *d, char why[WHY]);
/* Leaves everything running. */
void datapath_close(struct datapath *d);
/* Takes links, programs and maps away, of any ABI.  Traffic goes to the stack
 * again.  -ENOENT: nothing is there; -EBUSY: an agent is. */
int datapath_remove(const char *pin_path, char why[WHY]);

/* How long connections may go on before that. */
struct datapath_drain {
	__u64 ns;
	/* Called at once and then every second or so with the connections that
	 * are left and the time they have; false: stay after all. */
	bool (*tell)(void *arg, size_t left, __u64 ns);
	void *arg;
};
/* The same after every listener was handed back: connections that are there
 * keep their backends until they end, at most that long, new ones go to the
 * stack.  -EINTR: tell said so, and the listeners are taken again. */
int datapath_leave(const char *pin_path, const struct datapath_drain *drain, char why[WHY]);

#endif
