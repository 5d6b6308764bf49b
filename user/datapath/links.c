/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Pinned attachments, links/IFNAME-HOOK: the pin holds the link and the link
 * holds the program on the device, so what is attached outlives who attached
 * it and is found again by name.  bpffs takes no dots in names; dots of an
 * interface are written %2e, as in addresses of the web, and % as %25.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_link.h>

#include "internal.h"

/* Linux 6.6; the headers of older distributions do not know them. */
#define TCX_INGRESS 46
#define TCX_EGRESS 47
#define TCX_BEFORE (1u << 3)	/* BPF_F_BEFORE, relative to nobody: the first */

static const struct {
	const char *suffix;
	unsigned int attach_type;
	__u32 flags;
} hooks[LINK_HOOKS] = {
	[LINK_XDP] = { "-xdp", BPF_XDP, XDP_FLAGS_DRV_MODE },
	[LINK_XDP_GENERIC] = { "-xdp-generic", BPF_XDP, XDP_FLAGS_SKB_MODE },
	/* what is not ours goes on to the programs of others; theirs may end the
	 * chain */
	[LINK_TC_IN] = { "-tc-in", TCX_INGRESS, TCX_BEFORE },
	[LINK_TC_OUT] = { "-tc-out", TCX_EGRESS, TCX_BEFORE },
	[LINK_CLSACT] = { "-clsact", 0, 0 },
};

int link_name(struct pinned_link *ret, const char *pin_path, const char *ifname, enum link_hook hook)
{
	char name[3 * IF_NAMESIZE + 16];
	size_t n = 0;

	if (strlen(ifname) >= IF_NAMESIZE || !ifname[0] || strchr(ifname, '/'))
		return -EINVAL;
	snprintf(ret->ifname, sizeof(ret->ifname), "%s", ifname);
	ret->hook = hook;
	for (const char *c = ifname; *c; c++)
		n += snprintf(name + n, sizeof(name) - n, *c == '.' || *c == '%' ? "%%%02x" : "%c", *c);
	snprintf(name + n, sizeof(name) - n, "%s", hooks[hook].suffix);
	return bpffs_path(ret->path, pin_path, "links", name);
}

/* The interface and hook of a pin's file name; false when it is not ours. */
static bool link_parse(const char *file, char ret_ifname[IF_NAMESIZE], enum link_hook *ret_hook)
{
	size_t length = strlen(file), n = 0;
	unsigned int c;

	for (int h = 0; h < LINK_HOOKS; h++) {
		size_t suffix = strlen(hooks[h].suffix);

		if (length <= suffix || strcmp(file + length - suffix, hooks[h].suffix))
			continue;
		*ret_hook = h;
		for (const char *p = file; p < file + length - suffix && n < IF_NAMESIZE - 1; p++) {
			c = (unsigned char)*p;
			if (c == '%' && sscanf(p + 1, "%2x", &c) == 1)
				p += 2;
			ret_ifname[n++] = c;
		}
		ret_ifname[n] = '\0';
		return true;
	}
	return false;
}

int links_walk(const char *pin_path, int (*fn)(void *arg, const struct pinned_link *l), void *arg)
{
	char path[PATH_MAX], ifname[IF_NAMESIZE];
	struct pinned_link l;
	enum link_hook hook;
	struct dirent *e;
	int err;
	DIR *dir;

	err = bpffs_path(path, pin_path, "links", "");
	if (err)
		return err;
	dir = opendir(path);
	if (!dir)
		return -errno;
	while (!err && (e = readdir(dir))) {
		if (link_parse(e->d_name, ifname, &hook))
			err = link_name(&l, pin_path, ifname, hook) ?: fn(arg, &l);
	}
	closedir(dir);
	return err;
}

static int fd_info(int fd, __u32 *ret_ifindex, __u32 *ret_program)
{
	struct bpf_link_info info = { 0 };
	__u32 length = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &length);

	if (err)
		return err;
	/* the union begins with ifindex for TCX links as for those of XDP */
	*ret_ifindex = info.xdp.ifindex;
	*ret_program = info.prog_id;
	return 0;
}

