/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * devices[].attached is what is so: it follows programs that come and go,
 * devices that do, restarts, and people who take programs away.
 */
#include <net/if.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "lab.h"
#include "pins.h"

struct fixture {
	struct pins *pins;
	struct datapath datapath;
	struct routes *routes;
};

static void open_all(struct fixture *f)
{
	char why[WHY];

	pins_open(f->pins, &f->datapath);
	assert_int_equal(routes_open(&f->routes, &f->datapath.maps, why), 0);
}

static void close_all(struct fixture *f)
{
	routes_close(f->routes);
	datapath_close(&f->datapath);
}

static int setup(void **state)
{
	static struct fixture f;

	if (pins_setup(state))
		return -1;
	f.pins = *state;
	open_all(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	void *pins = f->pins;

	close_all(f);
	return pins_teardown(&pins);
}

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

/* As a loop would. */
static void settle(struct fixture *f)
{
	struct pollfd p = { .fd = routes_fd(f->routes), .events = POLLIN };
	int wait = -1;

	do {
		while (poll(&p, 1, wait >= 0 ? wait : 100) > 0)
			assert_int_equal(routes_read(f->routes, &wait), 0);
		assert_int_equal(routes_read(f->routes, &wait), 0);
	} while (wait >= 0);
}

static const struct perch_device *device(const struct fixture *f, const char *ifname)
{
	__u32 ifindex = if_nametoindex(ifname), index = 0;

	if (bpf_map_lookup_elem(f->datapath.maps.device_ids_fd, &ifindex, &index))
		fail_msg("%s is no device", ifname);
	return &f->datapath.maps.devices[index];
}

static bool attached(const struct fixture *f, const char *ifname)
{
	return device(f, ifname)->attached;
}

static __u32 generation(const struct fixture *f)
{
	return f->datapath.maps.control->route_generation;
}

static void attach(struct fixture *f, const char *ifname)
{
	if (attach_interface(&f->datapath, ifname, ATTACH_TC, ATTACH_REFUSE, NULL, f->pins->why))
		fail_msg("%s", f->pins->why);
	routes_attached(f->routes, ifname, true);
}

/* Addresses and routes of a new link come late on a busy machine: until none
 * has come for two seconds. */
static __u32 settle_generation(struct fixture *f)
{
	__u32 seen;

	do {
		seen = generation(f);
		sleep(2);
		settle(f);
	} while (generation(f) != seen);
	return seen;
}

static void test_attached_follows_the_programs_and_moves_the_generation(void **state)
{
	struct fixture *f = *state;
	__u32 before;

	before = settle_generation(f);
	assert_false(attached(f, "c0"));
	attach(f, "c0");
	settle(f);
	assert_true(attached(f, "c0"));
	assert_false(attached(f, "b0"));
	assert_int_equal(generation(f), before + 1);
	/* what was so already moves nothing */
	routes_attached(f->routes, "c0", true);
	settle(f);
	assert_int_equal(generation(f), before + 1);
	routes_attached(f->routes, "c0", false);
	assert_int_equal(attach_remove(f->pins->path, "c0"), 0);
	settle(f);
	assert_false(attached(f, "c0"));
	assert_int_equal(generation(f), before + 2);
}

static void test_attached_outlives_the_agent(void **state)
{
	struct fixture *f = *state;

	attach(f, "c0");
	attach(f, "b0");
	close_all(f);
	open_all(f);
	assert_true(attached(f, "c0"));
	assert_true(attached(f, "b0"));
	/* what somebody took away meanwhile is not taken over */
	close_all(f);
	assert_int_equal(attach_remove(f->pins->path, "b0"), 0);
	open_all(f);
	assert_true(attached(f, "c0"));
	assert_false(attached(f, "b0"));
}

static void test_attached_is_written_anew_when_a_device_is_up_again(void **state)
{
	struct fixture *f = *state;

	run("ip link add q0 type veth peer name q1 && ip link set q0 up");
	settle(f);
	assert_false(attached(f, "q0"));
	attach(f, "q0");
	settle(f);
	run("ip link set q0 down");
	settle(f);
	run("ip link set q0 up mtu 1400");
	settle(f);
	assert_true(attached(f, "q0"));
	/* attached while down: known when it comes up */
	run("ip link set q0 down");
	routes_attached(f->routes, "q0", false);
	assert_int_equal(attach_remove(f->pins->path, "q0"), 0);
	settle(f);
	attach(f, "q0");
	run("ip link set q0 up");
	settle(f);
	assert_true(attached(f, "q0"));
	/* another device of that name is another device */
	run("ip link del q0 && ip link add q0 type veth peer name q1 && ip link set q0 up");
	settle(f);
	assert_false(attached(f, "q0"));
	attach(f, "q0");
	settle(f);
	assert_true(attached(f, "q0"));
	run("ip link del q0");
}

static void test_attached_ends_when_somebody_takes_the_programs(void **state)
{
	struct fixture *f = *state;
	struct attach_info info;
	__u32 before;
	char path[256];
	int link;

	attach(f, "c0");
	settle(f);
	before = generation(f);
	snprintf(path, sizeof(path), "%s/links/c0-tc-in", f->pins->path);
	link = bpf_obj_get(path);
	if (link < 0)
		skip();
	routes_refresh(f->routes);
	settle(f);
	assert_true(attached(f, "c0"));
	assert_int_equal(generation(f), before);
	assert_int_equal(bpf_link_detach(link), 0);
	close(link);
	routes_refresh(f->routes);
	settle(f);
	assert_false(attached(f, "c0"));
	assert_int_equal(generation(f), before + 1);
	assert_int_equal(attach_list(f->pins->path, &info, 1), 1);
}

static void test_last_index_is_never_a_device(void **state)
{
	struct fixture *f = *state;
	unsigned in_use = 0;
	FILE *ip;

	ip = popen("ip -batch -", "w");
	for (unsigned i = 0; i < PERCH_DEVICES; i++) {
		if (i % 2 == 0)
			fprintf(ip, "link add d%u type veth peer name d%u\n", i, i + 1);
		fprintf(ip, "link set d%u up\n", i);
	}
	assert_int_equal(pclose(ip), 0);
	settle(f);
	for (unsigned i = 0; i < PERCH_DEVICES; i++)
		in_use += f->datapath.maps.devices[i].in_use;
	assert_int_equal(f->datapath.maps.devices[PERCH_VIA_STACK].in_use, 0);
	assert_int_equal(in_use, PERCH_DEVICES - 2);
	ip = popen("ip -batch -", "w");
	for (unsigned i = 0; i < PERCH_DEVICES; i += 2)
		fprintf(ip, "link del d%u\n", i);
	assert_int_equal(pclose(ip), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_attached_follows_the_programs_and_moves_the_generation),
		TEST(test_attached_outlives_the_agent),
		TEST(test_attached_is_written_anew_when_a_device_is_up_again),
		TEST(test_attached_ends_when_somebody_takes_the_programs),
		TEST(test_last_index_is_never_a_device),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
