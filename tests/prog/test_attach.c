/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Programs on interfaces: each mode, the change between them, the next agent,
 * devices that go, kernels without TCX.
 * That kernel is made by standing in for bpf_link_create.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <net/if.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>

#include "lab.h"
#include "pins.h"

#define TCX_INGRESS 46

static bool no_tcx;

int bpf_link_create(int program, int target, enum bpf_attach_type type, const struct bpf_link_create_opts *options)
{
	int (*real)(int, int, enum bpf_attach_type, const struct bpf_link_create_opts *) =
		dlsym(RTLD_NEXT, "bpf_link_create");

	if (no_tcx && (unsigned int)type >= TCX_INGRESS)
		return -EINVAL;
	return real(program, target, type, options);
}

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static struct attach_info only_one(const struct pins *p)
{
	struct attach_info info[2];

	memset(info, 0, sizeof(info));
	assert_int_equal(attach_list(p->path, info, 2), 1);
	return info[0];
}

static enum attach_mode attach(struct pins *p, struct datapath *d, const char *ifname, enum attach_mode mode)
{
	enum attach_mode came_to = 99;
	int err;

	p->why[0] = '\0';
	err = attach_interface(d, ifname, mode, ATTACH_REFUSE, &came_to, p->why);
	if (err)
		fail_msg("attach_interface: %s (%d)", p->why, err);
	return came_to;
}

static __u32 xdp_on(const char *ifname)
{
	__u32 id = 0;

	assert_int_equal(bpf_xdp_query_id(if_nametoindex(ifname), 0, &id), 0);
	return id;
}

static __u32 link_id(const struct pins *p, const char *name)
{
	struct bpf_link_info info = { 0 };
	__u32 length = sizeof(info);
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/links/%s", p->path, name);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &length), 0);
	close(fd);
	return info.id;
}

/* TC has links since Linux 6.6; filters of clsact do it before. */
static bool kernel_has_tcx(void)
{
	unsigned major = 0, minor = 0;
	struct utsname u;

	assert_int_equal(uname(&u), 0);
	assert_int_equal(sscanf(u.release, "%u.%u", &major, &minor), 2);
	return !no_tcx && (major > 6 || (major == 6 && minor >= 6));
}

static __u32 tc_link_id(const struct pins *p, const char *name)
{
	return kernel_has_tcx() ? link_id(p, name) : 0;
}

static void test_auto_on_veth_is_tc(void **state)
{
	struct pins *p = *state;
	struct attach_info info;
	struct datapath d;

	pins_open(p, &d);
	assert_int_equal(attach(p, &d, "c0", ATTACH_AUTO), ATTACH_TC);
	info = only_one(p);
	assert_string_equal(info.ifname, "c0");
	assert_int_equal(info.mode, ATTACH_TC);
	assert_int_equal(info.tc_in_id, d.program[1].id);
	assert_int_equal(info.tc_out_id, d.program[2].id);
	assert_int_equal(info.xdp_id, 0);
	assert_int_equal(xdp_on("c0"), 0);
	datapath_close(&d);
	assert_int_equal(only_one(p).tc_in_id, info.tc_in_id);
}

static void test_modes_change_in_place_and_again_is_nothing(void **state)
{
	static const enum attach_mode modes[] = { ATTACH_XDP, ATTACH_XDP, ATTACH_XDP_GENERIC, ATTACH_XDP,
						  ATTACH_TC, ATTACH_XDP_GENERIC, ATTACH_TC };
	struct pins *p = *state;
	struct attach_info info;
	struct datapath d;
	__u32 in, xdp = 0;

	pins_open(p, &d);
	attach(p, &d, "c0", ATTACH_TC);
	in = tc_link_id(p, "c0-tc-in");
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		assert_int_equal(attach(p, &d, "c0", modes[i]), modes[i]);
		info = only_one(p);
		assert_int_equal(info.mode, modes[i]);
		assert_int_equal(info.xdp_id, modes[i] == ATTACH_TC ? 0 : d.program[0].id);
		assert_int_equal(xdp_on("c0"), info.xdp_id);
		assert_int_equal(tc_link_id(p, "c0-tc-in"), in);
		if (i == 0)
			xdp = link_id(p, "c0-xdp");
		if (i == 1)
			assert_int_equal(link_id(p, "c0-xdp"), xdp);
	}
	datapath_close(&d);
}

