/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The datapath's life: mounted, loaded, taken over, refused, removed; the maps
 * beside it. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>

#include "../../user/core/split.h"
#include "../../user/datapath/clock.h"
#include "../../user/datapath/registry.h"
#include "../../user/datapath/samples.h"
#include "lab.h"
#include "perch.skel.h"
#include "pins.h"

static void nap_ms(unsigned ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}

static bool on_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned int)fs.f_type == BPF_FS_MAGIC;
}

static void test_open_mounts_bpffs_and_remove_unmounts_it(void **state)
{
	struct pins *p = *state;
	struct datapath d;

	pins_open(p, &d);
	assert_true(on_bpffs(p->path));
	assert_false(on_bpffs(p->directory));
	assert_true(pins_exists(p, "maps/flows"));
	assert_true(pins_exists(p, "programs/perch_tc_out"));
	datapath_close(&d);
	assert_true(on_bpffs(p->path));
	assert_int_equal(datapath_remove(p->path, p->why), 0);
	assert_false(on_bpffs(p->path));
}

static void test_open_uses_bpffs_that_is_there(void **state)
{
	struct pins *p = *state;
	struct datapath d;
	struct statfs before, after;

	assert_int_equal(mount("bpf", p->directory, "bpf", 0, NULL), 0);
	assert_int_equal(statfs(p->directory, &before), 0);
	pins_open(p, &d);
	assert_int_equal(statfs(p->path, &after), 0);
	assert_memory_equal(&before.f_fsid, &after.f_fsid, sizeof(before.f_fsid));
	datapath_close(&d);
	assert_int_equal(datapath_remove(p->path, p->why), 0);
	assert_true(on_bpffs(p->directory));
	assert_int_equal(umount2(p->directory, MNT_DETACH), 0);
}

static void test_control_holds_sizes_and_ticks(void **state)
{
	struct pins *p = *state;
	struct perch_constants *k;
	struct perch_control *c;
	struct datapath d;
	double tick;

	pins_open(p, &d);
	c = d.maps.control;
	assert_int_equal(c->abi_version, PERCH_ABI_VERSION);
	assert_int_equal(c->flow_sets, 1024 / PERCH_WAYS);
	assert_int_equal(pins_map_entries(d.maps.flows_fd), c->flow_sets);
	assert_int_equal(pins_map_entries(d.maps.version_names_fd), 16 * PERCH_SLOTS);
	assert_int_equal(pins_map_entries(d.maps.counters_fd), 64);
	assert_int_equal(pins_map_entries(d.maps.addresses_fd), 32);
	tick = (double)(1u << c->tick_shift) / c->hz;
	assert_true(tick > 0.016 / 1.45 && tick < 0.016 * 1.45);
	k = &d.skeleton->rodata->constants;
	assert_int_equal(k->set_mask, c->flow_sets - 1);
	assert_memory_equal(k->secret, c->secret, sizeof(c->secret));
	assert_true(k->timeout[PERCH_TCP] * tick >= 7200 && k->timeout[PERCH_TCP] * tick < 7201);
	assert_true(k->timeout[PERCH_EMBRYONIC] * tick >= 6 && k->timeout[PERCH_EMBRYONIC] * tick < 6.1);
	for (int i = 0; i < 4; i++) {
		assert_non_null(d.program[i].name);
		print_message("%s: %u instructions verified\n", d.program[i].name, d.program[i].verified);
		assert_true(d.program[i].verified > 0 && d.program[i].verified < 200000);
	}
	datapath_close(&d);
}

/* jiffies64 as the kernel's programs read it. */
static __u32 jiffies(void)
{
	const struct bpf_insn program[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_jiffies64 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	char frame[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame), .repeat = 1);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "jiffies", "GPL", program, 2, NULL);

	assert_true(fd >= 0);
	assert_int_equal(bpf_prog_test_run_opts(fd, &run), 0);
	close(fd);
	return run.retval;
}

static void test_hz_is_that_of_the_kernel(void **state)
{
	struct pins *p = *state;
	struct datapath d;
	double hz;
	__u64 t;
	__u32 j;

	pins_open(p, &d);
	t = clock_ns();
	j = jiffies();
	nap_ms(400);
	hz = (jiffies() - j) / ((clock_ns() - t) / 1e9);
	assert_true(hz > d.maps.control->hz * 0.95 && hz < d.maps.control->hz * 1.05);
	datapath_close(&d);
}

