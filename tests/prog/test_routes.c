/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Next hops against a real kernel: a private network namespace with one end
 * of a veth pair, r0, and a second one with the other end, r1.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../../user/core/address.h"
#include "../../user/datapath/clock.h"
#include "../../user/datapath/routes.h"

#define BACKENDS 16
#define QUIET_MS 150

static struct perch_control control = { .backends_n = BACKENDS };
static struct perch_device devices[PERCH_DEVICES];
static struct perch_backend backends[BACKENDS];
static struct maps maps = { .control = &control, .devices = devices, .backends = backends };
static struct routes *routes;
static pid_t peer;

__attribute__((format(printf, 1, 2))) static void sh(const char *format, ...)
{
	char command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	if (system(command))
		fail_msg("failed: %s", command);
}

#define sh_peer(format, ...) sh("nsenter --net=/proc/%d/ns/net " format, peer, ##__VA_ARGS__)

/* Does the command print this? */
static bool prints(const char *command, const char *text)
{
	char out[4096] = "";
	FILE *f = popen(command, "r");

	assert_non_null(f);
	out[fread(out, 1, sizeof(out) - 1, f)] = '\0';
	pclose(f);
	return strstr(out, text);
}

/* Read as a loop would, until nothing has come for QUIET_MS. */
static void settle(void)
{
	struct pollfd p = { .fd = routes_fd(routes), .events = POLLIN };
	__u64 quiet = clock_ns() + QUIET_MS * 1000000ull;
	int wait = -1;

	while (clock_ns() < quiet || wait >= 0) {
		int n = poll(&p, 1, wait >= 0 ? wait : 20);

		if (n > 0)
			quiet = clock_ns() + QUIET_MS * 1000000ull;
		if (n > 0 || wait >= 0)
			assert_int_equal(routes_read(routes, &wait), 0);
	}
}

static __u32 generation(void)
{
	return control.route_generation;
}

/* By how much the command moved the generation. */
static __u32 bumps(const char *command)
{
	__u32 before;

	settle();
	before = generation();
	sh("%s", command);
	settle();
	return generation() - before;
}

static struct perch_device *device(const char *name)
{
	__u32 ifindex = if_nametoindex(name), index = 0;

	if (!ifindex || bpf_map_lookup_elem(maps.device_ids_fd, &ifindex, &index))
		return NULL;
	assert_true(index && index < PERCH_DEVICES);
	assert_int_equal(devices[index].ifindex, ifindex);
	assert_int_equal(devices[index].in_use, 1);
	return &devices[index];
}

static char told[512];

static void tell(void *arg, const char *ifname, bool present)
{
	size_t n = strlen(told);

	snprintf(told + n, sizeof(told) - n, "%c%s ", present ? '+' : '-', ifname);
}

static int setup(void **state)
{
	char why[WHY] = "";

	sh("ip link add r0 address 02:00:00:00:00:01 type veth peer name r1 address 02:00:00:00:00:02 netns %d", peer);
	sh("ip addr add 10.9.0.1/24 dev r0 && ip addr add fd09::1/64 dev r0 nodad && ip link set r0 up");
	sh_peer("ip link set r1 up");
	sh_peer("ip addr add 10.9.0.2/24 dev r1");
	sh_peer("ip addr add fd09::2/64 dev r1 nodad");
	if (routes_open(&routes, &maps, why))
		fail_msg("routes_open: %s", why);
	settle();
	return 0;
}

static int teardown(void **state)
{
	__u32 key;

	routes_close(routes);
	sh("ip link del r0");
	memset(devices, 0, sizeof(devices));
	memset(backends, 0, sizeof(backends));
	while (!bpf_map_get_next_key(maps.device_ids_fd, NULL, &key))
		bpf_map_delete_elem(maps.device_ids_fd, &key);
	return 0;
}

static void test_devices_are_those_that_are_up_but_loopback(void **state)
{
	struct perch_device *d = device("r0");

	assert_non_null(d);
	assert_memory_equal(d->mac, "\x02\0\0\0\0\x01", 6);
	assert_int_equal(d->mtu, 1500);
	assert_null(device("lo"));
	assert_int_not_equal(bumps("ip link set r0 down"), 0);
	assert_null(device("r0"));
	assert_int_equal(d->in_use, 0);
	assert_int_not_equal(bumps("ip link set r0 up"), 0);
	assert_non_null(device("r0"));
}

