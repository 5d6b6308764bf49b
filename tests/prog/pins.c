/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The fixture of tests of loading and attaching. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "pins.h"

int pins_setup(void **state)
{
	struct pins *p = calloc(1, sizeof(*p));

	*state = p;
	strcpy(p->directory, "/tmp/perch-pins-XXXXXX");
	if (!mkdtemp(p->directory))
		return -1;
	snprintf(p->path, sizeof(p->path), "%s/bpf/perch", p->directory);
	return 0;
}

static bool empty(const char *directory)
{
	DIR *d = opendir(directory);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return !n;
}

int pins_teardown(void **state)
{
	struct pins *p = *state;
	int err = datapath_remove(p->path, p->why), left;

	if (err && err != -ENOENT)
		fprintf(stderr, "remove: %s\n", p->why);
	left = !empty(p->path);
	if (left)
		fprintf(stderr, "%s: not empty\n", p->path);
	/* what a failed test holds open must not keep the directory */
	umount2(p->path, MNT_DETACH);
	rmdir(p->path);
	snprintf(p->path, sizeof(p->path), "%s/bpf", p->directory);
	rmdir(p->path);
	left |= rmdir(p->directory);
	free(p);
	return (err && err != -ENOENT) || left;
}

struct datapath_options pins_options(const struct pins *p)
{
	return (struct datapath_options){
		.pin_path = p->path, .flow_entries = 1024,
		.services = 16, .backends = 64, .listeners = 32, .slice_words = 128,
	};
}

int pins_try(struct pins *p, struct datapath *d, const struct datapath_options *o)
{
	p->why[0] = '\0';
	return datapath_open(d, o, p->why);
}

void pins_open(struct pins *p, struct datapath *d)
{
	struct datapath_options o = pins_options(p);
	int err = pins_try(p, d, &o);

	if (err)
		fail_msg("datapath_open: %s (%d)", p->why, err);
}

static struct bpf_map_info map_info(int fd)
{
	struct bpf_map_info info = { 0 };
	__u32 length = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &length), 0);
	return info;
}

__u32 pins_map_id(int fd)
{
	return map_info(fd).id;
}

__u32 pins_map_entries(int fd)
{
	return map_info(fd).max_entries;
}

static bool lives(int fd)
{
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

bool pins_map_lives(__u32 id)
{
	return lives(bpf_map_get_fd_by_id(id));
}

bool pins_program_lives(__u32 id)
{
	return lives(bpf_prog_get_fd_by_id(id));
}

bool pins_soon(bool (*alive)(__u32 id), __u32 id, bool wanted)
{
	const struct timespec nap = { .tv_nsec = 20000000 };

	for (int i = 0; i < 100; i++) {
		if (alive(id) == wanted)
			return true;
		nanosleep(&nap, NULL);
	}
	return false;
}

int pins_stranger(enum bpf_prog_type type)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = type == BPF_PROG_TYPE_XDP ? XDP_PASS : 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(type, "stranger", "GPL", program, 2, NULL);

	assert_true(fd >= 0);
	return fd;
}

bool pins_exists(const struct pins *p, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", p->path, name);
	return !access(path, F_OK);
}

__u64 pins_reason(const struct maps *m, enum perch_hook hook)
{
	int cpus = libbpf_num_possible_cpus();
	struct perch_reason_counts *counts = calloc(cpus, sizeof(*counts));
	__u32 zero = 0;
	__u64 n = 0;

	assert_int_equal(bpf_map_lookup_elem(m->reasons_fd, &zero, counts), 0);
	for (int cpu = 0; cpu < cpus; cpu++)
		for (int reason = 0; reason < PERCH_REASON_COUNT; reason++)
			n += counts[cpu].n[hook][reason];
	free(counts);
	return n;
}
