/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What a router says fits the way to a backend in a tunnel is remembered for a
 * time, and all clients of that backend are told. */
#include <bpf/bpf.h>
#include <linux/pkt_cls.h>

#include "path_case.h"

static void test_path_is_learned_and_every_client_is_told(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		for (unsigned udp = 0; udp < 2; udp++) {
			__u64 now;

			path_begin(*state, w);
			path_start(&c, *state, w, udp, 1);
			now = lab_now();
			path_hear(&c, PERCH_R_PATH_MTU);
			assert_int_equal(perch_path_mtu(path_backend(&c)->path), PATH_MTU);
			assert_in_range(path_backend(&c)->path - now, PERCH_PATH_NS - 65536, PERCH_PATH_NS + 1000000000ull);
			path_fits(*state, w, false, 2, PATH_MTU - path_overhead(w));
			path_fits(*state, w, true, 3, PATH_MTU - path_overhead(w));
		}
	}
}

static void test_path_is_never_less_than_every_host_takes(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		bool v6 = w.v6 != w.crossed;
		unsigned least = w.v6 || v6 ? 1280 : 576;

		path_begin(*state, w);
		path_start(&c, *state, w, true, 1);
		c.error.rest = 0;
		path_hear(&c, v6 ? PERCH_R_PATH_MTU : PERCH_R_TUNNEL_DOUBT);
		assert_int_equal(path_backend(&c)->path != 0, v6);
		c.error.rest = 68;
		path_hear(&c, PERCH_R_PATH_MTU);
		/* an outer header of IPv6 takes its part of 1280, one of IPv4 none of 576 */
		path_fits(*state, w, true, 2, !w.v6 && v6 ? least - path_overhead(w) : least);
	}
}

static void test_path_that_is_larger_than_the_device_changes_nothing(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		path_begin(*state, w);
		path_start(&c, *state, w, false, 1);
		c.error.rest = w.v6 != w.crossed ? ~0u : 0xffff;
		path_hear(&c, PERCH_R_PATH_MTU);
		path_fits(*state, w, false, 2, 1500 - path_overhead(w));
	}
}

/* Nothing but time makes it larger. */
static void test_path_becomes_smaller_by_word_and_larger_by_time(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		struct perch_backend *k;
		__u64 soon;

		path_begin(*state, w);
		path_start(&c, *state, w, false, 1);
		soon = lab_now() + 10000000000;
		k = path_backend(&c);
		k->path = perch_path(soon, PATH_MTU);
		c.error.rest = PATH_MTU + 1;
		path_hear(&c, PERCH_R_PATH_MTU);
		assert_int_equal(k->path, perch_path(soon, PATH_MTU));
		c.error.rest = PATH_MTU;
		path_hear(&c, PERCH_R_PATH_MTU);
		assert_true(k->path > soon);
		c.error.rest = PATH_MTU - 10;
		path_hear(&c, PERCH_R_PATH_MTU);
		path_fits(*state, w, false, 2, PATH_MTU - 10 - path_overhead(w));
		/* ten minutes later */
		k->path -= PERCH_PATH_NS;
		path_fits(*state, w, false, 3, 1500 - path_overhead(w));
		c.error.rest = PATH_MTU + 1;
		path_hear(&c, PERCH_R_PATH_MTU);
		path_fits(*state, w, false, 4, PATH_MTU + 1 - path_overhead(w));
	}
}

static void test_path_is_learned_behind_tags_and_options(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		bool v6 = w.v6 != w.crossed;

		path_begin(*state, w);
		path_start(&c, *state, w, false, 1);
		for (unsigned i = 1; i < 6; i++) {
			c.error.outer.vlans = i % 3;
			c.error.outer.ip_options = i < 3 || v6 ? 0 : 40;
			c.error.rest = PATH_MTU - i;
			path_hear(&c, PERCH_R_PATH_MTU);
			assert_int_equal(perch_path_mtu(path_backend(&c)->path), PATH_MTU - i);
		}
	}
}