static void test_device_follows_mac_and_mtu(void **state)
{
	assert_int_not_equal(bumps("ip link set r0 mtu 1400"), 0);
	assert_int_equal(device("r0")->mtu, 1400);
	assert_int_not_equal(bumps("ip link set r0 address 02:00:00:00:00:77"), 0);
	assert_memory_equal(device("r0")->mac, "\x02\0\0\0\0\x77", 6);
	assert_int_equal(bumps("ip link set r0 txqueuelen 77"), 0);
}

static void test_device_survives_leaving_a_bridge(void **state)
{
	sh("ip link add b0 type bridge && ip link set r0 master b0");
	settle();
	assert_non_null(device("r0"));
	routes_on_link(routes, tell, NULL);
	told[0] = '\0';
	sh("ip link set r0 nomaster");
	settle();
	assert_string_equal(told, "");
	assert_non_null(device("r0"));
	sh("ip link del b0");
}

static void test_neighbour_bumps_on_another_address_only(void **state)
{
#define NEIGH "ip neigh replace 10.9.0.50 dev r0 lladdr "
	assert_int_equal(bumps(NEIGH "02:00:00:00:00:50 nud reachable"), 0);
	assert_int_equal(bumps(NEIGH "02:00:00:00:00:50 nud stale"), 0);
	assert_int_equal(bumps(NEIGH "02:00:00:00:00:50 nud reachable"), 0);
	assert_int_equal(bumps(NEIGH "02:00:00:00:00:51 nud reachable"), 1);
	assert_int_equal(bumps("ip neigh change 10.9.0.50 dev r0 nud failed"), 1);
	assert_int_equal(bumps(NEIGH "02:00:00:00:00:51 nud reachable"), 0);
	assert_int_equal(bumps("ip neigh del 10.9.0.50 dev r0"), 1);
	assert_int_equal(bumps("ip neigh replace fd09::50 dev r0 lladdr 02:00:00:00:00:50 nud reachable"), 0);
	assert_int_equal(bumps("ip neigh replace fd09::50 dev r0 lladdr 02:00:00:00:00:51 nud reachable"), 1);
	assert_int_equal(bumps("ip neigh del fd09::50 dev r0"), 1);
}

static void test_routes_rules_and_nexthops_bump(void **state)
{
	assert_int_not_equal(bumps("ip route add 10.77.0.0/24 via 10.9.0.2"), 0);
	assert_int_not_equal(bumps("ip route del 10.77.0.0/24"), 0);
	assert_int_not_equal(bumps("ip route add fd77::/64 via fd09::2"), 0);
	assert_int_not_equal(bumps("ip rule add to 10.78.0.0/24 table 100"), 0);
	assert_int_not_equal(bumps("ip rule del to 10.78.0.0/24 table 100"), 0);
	assert_int_not_equal(bumps("ip nexthop add id 5 via 10.9.0.2 dev r0"), 0);
	assert_int_not_equal(bumps("ip nexthop replace id 5 via 10.9.0.3 dev r0"), 0);
	assert_int_not_equal(bumps("ip addr del 10.9.0.1/24 dev r0"), 0);
}

static void test_looking_a_route_up_moves_nothing(void **state)
{
	assert_int_equal(bumps("ip route get 10.9.0.2 >/dev/null; ip -6 route get fd09::2 >/dev/null; ip neigh >/dev/null"), 0);
}

static void test_bumps_are_at_most_ten_a_second_and_none_is_lost(void **state)
{
	__u64 start, ms;
	int wait, longest = 0;
	__u32 before;

	settle();
	before = generation();
	start = clock_ns();
	for (int i = 0; i < 60; i++) {
		sh("ip route add 10.80.%d.0/24 via 10.9.0.2", i);
		assert_int_equal(routes_read(routes, &wait), 0);
		longest = wait > longest ? wait : longest;
	}
	assert_true(longest > 0 && longest <= 101);
	settle();
	ms = (clock_ns() - start) / 1000000;
	print_message("60 changes, %u bumps in %llu ms\n", generation() - before, ms);
	assert_true(generation() - before <= ms / 100 + 1);
	assert_int_not_equal(generation(), before);
	assert_int_equal(routes_read(routes, &wait), 0);
	assert_int_equal(wait, -1);
}

