/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Programs of others on an interface: another XDP program that stays, stays
 * while we go beside it, or gives way; other TC programs that run beside ours.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <sys/socket.h>

#include "lab.h"
#include "pins.h"

#define TCX_INGRESS 46

static __u32 xdp_on(const char *ifname)
{
	__u32 id = 0;

	assert_int_equal(bpf_xdp_query_id(if_nametoindex(ifname), 0, &id), 0);
	return id;
}

static int try(struct pins *p, struct datapath *d, enum attach_mode mode, enum attach_foreign foreign,
	       enum attach_mode *ret_mode)
{
	p->why[0] = '\0';
	return attach_interface(d, "c0", mode, foreign, ret_mode, p->why);
}

static void assert_says(const struct pins *p, const char *what)
{
	if (!strstr(p->why, what))
		fail_msg("'%s' is not in: %s", what, p->why);
}

static void test_foreign_xdp_is_refused_by_name(void **state)
{
	int fd = pins_stranger(BPF_PROG_TYPE_XDP), ifindex = if_nametoindex("c0");
	enum attach_mode came_to;
	struct pins *p = *state;
	struct datapath d;
	__u32 theirs;

	pins_open(p, &d);
	assert_int_equal(bpf_xdp_attach(ifindex, fd, XDP_FLAGS_SKB_MODE, NULL), 0);
	theirs = xdp_on("c0");
	for (int mode = ATTACH_XDP; mode <= ATTACH_XDP_GENERIC; mode++) {
		assert_int_equal(try(p, &d, mode, ATTACH_REFUSE, NULL), -EBUSY);
		assert_says(p, "stranger");
		assert_says(p, "c0");
		assert_says(p, "foreign: tc");
		assert_says(p, "foreign: replace");
		assert_int_equal(attach_list(p->path, NULL, 0), 0);
	}
	assert_int_equal(xdp_on("c0"), theirs);
	/* where XDP is not asked for nobody is in the way */
	assert_int_equal(try(p, &d, ATTACH_AUTO, ATTACH_REFUSE, &came_to), 0);
	assert_int_equal(came_to, ATTACH_TC);
	assert_string_equal(p->why, "");
	assert_int_equal(xdp_on("c0"), theirs);
	assert_int_equal(bpf_xdp_detach(ifindex, XDP_FLAGS_SKB_MODE, NULL), 0);
	assert_int_equal(try(p, &d, ATTACH_XDP, ATTACH_REFUSE, &came_to), 0);
	assert_int_equal(came_to, ATTACH_XDP);
	close(fd);
	datapath_close(&d);
}

static void test_foreign_xdp_stays_and_we_go_beside_it(void **state)
{
	int fd = pins_stranger(BPF_PROG_TYPE_XDP), ifindex = if_nametoindex("c0");
	enum attach_mode came_to = ATTACH_AUTO;
	struct attach_info info = { 0 };
	struct pins *p = *state;
	struct datapath d;
	__u32 theirs;

	pins_open(p, &d);
	assert_int_equal(bpf_xdp_attach(ifindex, fd, XDP_FLAGS_DRV_MODE, NULL), 0);
	theirs = xdp_on("c0");
	assert_int_equal(try(p, &d, ATTACH_XDP, ATTACH_BESIDE, &came_to), 0);
	assert_int_equal(came_to, ATTACH_TC);
	assert_says(p, "stranger");
	assert_says(p, "stays");
	assert_int_equal(attach_list(p->path, &info, 1), 1);
	assert_int_equal(info.tc_in_id, d.program[1].id);
	assert_int_equal(xdp_on("c0"), theirs);
	assert_int_equal(attach_remove(p->path, "c0"), 0);
	assert_int_equal(xdp_on("c0"), theirs);
	assert_int_equal(bpf_xdp_detach(ifindex, XDP_FLAGS_DRV_MODE, NULL), 0);
	close(fd);
	datapath_close(&d);
}

static void test_foreign_xdp_gives_way_in_either_mode(void **state)
{
	static const __u32 flags[] = { XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE };
	static const enum attach_mode modes[] = { ATTACH_XDP, ATTACH_XDP_GENERIC };
	int fd = pins_stranger(BPF_PROG_TYPE_XDP), ifindex = if_nametoindex("c0");
	enum attach_mode came_to;
	struct pins *p = *state;
	struct datapath d;

	pins_open(p, &d);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(bpf_xdp_attach(ifindex, fd, flags[i & 1], NULL), 0);
		assert_int_equal(try(p, &d, modes[i >> 1], ATTACH_REPLACE, &came_to), 0);
		assert_int_equal(came_to, modes[i >> 1]);
		assert_says(p, "took the place of XDP program 'stranger'");
		assert_int_equal(xdp_on("c0"), d.program[0].id);
		/* again is nothing, and there is nobody to tell of */
		assert_int_equal(try(p, &d, modes[i >> 1], ATTACH_REPLACE, &came_to), 0);
		assert_string_equal(p->why, "");
		assert_int_equal(attach_remove(p->path, "c0"), 0);
		assert_int_equal(xdp_on("c0"), 0);
	}
	close(fd);
	datapath_close(&d);
}