/* Options of IPv4 are read over; nobody looks for ports behind extensions. */
static void test_path_is_learned_from_what_had_options(void **state)
{
	static struct path_case c;

	for_each_way(w) {
		path_begin(*state, w);
		path_start(&c, *state, w, true, 1);
		c.t.client.ip_options = 40;
		assert_int_equal(talk_client(&c.t, 0, 1300), TALK_FORWARDED);
		outer_build(&c.quoted, &c.t.outer, &c.t.out);
		if (w.v6) {
			path_hear_nothing(&c, PERCH_R_TUNNEL_DOUBT);
			continue;
		}
		c.n = path_overhead(w) + 60 + 8;
		path_hear(&c, PERCH_R_PATH_MTU);
		c.n--;
		path_hear(&c, PERCH_R_TUNNEL_DOUBT);
	}
}

/* By a device that is nobody's, where the kernel finds the neighbour. */
static void test_path_holds_where_no_device_is_known(void **state)
{
	static struct packet in, out, want;
	struct lab *lab = *state;
	static struct path_case c;

	for_each_way(w) {
		struct lab_run how = { .hook = LAB_TC, .ifindex = 0 };
		unsigned most = PATH_MTU - path_overhead(w);

		path_begin(lab, w);
		how.ifindex = lab->client.ifindex;
		path_start(&c, lab, w, true, 1);
		path_hear(&c, PERCH_R_PATH_MTU);
		assert_int_equal(bpf_map_delete_elem(lab->datapath.maps.device_ids_fd, &lab->backend.ifindex), 0);
		lab->datapath.maps.control->route_generation++;
		c.t.client.payload = most - path_headers(w, true);
		packet_build(&in, &c.t.client);
		assert_int_equal(lab_run(lab, &how, &in, &out), TC_ACT_REDIRECT);
		assert_int_equal(out.length, in.length + path_overhead(w));
		c.t.client.payload++;
		packet_build(&in, &c.t.client);
		icmp_too_big(&want, &c.t.client, &c.t.client.to, most);
		assert_int_equal(lab_run(lab, &how, &in, &out), TC_ACT_REDIRECT);
		assert_true(packet_same(&out, &want, stderr));
	}
}

/* The segments count. */
static void test_path_is_told_of_a_super_packet(void **state)
{
	static struct packet in, out, want;
	struct lab *lab = *state;
	static struct path_case c;

	for_each_way(w) {
		struct lab_run how = { .hook = LAB_TC, .gso_segs = 3 };

		path_begin(lab, w);
		path_start(&c, lab, w, false, 1);
		path_hear(&c, PERCH_R_PATH_MTU);
		how.ifindex = lab->client.ifindex;
		how.gso_size = PATH_MTU + 1 - path_headers(w, false);
		c.t.client.payload = 3000;
		packet_build(&in, &c.t.client);
		icmp_too_big(&want, &c.t.client, &c.t.client.to, PATH_MTU - path_overhead(w));
		assert_int_equal(lab_run(lab, &how, &in, &out), TC_ACT_REDIRECT);
		assert_true(packet_same(&out, &want, stderr));
	}
}

/* A backend that comes into an element knows nothing of who was there. */
static void test_path_is_forgotten_with_its_backend(void **state)
{
	struct lab *lab = *state;
	struct perch_backend *k = lab->datapath.maps.backends;
	static struct path_case c;

	lab_forwards(lab, PERCH_IPIP);
	for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++)
		k[id].path = perch_path(lab_now() + PERCH_PATH_NS, PATH_MTU);
	assert_int_equal(lab_apply(lab), 0);
	path_start(&c, lab, path_way(0), false, 1);
	assert_int_equal(path_backend(&c)->path, 0);
	path_fits(lab, path_way(0), false, 2, 1500 - path_overhead(path_way(0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test_bare(test_path_is_learned_and_every_client_is_told),
		prog_test_bare(test_path_is_never_less_than_every_host_takes),
		prog_test_bare(test_path_that_is_larger_than_the_device_changes_nothing),
		prog_test_bare(test_path_becomes_smaller_by_word_and_larger_by_time),
		prog_test_bare(test_path_is_learned_behind_tags_and_options),
		prog_test_bare(test_path_is_learned_from_what_had_options),
		prog_test_bare(test_path_holds_where_no_device_is_known),
		prog_test_bare(test_path_is_told_of_a_super_packet),
		prog_test_bare(test_path_is_forgotten_with_its_backend),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
