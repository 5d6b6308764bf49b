/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What this host is like, as the kernel says now: where addresses lead,
 * switches and features of interfaces, programs of others on them, and whether
 * a BPF program can be loaded at all.  Read only.
 */
#ifndef PERCH_HOST_H
#define PERCH_HOST_H

#include "datapath.h"

enum host_way { HOST_UNREACHABLE, HOST_LOCAL, HOST_ON_LINK, HOST_GATEWAY };

struct host_route {
	enum host_way way;
	__u32 ifindex;		/* it leaves by */
	struct perch_address source;	/* this host's address towards it */
	bool has_source;
};

/* Where packets for an address go.  0 or -errno of the question. */
int host_route(const struct perch_address *a, struct host_route *ret);
/* Is this host asked to answer for it (`ip neigh add proxy`)?  1, 0, -errno. */
int host_proxies(const struct perch_address *a, __u32 ifindex);

/* The number in a file of /proc/sys, or `missing`. */
int host_sysctl(const char *path, int missing);

/* The ports (host order) that this host's own connections get. */
void host_ephemeral(__u16 *ret_first, __u16 *ret_last);
/* Do they get one of first..last?  What is reserved they do not. */
bool host_ephemeral_has(__u16 first, __u16 last);

/* 1: large receive offload is on, 0: off, or -errno. */
int host_lro(const char *ifname);
/* -errno or the MTU. */
int host_mtu(const char *ifname);

/* 1: made by software (veth, bridge, …), 0: hardware, or -errno. */
int host_is_virtual(const char *ifname);

/* A program on an interface. */
struct host_program {
	const char *hook;	/* "xdp", "xdp-generic", "tc in", "tc out" */
	bool filter;		/* tc: below clsact, not TCX */
	__u32 id;
	char name[16];
};
/* Up to n of those that are no pinned link or filter of ours; how many there
 * are, or -errno. */
int host_strangers(const char *pin_path, const char *ifname, struct host_program *out, size_t n);

bool host_is_bpffs(const char *path);

/* Load (and drop) the smallest program there is: 0 or -errno. */
int host_try_load(void);

#endif