int link_info(const struct pinned_link *l, __u32 *ret_ifindex, __u32 *ret_program)
{
	int fd = bpf_obj_get(l->path), err;

	if (fd < 0)
		return fd;
	err = fd_info(fd, ret_ifindex, ret_program);
	close(fd);
	return err;
}

bool links_attached(const char *pin_path, const char *ifname, int ifindex)
{
	__u32 at = 0, in = 0, out = 0;
	struct pinned_link l;

	if (!link_name(&l, pin_path, ifname, LINK_TC_IN) && !link_info(&l, &at, &in) && (int)at == ifindex)
		return true;
	if (link_name(&l, pin_path, ifname, LINK_CLSACT) || access(l.path, F_OK))
		return false;
	clsact_programs(ifname, &in, &out);
	return in && out;
}

int link_update(const struct pinned_link *l, int ifindex, int program_fd)
{
	__u32 at = 0, program;
	int fd, err;

	fd = bpf_obj_get(l->path);
	if (fd < 0)
		return fd;
	err = fd_info(fd, &at, &program);
	if (!err && at && (int)at == ifindex)
		err = bpf_link_update(fd, program_fd, NULL);
	else if (!err)
		err = link_remove(l) ?: -ENOENT;
	close(fd);
	return err;
}

int link_create(const struct pinned_link *l, int ifindex, int program_fd)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = hooks[l->hook].flags);
	int fd, err;

	fd = bpf_link_create(program_fd, ifindex, hooks[l->hook].attach_type, &options);
	if (fd < 0)
		return fd;
	err = bpf_obj_pin(fd, l->path);
	close(fd);
	return err;
}

int link_remove(const struct pinned_link *l)
{
	int fd;

	if (l->hook == LINK_CLSACT)
		return clsact_remove(l);
	fd = bpf_obj_get(l->path);
	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	/* the last reference may be dropped later; a detach is now */
	bpf_link_detach(fd);
	close(fd);
	return unlink(l->path) && errno != ENOENT ? -errno : 0;
}

int link_program(const struct datapath *d, enum link_hook hook)
{
	static const char *const names[] = {
		[LINK_XDP] = "perch_xdp", [LINK_XDP_GENERIC] = "perch_xdp",
		[LINK_TC_IN] = "perch_tc_in", [LINK_TC_OUT] = "perch_tc_out",
	};

	for (size_t i = 0; hook < LINK_CLSACT && i < sizeof(d->program) / sizeof(d->program[0]); i++)
		if (d->program[i].name && !strcmp(d->program[i].name, names[hook]))
			return d->program[i].fd;
	return -EINVAL;
}

struct update {
	struct datapath *d;
	char *why;
};

static int update_one(void *arg, const struct pinned_link *l)
{
	struct update *u = arg;
	__u32 ifindex = 0, program;
	int err;

	if (l->hook == LINK_CLSACT) {
		ifindex = if_nametoindex(l->ifname);
		return ifindex ? clsact_attach(u->d, l->ifname, ifindex, u->why) : link_remove(l);
	}
	err = link_info(l, &ifindex, &program);
	if (!err)
		err = link_update(l, ifindex, link_program(u->d, l->hook));
	/* its device has gone */
	if (err == -ENOENT)
		return 0;
	return err ? why_set(u->why, err, "replace program of '%s': %s", l->path, strerror(-err)) : 0;
}

int links_update(struct datapath *d, char *why)
{
	struct update u = { d, why };

	return links_walk(d->maps.pin_path, update_one, &u);
}

struct removal {
	const char *ifname;	/* NULL: any */
	enum link_hook hook;
};

static int remove_one(void *arg, const struct pinned_link *l)
{
	struct removal *r = arg;

	if (l->hook != r->hook || (r->ifname && strcmp(l->ifname, r->ifname)))
		return 0;
	return link_remove(l);
}

/* XDP first, so that TC carries on with what XDP no longer sees. */
int links_remove(const char *pin_path, const char *ifname)
{
	struct removal r = { .ifname = ifname };
	int err = 0;

	for (r.hook = 0; !err && r.hook < LINK_HOOKS; r.hook++)
		err = links_walk(pin_path, remove_one, &r);
	return err == -ENOENT ? 0 : err;
}