static void test_overrun_reads_everything_again(void **state)
{
	FILE *f = popen("ip -batch -", "w");
	__u32 before;
	int wait;

	settle();
	before = generation();
	for (int i = 0; i < 10000; i++)
		fprintf(f, "route add 10.%d.%d.0/30 via 10.9.0.2\n", 100 + i / 250, i % 250);
	assert_int_equal(pclose(f), 0);
	/* these are lost: nobody has read meanwhile */
	sh("ip link set r0 mtu 1300");
	sh("ip link add q0 type veth peer name q1 && ip link set q0 up");
	assert_int_equal(routes_read(routes, &wait), 0);
	assert_int_not_equal(generation(), before);
	assert_int_equal(device("r0")->mtu, 1300);
	assert_non_null(device("q0"));
	sh("ip link del q0");
	settle();
	assert_null(device("q0"));
}

static void test_xmit_follows_what_the_peer_of_a_veth_does(void **state)
{
	if (!prints("grep -c . /proc/sys/kernel/osrelease; uname -r", "6.") || prints("uname -r", "6.1.")) {
		print_message("no netdev family on this kernel\n");
		skip();
	}
	assert_int_equal(device("r0")->xmit, 0);
	sh_peer("ethtool -K r1 gro on");
	settle();
	assert_true(device("r0")->xmit & PERCH_XMIT);
	sh_peer("ethtool -K r1 gro off");
	settle();
	assert_int_equal(device("r0")->xmit, 0);
}

static void backend(__u32 id, const char *text)
{
	backends[id].state = PERCH_BACKEND_UP;
	assert_int_equal(address_parse(text, &backends[id].address), 0);
}

static bool neighbour_is(const char *address, const char *state)
{
	char command[128];

	snprintf(command, sizeof(command), "ip neigh show %s dev r0", address);
	return prints(command, state);
}

static void test_refresh_resolves_the_next_hops_of_backends(void **state)
{
	sh("ip route add 10.77.0.0/24 via 10.9.0.2");
	backend(3, "10.77.0.5");
	backend(4, "fd09::2");
	assert_false(neighbour_is("10.9.0.2", "REACHABLE"));
	routes_refresh(routes);
	settle();
	settle();
	assert_true(neighbour_is("10.9.0.2", "02:00:00:00:00:02"));
	assert_true(neighbour_is("10.9.0.2", "REACHABLE"));
	assert_true(neighbour_is("fd09::2", "02:00:00:00:00:02"));
	/* one that is old is asked */
	sh("ip neigh change 10.9.0.2 dev r0 nud stale");
	assert_true(neighbour_is("10.9.0.2", "STALE"));
	routes_refresh(routes);
	assert_false(neighbour_is("10.9.0.2", "STALE"));
}

static void test_refresh_leaves_static_neighbours_and_local_addresses_alone(void **state)
{
	sh("ip neigh add 10.9.0.60 lladdr 02:00:00:00:00:60 dev r0 nud permanent");
	backend(1, "10.9.0.60");
	backend(2, "10.9.0.1");
	backend(3, "203.0.113.9");	/* no route */
	routes_refresh(routes);
	assert_true(neighbour_is("10.9.0.60", "PERMANENT"));
	assert_false(neighbour_is("10.9.0.1", "r0"));
	assert_false(neighbour_is("203.0.113.9", "r0"));
}

/* By how much the command moved the generation, and is backend 1 ours then? */
static bool makes_local(const char *command)
{
	assert_int_not_equal(bumps(command), 0);
	return backends[1].local;
}

static void test_backends_of_this_host_are_marked_as_addresses_move(void **state)
{
	backend(1, "10.9.0.77");
	backend(2, "10.9.0.78");
	settle();
	assert_int_equal(backends[1].local, 0);
	assert_true(makes_local("ip addr add 10.9.0.77/32 dev r0"));
	assert_int_equal(backends[2].local, 0);
	assert_false(makes_local("ip addr del 10.9.0.77/32 dev r0"));
	/* without any other route to it, too */
	backend(1, "203.0.113.9");
	assert_true(makes_local("ip addr add 203.0.113.9/32 dev r0"));
	assert_false(makes_local("ip addr del 203.0.113.9/32 dev r0"));
	/* and whole ranges */
	assert_true(makes_local("ip route add local 203.0.113.0/24 dev lo"));
	assert_false(makes_local("ip route del local 203.0.113.0/24 dev lo"));
	assert_true(makes_local("ip route add local 203.0.113.9/32 dev lo"));
	assert_false(makes_local("ip route del local 203.0.113.9/32 dev lo"));
	backend(1, "fd09::77");
	assert_true(makes_local("ip addr add fd09::77/128 dev r0 nodad"));
	assert_false(makes_local("ip addr del fd09::77/128 dev r0"));
}