static void test_next_agent_changes_programs_and_keeps_links(void **state)
{
	struct pins *p = *state;
	__u32 xdp, in, out, old;
	struct attach_info info;
	struct datapath d;

	pins_open(p, &d);
	attach(p, &d, "c0", ATTACH_XDP);
	old = d.program[0].id;
	xdp = link_id(p, "c0-xdp");
	in = tc_link_id(p, "c0-tc-in");
	out = tc_link_id(p, "c0-tc-out");
	datapath_close(&d);
	pins_open(p, &d);
	info = only_one(p);
	assert_int_not_equal(d.program[0].id, old);
	assert_int_equal(info.xdp_id, d.program[0].id);
	assert_int_equal(info.tc_in_id, d.program[1].id);
	assert_int_equal(info.tc_out_id, d.program[2].id);
	assert_int_equal(link_id(p, "c0-xdp"), xdp);
	assert_int_equal(tc_link_id(p, "c0-tc-in"), in);
	assert_int_equal(tc_link_id(p, "c0-tc-out"), out);
	assert_true(pins_soon(pins_program_lives, old, false));
	datapath_close(&d);
}

static void test_list_counts_more_than_it_has_room_for(void **state)
{
	struct attach_info info[1];
	struct pins *p = *state;
	struct datapath d;

	pins_open(p, &d);
	assert_int_equal(attach_list(p->path, NULL, 0), 0);
	attach(p, &d, "c0", ATTACH_XDP);
	attach(p, &d, "b0", ATTACH_TC);
	assert_int_equal(attach_list(p->path, info, 1), 2);
	assert_int_equal(attach_list(p->path, NULL, 0), 2);
	assert_int_equal(attach_remove(p->path, "c0"), 0);
	assert_string_equal(only_one(p).ifname, "b0");
	assert_int_equal(xdp_on("c0"), 0);
	assert_int_equal(attach_remove(p->path, "c0"), 0);
	datapath_close(&d);
}

static void test_remove_leaves_nothing(void **state)
{
	struct pins *p = *state;
	__u32 map, programs[4];
	struct datapath d;

	pins_open(p, &d);
	attach(p, &d, "c0", ATTACH_XDP);
	attach(p, &d, "b0", ATTACH_XDP_GENERIC);
	map = pins_map_id(d.maps.flows_fd);
	for (int i = 0; i < 4; i++)
		programs[i] = d.program[i].id;
	datapath_close(&d);
	assert_int_equal(datapath_remove(p->path, p->why), 0);
	assert_int_equal(xdp_on("c0"), 0);
	assert_int_equal(xdp_on("b0"), 0);
	assert_true(pins_soon(pins_map_lives, map, false));
	for (int i = 0; i < 4; i++)
		assert_true(pins_soon(pins_program_lives, programs[i], false));
}

static void test_devices_that_went_are_forgotten(void **state)
{
	const char *pin = kernel_has_tcx() ? "links/gone0-tc-in" : "links/gone0-clsact";
	struct pins *p = *state;
	struct datapath d;

	run("ip link add gone0 type veth peer name gone1");
	pins_open(p, &d);
	attach(p, &d, "gone0", ATTACH_XDP);
	run("ip link del gone0");
	assert_int_equal(attach_list(p->path, NULL, 0), 0);
	assert_true(pins_exists(p, pin));
	assert_int_equal(attach_interface(&d, "gone0", ATTACH_TC, ATTACH_REFUSE, NULL, p->why), -ENODEV);
	run("ip link add gone0 type veth peer name gone1");
	assert_int_equal(attach(p, &d, "gone0", ATTACH_XDP), ATTACH_XDP);
	assert_int_equal(only_one(p).xdp_id, d.program[0].id);
	run("ip link del gone0");
	datapath_close(&d);
	pins_open(p, &d);
	assert_false(pins_exists(p, "links/gone0-xdp"));
	assert_false(pins_exists(p, pin));
	assert_int_equal(attach_remove(p->path, "gone0"), 0);
	datapath_close(&d);
}

static void test_names_that_bpffs_refuses_are_written_otherwise(void **state)
{
	static const char *const names[] = { "v.0", "a.b.c", "a-tc-in", "x-xdp.7" };
	struct pins *p = *state;
	struct datapath d;
	char command[96];

	pins_open(p, &d);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(command, sizeof(command), "ip link add '%s' type veth peer name dots", names[i]);
		run(command);
		attach(p, &d, names[i], ATTACH_TC);
		assert_string_equal(only_one(p).ifname, names[i]);
		assert_int_equal(only_one(p).tc_in_id, d.program[1].id);
		assert_int_equal(attach_remove(p->path, names[i]), 0);
		assert_int_equal(attach_list(p->path, NULL, 0), 0);
		run("ip link del dots");
	}
	assert_int_equal(attach_interface(&d, "../escape", ATTACH_TC, ATTACH_REFUSE, NULL, p->why), -ENODEV);
	datapath_close(&d);
}