static void test_second_open_takes_over(void **state)
{
	struct pins *p = *state;
	struct datapath d;
	__u32 maps[2], program, generation;
	__u64 secret[4];

	pins_open(p, &d);
	assert_false(d.taken_over);
	maps[0] = pins_map_id(d.maps.flows_fd);
	maps[1] = pins_map_id(d.maps.timers_fd);
	program = d.program[0].id;
	generation = d.maps.control->generation;
	memcpy(secret, d.maps.control->secret, sizeof(secret));
	registry_name_service(&d.maps, 3, "web");
	datapath_close(&d);

	pins_open(p, &d);
	assert_true(d.taken_over);
	assert_int_equal(pins_map_id(d.maps.flows_fd), maps[0]);
	assert_int_equal(pins_map_id(d.maps.timers_fd), maps[1]);
	assert_int_not_equal(d.program[0].id, program);
	assert_int_equal(d.maps.control->generation, generation + 1);
	assert_int_equal(d.maps.control->timer_generation, generation + 1);
	assert_memory_equal(d.maps.control->secret, secret, sizeof(secret));
	assert_memory_equal(d.skeleton->rodata->constants.secret, secret, sizeof(secret));
	assert_int_equal(registry_find(&d.maps, "web"), 3);
	assert_true(pins_soon(pins_program_lives, program, false));
	datapath_close(&d);
}

static void test_timer_outlives_the_agent(void **state)
{
	struct pins *p = *state;
	struct datapath d;
	struct maps m;
	__u32 tick;

	pins_open(p, &d);
	datapath_close(&d);
	assert_int_equal(maps_open(&m, p->path, p->why), 0);
	tick = m.control->tick;
	nap_ms(200);
	assert_int_not_equal(m.control->tick, tick);
	maps_close(&m);
}

static void test_given_secret_is_used_and_the_pinned_one_wins(void **state)
{
	struct pins *p = *state;
	struct datapath_options o = pins_options(p);
	__u8 first[32], second[32];
	struct datapath d;

	memset(first, 1, sizeof(first));
	memset(second, 2, sizeof(second));
	o.secret = first;
	assert_int_equal(pins_try(p, &d, &o), 0);
	assert_memory_equal(d.maps.control->secret, first, sizeof(first));
	datapath_close(&d);
	o.secret = second;
	assert_int_equal(pins_try(p, &d, &o), 0);
	assert_memory_equal(d.maps.control->secret, first, sizeof(first));
	datapath_close(&d);
}

static void test_sizes_are_checked_and_the_pinned_ones_win(void **state)
{
	static const __u32 wrong[] = { 1, 512, 1000, 65535 };
	struct pins *p = *state;
	struct datapath_options o = pins_options(p);
	struct datapath d;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		o.flow_entries = wrong[i];
		assert_int_equal(pins_try(p, &d, &o), -EINVAL);
		assert_non_null(strstr(p->why, "power of two"));
	}
	assert_false(pins_exists(p, "maps"));
	o.flow_entries = 2048;
	assert_int_equal(pins_try(p, &d, &o), 0);
	datapath_close(&d);
	o.flow_entries = 4096;
	o.services = 32;
	assert_int_equal(pins_try(p, &d, &o), 0);
	assert_int_equal(d.maps.control->flow_sets, 2048 / PERCH_WAYS);
	assert_int_equal(pins_map_entries(d.maps.flows_fd), 2048 / PERCH_WAYS);
	assert_int_equal(pins_map_entries(d.maps.services_fd), 16);
	assert_int_equal(d.skeleton->rodata->constants.set_mask, 2048 / PERCH_WAYS - 1);
	datapath_close(&d);
	o.replace_sizes = true;
	assert_int_equal(pins_try(p, &d, &o), -EEXIST);
	assert_non_null(strstr(p->why, "2048"));
}

static void test_other_abi_is_refused_with_the_remedy(void **state)
{
	struct pins *p = *state;
	struct datapath_options o = pins_options(p);
	struct datapath d;
	char ours[16];
	struct maps m;
	__u32 id;

	pins_open(p, &d);
	id = pins_map_id(d.maps.control_fd);
	d.maps.control->abi_version = 77;
	datapath_close(&d);
	assert_int_equal(pins_try(p, &d, &o), -EPROTO);
	assert_non_null(strstr(p->why, "ABI 77"));
	snprintf(ours, sizeof(ours), "ABI %d", PERCH_ABI_VERSION);
	assert_non_null(strstr(p->why, ours));
	assert_non_null(strstr(p->why, "perchd --detach"));
	assert_int_equal(maps_open(&m, p->path, NULL), -EPROTO);
	assert_true(pins_map_lives(id));
	assert_int_equal(datapath_remove(p->path, p->why), 0);
	assert_true(pins_soon(pins_map_lives, id, false));
}

static void test_missing_pin_is_refused_by_name(void **state)
{
	struct pins *p = *state;
	struct datapath_options o = pins_options(p);
	struct datapath d;
	char path[128];

	pins_open(p, &d);
	datapath_close(&d);
	snprintf(path, sizeof(path), "%s/maps/versions", p->path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pins_try(p, &d, &o), -EPROTO);
	assert_non_null(strstr(p->why, "maps/versions"));
}

