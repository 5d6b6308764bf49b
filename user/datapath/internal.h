/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the files of this folder share and nobody else sees. */
#ifndef PERCH_DATAPATH_INTERNAL_H
#define PERCH_DATAPATH_INTERNAL_H

#include <limits.h>
#include <net/if.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "datapath.h"

/* why.c: a sentence for the caller's log; returns err, so that a failure is
 * one statement.  why may be NULL. */
int why_set(char *why, int err, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* libbpf's own words, kept instead of printed: from _begin to _end the first
 * warning is noted, of a verifier log its last complaint. */
void why_libbpf_begin(void);
void why_libbpf_end(char noted[WHY]);

/* bpffs.c */
bool bpffs_holds(const char *path);
int bpffs_prepare(const char *pin_path, char *why);
/* Exclusive flock on a directory, the one place that everybody who shares the
 * pins sees.  A descriptor, -ETIMEDOUT, -ENOENT, or another -errno. */
int bpffs_lock(const char *directory, int timeout_ms);
/* Is what was opened still what the path names? */
bool bpffs_same(int fd, const char *directory);
/* " (pid N)" of who holds that lock; "" when it is not seen from here. */
struct lock_holder {
	char text[24];
};
struct lock_holder bpffs_lock_holder(const char *directory);
/* PINPATH/directory/name; -ENAMETOOLONG. */
int bpffs_path(char out[PATH_MAX], const char *pin_path, const char *directory, const char *name);
/* Unlink all that is in a directory; how many, or -errno. */
int bpffs_clear(const char *pin_path, const char *directory);
/* The empty directories, and the mount if bpffs_prepare made it. */
int bpffs_leave(const char *pin_path);

/* maps.c: every map of the contract, by name, and its descriptor. */
int maps_each(struct maps *m, int (*fn)(void *arg, const char *name, int *fd), void *arg);

/* load.c: the object into the kernel, its maps pinned.  d->maps is open when
 * d->taken_over, and then its sizes are taken; else it is open afterwards. */
int load_object(struct datapath *d, const struct datapath_options *o, char *why);

/* links.c: pinned attachments, links/IFNAME-HOOK. */
enum link_hook { LINK_XDP, LINK_XDP_GENERIC, LINK_TC_IN, LINK_TC_OUT, LINK_CLSACT, LINK_HOOKS };
struct pinned_link {
	char ifname[IF_NAMESIZE];
	enum link_hook hook;
	char path[PATH_MAX];
};
int link_name(struct pinned_link *ret, const char *pin_path, const char *ifname, enum link_hook hook);
/* Stops at the first fn that is not 0 and returns what it returned. */
int links_walk(const char *pin_path, int (*fn)(void *arg, const struct pinned_link *l), void *arg);
/* Device (0: gone) and program of a pinned link; -ENOENT when not pinned. */
int link_info(const struct pinned_link *l, __u32 *ret_ifindex, __u32 *ret_program);
/* Have the pinned link, alive and on this device, run the program.  -ENOENT
 * when there is no such link; a stale pin is taken away first. */
int link_update(const struct pinned_link *l, int ifindex, int program_fd);
int link_create(const struct pinned_link *l, int ifindex, int program_fd);
/* At once, pin and all; 0 when it was not there. */
int link_remove(const struct pinned_link *l);
/* The program of the datapath that belongs on a hook. */
int link_program(const struct datapath *d, enum link_hook hook);
/* All pinned links to the programs of d, without a gap. */
int links_update(struct datapath *d, char *why);
/* Are our programs on this device, by pins of this name? */
bool links_attached(const char *pin_path, const char *ifname, int ifindex);
/* All links of a pin path, or those of one interface (NULL: all). */
int links_remove(const char *pin_path, const char *ifname);

/* clsact.c: TC where the kernel has no TCX.  The pin IFNAME-clsact says that
 * the filters there are ours. */
int clsact_attach(const struct datapath *d, const char *ifname, int ifindex, char *why);
int clsact_remove(const struct pinned_link *l);
void clsact_programs(const char *ifname, __u32 *ret_in, __u32 *ret_out);

/* device.c: what rtnetlink says. */
/* 1: made by software (veth, bridge, loopback, …), 0: hardware, or -errno. */
int device_is_virtual(int ifindex);
/* Number of TC filters below a clsact qdisc, both directions. */
int device_filters(int ifindex);
/* Name of a program by its id, "" when it is gone. */
void program_name(__u32 id, char ret[BPF_OBJ_NAME_LEN]);

#endif