static void test_xdp_that_cannot_be_had_says_so_and_leaves_nothing(void **state)
{
	struct pins *p = *state;
	struct datapath d;

	run("ip link add br9 type bridge");
	pins_open(p, &d);
	assert_true(attach_interface(&d, "br9", ATTACH_XDP, ATTACH_REFUSE, NULL, p->why) < 0);
	assert_non_null(strstr(p->why, "br9"));
	assert_int_equal(attach_list(p->path, NULL, 0), 0);
	assert_false(pins_exists(p, "links/br9-tc-in"));
	assert_int_equal(attach(p, &d, "br9", ATTACH_AUTO), ATTACH_TC);
	assert_int_equal(attach(p, &d, "br9", ATTACH_XDP_GENERIC), ATTACH_XDP_GENERIC);
	/* what cannot be changed to goes on as it was, by TC at least */
	assert_true(attach_interface(&d, "br9", ATTACH_XDP, ATTACH_REFUSE, NULL, p->why) < 0);
	assert_int_equal(only_one(p).tc_in_id, d.program[1].id);
	datapath_close(&d);
	run("ip link del br9");
}

/* Frames for nobody from c1, and how many c0's programs saw. */
struct stream {
	int socket, ifindex;
	volatile bool stop;
	__u64 sent;
};

static void *send_stream(void *arg)
{
	const struct timespec gap = { .tv_nsec = 200000 };
	struct stream *s = arg;
	__u8 frame[ETH_ZLEN] = { 2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 1, 1, 0x88, 0xb5 };
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = s->ifindex, .sll_halen = ETH_ALEN };

	memcpy(to.sll_addr, frame, ETH_ALEN);
	while (!s->stop) {
		s->sent += sendto(s->socket, frame, sizeof(frame), 0, (void *)&to, sizeof(to)) == sizeof(frame);
		nanosleep(&gap, NULL);
	}
	return NULL;
}

static void test_no_packet_passes_unseen_while_agents_and_modes_change(void **state)
{
	struct stream s = { .socket = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), .ifindex = if_nametoindex("c1") };
	const struct timespec settle = { .tv_nsec = 50000000 };
	struct pins *p = *state;
	struct datapath d;
	__u64 tc, xdp;
	pthread_t sender;

	assert_true(s.socket >= 0);
	pins_open(p, &d);
	attach(p, &d, "c0", ATTACH_TC);
	assert_int_equal(pthread_create(&sender, NULL, send_stream, &s), 0);
	for (int i = 0; i < 6; i++) {
		datapath_close(&d);
		pins_open(p, &d);
		attach(p, &d, "c0", i % 2 ? ATTACH_TC : ATTACH_XDP);
		attach(p, &d, "c0", ATTACH_XDP_GENERIC);
		nanosleep(&settle, NULL);
	}
	s.stop = true;
	assert_int_equal(pthread_join(sender, NULL), 0);
	nanosleep(&settle, NULL);
	tc = pins_reason(&d.maps, PERCH_HOOK_TC_IN);
	xdp = pins_reason(&d.maps, PERCH_HOOK_XDP);
	print_message("%llu frames sent, TC saw %llu, XDP %llu\n", (unsigned long long)s.sent, (unsigned long long)tc,
		      (unsigned long long)xdp);
	assert_true(s.sent > 500);
	/* TC sees what XDP passed, and other chatter of the device beside */
	assert_true(tc >= s.sent);
	assert_true(xdp > s.sent / 2);
	close(s.socket);
	datapath_close(&d);
}

static int no_tcx_setup(void **state)
{
	no_tcx = true;
	return pins_setup(state);
}

static int no_tcx_teardown(void **state)
{
	int err = pins_teardown(state);

	no_tcx = false;
	return err;
}

static bool has_clsact(void)
{
	return !system("tc qdisc show dev c0 | grep -q clsact");
}

