/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the doctor asks of a host: where addresses lead, and whose programs are
 * on an interface. */
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include "../../user/core/address.h"
#include "../../user/datapath/host.h"
#include "lab.h"
#include "pins.h"

#define TCX_INGRESS 46
#define TCX_EGRESS 47

static void run(const char *command)
{
	if (system(command))
		fail_msg("%s", command);
}

static struct host_route route(const char *text)
{
	struct perch_address a;
	struct host_route r;

	assert_int_equal(address_parse(text, &a), 0);
	assert_int_equal(host_route(&a, &r), 0);
	return r;
}

static int proxies(const char *text, const char *ifname)
{
	struct perch_address a;

	assert_int_equal(address_parse(text, &a), 0);
	return host_proxies(&a, if_nametoindex(ifname));
}

static void h0_setup(void)
{
	run("ip link add h0 type veth peer name h1 && ip link set h0 up && ip link set h1 up");
	run("ip addr add 10.44.0.1/24 dev h0 && ip -6 addr add fd44::1/64 dev h0 nodad");
	run("ip route add 10.45.0.0/16 via 10.44.0.7 && ip -6 route add fd45::/64 via fd44::7");
}

static void h0_teardown(void)
{
	run("ip link del h0");
}

static void test_routes_tell_local_near_and_far(void **state)
{
	char text[ADDRESS_TEXT];
	struct host_route r;

	h0_setup();
	assert_int_equal(route("10.44.0.1").way, HOST_LOCAL);
	assert_int_equal(route("fd44::1").way, HOST_LOCAL);
	r = route("10.44.0.9");
	assert_int_equal(r.way, HOST_ON_LINK);
	assert_int_equal(r.ifindex, if_nametoindex("h0"));
	assert_true(r.has_source);
	assert_string_equal(address_format(&r.source, text), "10.44.0.1");
	assert_int_equal(route("fd44::9").way, HOST_ON_LINK);
	assert_int_equal(route("10.45.0.9").way, HOST_GATEWAY);
	assert_int_equal(route("fd45::9").way, HOST_GATEWAY);
	run("ip route add unreachable 10.46.0.0/16");
	assert_int_equal(route("10.46.0.1").way, HOST_UNREACHABLE);
	assert_int_equal(route("10.47.0.1").way, HOST_UNREACHABLE);
	run("ip route del unreachable 10.46.0.0/16");
	h0_teardown();
}

static void test_proxied_addresses_are_told_from_others(void **state)
{
	h0_setup();
	assert_int_equal(proxies("10.44.0.9", "h0"), 0);
	run("ip neigh add proxy 10.44.0.9 dev h0 && ip -6 neigh add proxy fd44::9 dev h0");
	assert_int_equal(proxies("10.44.0.9", "h0"), 1);
	assert_int_equal(proxies("10.44.0.8", "h0"), 0);
	assert_int_equal(proxies("10.44.0.9", "h1"), 0);
	assert_int_equal(proxies("fd44::9", "h0"), 1);
	assert_int_equal(proxies("fd44::8", "h0"), 0);
	h0_teardown();
}

static void test_interfaces_tell_what_they_are(void **state)
{
	h0_setup();
	assert_int_equal(host_lro("h0"), 0);
	assert_int_equal(host_is_virtual("h0"), 1);
	run("ip link set h0 mtu 1400");
	assert_int_equal(host_mtu("h0"), 1400);
	h0_teardown();
	assert_int_equal(host_lro("h0"), -ENODEV);
	assert_int_equal(host_mtu("h0"), -ENODEV);
	assert_int_equal(host_is_virtual("h0"), -ENODEV);
	assert_int_equal(host_sysctl("/proc/sys/net/ipv4/conf/all/no_such_switch", 7), 7);
	assert_int_equal(host_try_load(), 0);
}

static const struct host_program *on_hook(const struct host_program *p, int n, const char *hook, bool filter)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(p[i].hook, hook) && p[i].filter == filter)
			return &p[i];
	return NULL;
}

static __u32 id_of(int fd)
{
	struct bpf_prog_info info = { 0 };
	__u32 length = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &length), 0);
	return info.id;
}

/* -1 where the kernel has no TCX. */
static int attach_tcx(const char *ifname, int program, int type)
{
	return bpf_link_create(program, if_nametoindex(ifname), type, NULL);
}

static void test_programs_of_others_are_listed_and_ours_are_not(void **state)
{
	int xdp = pins_stranger(BPF_PROG_TYPE_XDP), tc = pins_stranger(BPF_PROG_TYPE_SCHED_CLS), in, out, n;
	LIBBPF_OPTS(bpf_tc_opts, theirs, .handle = 7, .priority = 50, .prog_fd = tc);
	const struct host_program *found;
	struct host_program p[8];
	struct pins *pins = *state;
	struct datapath d;
	int err;

	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = if_nametoindex("c0"), .attach_point = BPF_TC_EGRESS);
	pins_open(pins, &d);
	assert_int_equal(attach_interface(&d, "c0", ATTACH_TC, ATTACH_REFUSE, NULL, pins->why), 0);
	assert_int_equal(host_strangers(pins->path, "c0", p, 8), 0);
	assert_int_equal(bpf_xdp_attach(hook.ifindex, xdp, XDP_FLAGS_SKB_MODE, NULL), 0);
	err = bpf_tc_hook_create(&hook);
	assert_true(!err || err == -EEXIST);	/* ours are there too where there is no TCX */
	assert_int_equal(bpf_tc_attach(&hook, &theirs), 0);
	in = attach_tcx("c0", tc, TCX_INGRESS);
	out = attach_tcx("c0", tc, TCX_EGRESS);
	n = host_strangers(pins->path, "c0", p, 8);
	assert_int_equal(n, 2 + (in >= 0) + (out >= 0));
	assert_int_equal(host_strangers(pins->path, "c0", p, 1), n);
	host_strangers(pins->path, "c0", p, 8);
	found = on_hook(p, n, "xdp-generic", false);
	assert_non_null(found);
	assert_int_equal(found->id, id_of(xdp));
	assert_string_equal(found->name, "stranger");
	found = on_hook(p, n, "tc out", true);
	assert_non_null(found);
	assert_int_equal(found->id, id_of(tc));
	assert_true(in < 0 || on_hook(p, n, "tc in", false));
	assert_true(out < 0 || on_hook(p, n, "tc out", false));
	bpf_xdp_attach(hook.ifindex, -1, XDP_FLAGS_SKB_MODE, NULL);
	run("tc qdisc del dev c0 clsact");
	close(in);
	close(out);
	assert_int_equal(host_strangers(pins->path, "c0", p, 8), 0);
	assert_int_equal(host_strangers(pins->path, "nosuch", p, 8), -ENODEV);
	close(xdp);
	close(tc);
	datapath_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes_tell_local_near_and_far),
		cmocka_unit_test(test_proxied_addresses_are_told_from_others),
		cmocka_unit_test(test_interfaces_tell_what_they_are),
		pins_test(test_programs_of_others_are_listed_and_ours_are_not),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