static void test_links_are_told_as_they_come_and_go(void **state)
{
	told[0] = '\0';
	routes_on_link(routes, tell, NULL);
	assert_non_null(strstr(told, "+r0 "));
	assert_non_null(strstr(told, "+lo "));
	told[0] = '\0';
	sh("ip link add q0 type veth peer name q1");
	settle();
	assert_non_null(strstr(told, "+q0 "));
	assert_non_null(strstr(told, "+q1 "));
	told[0] = '\0';
	sh("ip link set q0 name q2");
	settle();
	assert_string_equal(told, "-q0 +q2 ");
	told[0] = '\0';
	sh("ip link del q2");
	settle();
	assert_non_null(strstr(told, "-q2 "));
	assert_non_null(strstr(told, "-q1 "));
	assert_null(strstr(told, "+"));
}

static void test_take_over_keeps_indices_and_drops_what_went(void **state)
{
	struct perch_device *d = device("r0");
	__u32 gone, index, before;
	char why[WHY];

	sh("ip link add q0 type veth peer name q1 && ip link set q0 up");
	settle();
	gone = if_nametoindex("q0");
	assert_non_null(device("q0"));
	index = device("q0") - devices;
	routes_close(routes);
	sh("ip link del q0");
	before = generation();
	assert_int_equal(routes_open(&routes, &maps, why), 0);
	assert_ptr_equal(device("r0"), d);
	assert_int_equal(devices[index].in_use, 0);
	assert_int_not_equal(bpf_map_lookup_elem(maps.device_ids_fd, &gone, &index), 0);
	assert_int_equal(generation(), before + 1);
}

/* New devices without duplicate address detection and router solicitations,
 * which would move routes while we look. */
#define QUIET_DEVICES "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.router_solicitations=0"

/* A namespace that lives as long as a child of ours. */
static pid_t peer_start(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	if (pipe(ready))
		return -1;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (unshare(CLONE_NEWNET) || system(QUIET_DEVICES) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (pid > 0 && read(ready[0], &byte, 1) != 1)
		pid = -1;
	close(ready[0]);
	return pid;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_devices_are_those_that_are_up_but_loopback),
		TEST(test_device_follows_mac_and_mtu),
		TEST(test_device_survives_leaving_a_bridge),
		TEST(test_neighbour_bumps_on_another_address_only),
		TEST(test_routes_rules_and_nexthops_bump),
		TEST(test_looking_a_route_up_moves_nothing),
		TEST(test_bumps_are_at_most_ten_a_second_and_none_is_lost),
		TEST(test_overrun_reads_everything_again),
		TEST(test_xmit_follows_what_the_peer_of_a_veth_does),
		TEST(test_refresh_resolves_the_next_hops_of_backends),
		TEST(test_refresh_leaves_static_neighbours_and_local_addresses_alone),
		TEST(test_backends_of_this_host_are_marked_as_addresses_move),
		TEST(test_links_are_told_as_they_come_and_go),
		TEST(test_take_over_keeps_indices_and_drops_what_went),
	};
	int failed;

	maps.device_ids_fd = bpf_map_create(BPF_MAP_TYPE_HASH, "device_ids", 4, 4, PERCH_DEVICES, NULL);
	peer = peer_start();
	if (maps.device_ids_fd < 0 || peer < 0 || unshare(CLONE_NEWNET) ||
	    system("ip link set lo up && " QUIET_DEVICES)) {
		perror("test_routes: own network namespaces");
		return 1;
	}
	failed = cmocka_run_group_tests_name("routes", tests, NULL, NULL);
	kill(peer, SIGKILL);
	waitpid(peer, NULL, 0);
	return failed;
}