static void test_clsact_serves_where_tcx_is_missing(void **state)
{
	struct pins *p = *state;
	struct attach_info info;
	struct datapath d;
	__u32 old;

	pins_open(p, &d);
	assert_int_equal(attach(p, &d, "c0", ATTACH_AUTO), ATTACH_TC);
	assert_true(has_clsact());
	assert_false(pins_exists(p, "links/c0-tc-in"));
	info = only_one(p);
	assert_int_equal(info.tc_in_id, d.program[1].id);
	assert_int_equal(info.tc_out_id, d.program[2].id);
	old = info.tc_in_id;
	assert_int_equal(attach(p, &d, "c0", ATTACH_XDP), ATTACH_XDP);
	assert_int_equal(only_one(p).mode, ATTACH_XDP);
	datapath_close(&d);
	pins_open(p, &d);
	info = only_one(p);
	assert_int_not_equal(info.tc_in_id, old);
	assert_int_equal(info.tc_in_id, d.program[1].id);
	assert_int_equal(info.tc_out_id, d.program[2].id);
	assert_int_equal(info.xdp_id, d.program[0].id);
	assert_true(attach_remove(p->path, "c0") == 0);
	assert_false(has_clsact());
	assert_int_equal(attach_list(p->path, NULL, 0), 0);
	attach(p, &d, "c0", ATTACH_TC);
	datapath_close(&d);
	assert_int_equal(datapath_remove(p->path, p->why), 0);
	assert_false(has_clsact());
	assert_true(pins_soon(pins_program_lives, info.tc_in_id, false));
}

/* What a next hop is told of the device, now and after a restart. */
static bool known_attached(struct datapath *d, const char *ifname)
{
	__u32 ifindex = if_nametoindex(ifname), index;
	struct routes *r;
	char why[WHY];

	assert_int_equal(routes_open(&r, &d->maps, why), 0);
	assert_int_equal(bpf_map_lookup_elem(d->maps.device_ids_fd, &ifindex, &index), 0);
	routes_close(r);
	return d->maps.devices[index].attached;
}

static void test_clsact_is_known_as_attached(void **state)
{
	struct pins *p = *state;
	struct datapath d;

	pins_open(p, &d);
	assert_false(known_attached(&d, "c0"));
	attach(p, &d, "c0", ATTACH_TC);
	assert_true(known_attached(&d, "c0"));
	run("tc filter del dev c0 ingress");
	assert_false(known_attached(&d, "c0"));
	datapath_close(&d);
}

static void test_clsact_leaves_foreign_filters_alone(void **state)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex("c0"), .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, theirs, .handle = 1, .priority = 1, .prog_fd = pins_stranger(BPF_PROG_TYPE_SCHED_CLS));
	LIBBPF_OPTS(bpf_tc_opts, beside, .handle = 1, .priority = 50, .prog_fd = theirs.prog_fd);
	LIBBPF_OPTS(bpf_tc_opts, query, .handle = 1, .priority = 1);
	struct pins *p = *state;
	struct datapath d;

	pins_open(p, &d);
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &theirs), 0);
	assert_int_equal(attach_interface(&d, "c0", ATTACH_TC, ATTACH_REFUSE, NULL, p->why), -EBUSY);
	assert_non_null(strstr(p->why, "in the way"));
	assert_int_equal(attach_list(p->path, NULL, 0), 0);
	assert_int_equal(bpf_tc_query(&hook, &query), 0);
	assert_int_equal(query.prog_id, theirs.prog_id);
	theirs.prog_fd = theirs.prog_id = theirs.flags = 0;
	assert_int_equal(bpf_tc_detach(&hook, &theirs), 0);
	/* beside ours it stays, and so does the qdisc that holds it */
	assert_int_equal(bpf_tc_attach(&hook, &beside), 0);
	attach(p, &d, "c0", ATTACH_TC);
	assert_int_equal(attach_remove(p->path, "c0"), 0);
	assert_true(has_clsact());
	query.priority = 50;
	query.prog_id = 0;
	assert_int_equal(bpf_tc_query(&hook, &query), 0);
	assert_int_equal(query.prog_id, beside.prog_id);
	close(beside.prog_fd);
	datapath_close(&d);
	run("tc qdisc del dev c0 clsact");
}

#define no_tcx_test(f) cmocka_unit_test_setup_teardown(f, no_tcx_setup, no_tcx_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		pins_test(test_auto_on_veth_is_tc),
		pins_test(test_modes_change_in_place_and_again_is_nothing),
		pins_test(test_next_agent_changes_programs_and_keeps_links),
		pins_test(test_list_counts_more_than_it_has_room_for),
		pins_test(test_remove_leaves_nothing),
		pins_test(test_devices_that_went_are_forgotten),
		pins_test(test_names_that_bpffs_refuses_are_written_otherwise),
		pins_test(test_xdp_that_cannot_be_had_says_so_and_leaves_nothing),
		pins_test(test_no_packet_passes_unseen_while_agents_and_modes_change),
		no_tcx_test(test_clsact_serves_where_tcx_is_missing),
		no_tcx_test(test_devices_that_went_are_forgotten),
		no_tcx_test(test_clsact_is_known_as_attached),
		no_tcx_test(test_clsact_leaves_foreign_filters_alone),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