static void test_foreign_xdp_comes_back_when_ours_cannot_be_had(void **state)
{
	int fd = pins_stranger(BPF_PROG_TYPE_XDP), ifindex;
	struct pins *p = *state;
	struct datapath d;
	__u32 theirs;

	/* a bridge has generic XDP only */
	assert_int_equal(system("ip link add br9 type bridge && ip link set br9 up"), 0);
	ifindex = if_nametoindex("br9");
	pins_open(p, &d);
	assert_int_equal(bpf_xdp_attach(ifindex, fd, XDP_FLAGS_SKB_MODE, NULL), 0);
	theirs = xdp_on("br9");
	assert_true(attach_interface(&d, "br9", ATTACH_XDP, ATTACH_REPLACE, NULL, p->why) < 0);
	assert_says(p, "br9");
	assert_int_equal(xdp_on("br9"), theirs);
	assert_int_equal(attach_list(p->path, NULL, 0), 0);
	datapath_close(&d);
	close(fd);
	assert_int_equal(system("ip link del br9"), 0);
}

static void test_foreign_xdp_by_link_is_never_displaced(void **state)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
	int fd = pins_stranger(BPF_PROG_TYPE_XDP), ifindex = if_nametoindex("c0"), link;
	struct bpf_link_info info = { 0 };
	__u32 length = sizeof(info);
	enum attach_mode came_to;
	struct pins *p = *state;
	struct datapath d;
	char named[64];

	pins_open(p, &d);
	link = bpf_link_create(fd, ifindex, BPF_XDP, &options);
	assert_true(link >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(link, &info, &length), 0);
	snprintf(named, sizeof(named), "BPF link %u", info.id);
	assert_int_equal(try(p, &d, ATTACH_XDP, ATTACH_REPLACE, NULL), -EBUSY);
	assert_says(p, named);
	assert_says(p, "foreign: tc");
	assert_int_equal(xdp_on("c0"), info.prog_id);
	assert_int_equal(attach_list(p->path, NULL, 0), 0);
	/* and what is refused does not say that this would help */
	assert_int_equal(try(p, &d, ATTACH_XDP, ATTACH_REFUSE, NULL), -EBUSY);
	assert_null(strstr(p->why, "replace"));
	assert_int_equal(try(p, &d, ATTACH_XDP, ATTACH_BESIDE, &came_to), 0);
	assert_int_equal(came_to, ATTACH_TC);
	assert_int_equal(xdp_on("c0"), info.prog_id);
	close(link);
	close(fd);
	datapath_close(&d);
}

/* Frames of no known kind from c1; how many ours saw on c0. */
static __u64 ours_saw(const struct datapath *d, int frames)
{
	__u8 frame[ETH_ZLEN] = { 2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 1, 1, 0x88, 0xb5 };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("c1"), .sll_halen = ETH_ALEN };
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	__u64 before = pins_reason(&d->maps, PERCH_HOOK_TC_IN);

	assert_true(fd >= 0);
	memcpy(to.sll_addr, frame, ETH_ALEN);
	for (int i = 0; i < frames; i++)
		assert_int_equal(sendto(fd, frame, sizeof(frame), 0, (void *)&to, sizeof(to)), sizeof(frame));
	poll(NULL, 0, 50);
	close(fd);
	return pins_reason(&d->maps, PERCH_HOOK_TC_IN) - before;
}

static __u64 runs(int program)
{
	struct bpf_prog_info info = { 0 };
	__u32 length = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(program, &info, &length), 0);
	return info.run_cnt;
}

/* One by TCX that was there before ours and ends the chain, as many do; then a
 * clsact filter.  Each sees every frame that is not ours, and ours see all. */
static void test_foreign_tc_programs_run_beside_ours(void **state)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex("c0"), .attach_point = BPF_TC_INGRESS);
	int first = pins_stranger(BPF_PROG_TYPE_SCHED_CLS), last = pins_stranger(BPF_PROG_TYPE_SCHED_CLS), link;
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = 1, .priority = 50, .prog_fd = last);
	int stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	struct pins *p = *state;
	struct datapath d;

	assert_true(stats >= 0);
	pins_open(p, &d);
	link = bpf_link_create(first, hook.ifindex, TCX_INGRESS, NULL);
	if (link < 0) {
		print_message("no TCX on this kernel\n");
		datapath_close(&d);
		skip();
	}
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &filter), 0);
	assert_int_equal(try(p, &d, ATTACH_TC, ATTACH_REFUSE, NULL), 0);
	assert_true(ours_saw(&d, 100) >= 100);
	assert_true(runs(first) >= 100);
	assert_int_equal(runs(last), 0);
	close(link);
	assert_true(ours_saw(&d, 100) >= 100);
	assert_true(runs(last) >= 100);
	assert_int_equal(attach_remove(p->path, "c0"), 0);
	assert_int_equal(ours_saw(&d, 100), 0);
	assert_true(runs(last) >= 200);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	assert_int_equal(bpf_tc_hook_destroy(&hook), 0);
	close(first);
	close(last);
	close(stats);
	datapath_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pins_test(test_foreign_xdp_is_refused_by_name),
		pins_test(test_foreign_xdp_stays_and_we_go_beside_it),
		pins_test(test_foreign_xdp_gives_way_in_either_mode),
		pins_test(test_foreign_xdp_comes_back_when_ours_cannot_be_had),
		pins_test(test_foreign_xdp_by_link_is_never_displaced),
		pins_test(test_foreign_tc_programs_run_beside_ours),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