static void test_maps_open_says_when_nothing_is_there(void **state)
{
	struct pins *p = *state;
	struct maps m;

	assert_int_equal(maps_open(&m, p->path, p->why), -ENOENT);
	assert_int_equal(maps_open(&m, "/sys/fs/bpf/no/such", p->why), -ENOENT);
	assert_int_equal(datapath_remove(p->path, p->why), -ENOENT);
	assert_int_equal(planner_lock(p->path, 0), -ENOENT);
}

static void test_rollback_maps_are_the_few_and_fast(void **state)
{
	struct pins *p = *state;
	struct datapath_options o = { .pin_path = p->path };	/* real sizes */
	__u64 t, all, few = ~0ull;
	struct datapath d;
	struct maps m;

	assert_int_equal(pins_try(p, &d, &o), 0);
	datapath_close(&d);
	t = clock_ns();
	assert_int_equal(maps_open(&m, p->path, p->why), 0);
	maps_close(&m);
	all = clock_ns() - t;
	for (int i = 0; i < 5; i++) {
		t = clock_ns();
		assert_int_equal(maps_open_rollback(&m, p->path, p->why), 0);
		assert_non_null(m.splits);
		assert_true(m.rejections_fd >= 0);
		assert_null(m.flows);
		assert_int_equal(m.flows_fd, -1);
		maps_close(&m);
		t = clock_ns() - t;
		few = t < few ? t : few;
	}
	print_message("maps of %u flows: all %llu us, those of a rollback %llu us\n", PERCH_FLOWS,
		      (unsigned long long)all / 1000, (unsigned long long)few / 1000);
	assert_true(few < all);
}

static void test_remove_touches_no_files_outside_bpffs(void **state)
{
	struct pins *p = *state;
	char path[96];

	snprintf(path, sizeof(path), "%s/maps", p->directory);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/maps/atlas", p->directory);
	fclose(fopen(path, "w"));
	assert_int_equal(datapath_remove(p->directory, p->why), -ENOENT);
	assert_int_equal(unlink(path), 0);
	*strrchr(path, '/') = '\0';
	assert_int_equal(rmdir(path), 0);
}

static void test_refused_load_names_the_reason_and_leaves_nothing(void **state)
{
	struct pins *p = *state;
	struct datapath_options o = pins_options(p);
	struct datapath d;

	o.pin_path = "no/leading/slash";
	assert_int_equal(pins_try(p, &d, &o), -EINVAL);
	assert_non_null(strstr(p->why, "absolute"));
	o = pins_options(p);
	o.flow_entries = 1u << 31;	/* 144 GB */
	assert_true(pins_try(p, &d, &o) < 0);
	assert_true(strlen(p->why) > 20);
	print_message("%s\n", p->why);
	assert_false(pins_exists(p, "maps/control"));
	assert_false(pins_exists(p, "maps/backends"));
}

static __u64 hosts;
static void on_host(void *arg, const struct perch_sample_host *s)
{
	assert_ptr_equal(arg, &hosts);
	assert_int_equal(s->head.kind, PERCH_SAMPLE_HOST);
	hosts++;
}

static void test_samples_arrive_through_the_rings(void **state)
{
	const struct sample_handlers handlers = { .host = on_host };
	struct pins *p = *state;
	struct samples *s;
	struct datapath d;

	pins_open(p, &d);
	assert_int_equal(samples_open(&s, &d.maps, &handlers, &hosts), 0);
	assert_true(samples_fd(s) >= 0);
	for (int i = 0; i < 40 && !hosts; i++) {
		nap_ms(100);
		assert_true(samples_read(s) >= 0);
	}
	assert_true(hosts > 0);
	samples_close(s);
	datapath_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pins_test(test_open_mounts_bpffs_and_remove_unmounts_it),
		pins_test(test_open_uses_bpffs_that_is_there),
		pins_test(test_control_holds_sizes_and_ticks),
		pins_test(test_hz_is_that_of_the_kernel),
		pins_test(test_second_open_takes_over),
		pins_test(test_timer_outlives_the_agent),
		pins_test(test_given_secret_is_used_and_the_pinned_one_wins),
		pins_test(test_sizes_are_checked_and_the_pinned_ones_win),
		pins_test(test_other_abi_is_refused_with_the_remedy),
		pins_test(test_missing_pin_is_refused_by_name),
		pins_test(test_maps_open_says_when_nothing_is_there),
		pins_test(test_rollback_maps_are_the_few_and_fast),
		pins_test(test_remove_touches_no_files_outside_bpffs),
		pins_test(test_refused_load_names_the_reason_and_leaves_nothing),
		pins_test(test_samples_arrive_through_the_rings),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
