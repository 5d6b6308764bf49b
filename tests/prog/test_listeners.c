/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Where clients connect to: every port but some, one port before every port,
 * an address taken over from the stack and handed back to it. */
#include "prog.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include <bpf/bpf.h>

#include "../../user/datapath/listeners.h"

#define SSH 22
#define MAIL 25
#define HTTPS 443
#define OTHER_HOST 9		/* backend of the service that has one port */

static const __u16 excluded[] = { SSH, MAIL };

/* The lab's services with port 0 for TCP and UDP. */
static void listen_everywhere(struct lab *lab, size_t n_exclude)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct lab_service *s = &lab->web[v6];

		s->listen[0].port = s->listen[1].port = 0;
		s->placed.exclude = n_exclude ? excluded : NULL;
		s->placed.n_exclude = n_exclude;
	}
	assert_int_equal(lab_apply(lab), 0);
}

static __u8 first_flags(__u8 protocol)
{
	return protocol == IPPROTO_TCP ? TCP_SYN : 0;
}

/* The fate of the first packet of a new connection to a port. */
static int knock(struct talk *t, struct lab *lab, struct mode m, __u8 protocol, __u16 port)
{
	static __u32 n;

	mode_talk(t, lab, m, protocol, n++);
	t->client.to_port = port;
	return talk_client(t, first_flags(protocol), 0);
}

static void assert_knock(struct lab *lab, __u16 port, int want)
{
	static const __u8 protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	static struct talk t;

	for_each_mode(m)
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(knock(&t, lab, m, protocols[i], port), want);
}

/* As another agent finds them. */
static void reopen(struct lab *lab)
{
	tables_close(lab->tables);
	assert_int_equal(tables_open(&lab->tables, &lab->datapath), 0);
}

static void sleep_ms(long ms)
{
	const struct timespec nap = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&nap, NULL);
}

/* A service of element 2 + v6 with one TCP port of the lab's address. */
struct other {
	struct lab_service service;
};

static void other_apply(struct lab *lab, struct other *o, bool v6, __u16 port)
{
	struct placed_service *p = &o->service.placed;
	struct perch_plan plan, twin;
	char why[WHY] = "";

	*o = (struct other){ .service = lab->web[v6] };
	o->service.listen[0].port = htons(port);
	o->service.backend[0][0] = (struct model_backend){ lab_backend(v6, OTHER_HOST), htons(LAB_BACKEND_PORT), 1, 0 };
	p->id = 2 + v6;
	p->name = v6 ? "other6" : "other4";
	p->listen = o->service.listen;
	p->n_listen = 1;
	p->n_exclude = 0;
	p->version[0].backends = o->service.backend[0];
	p->version[0].n_backends = 1;
	p->n_versions = 1;
	lab_plan(&o->service, &plan, &twin);
	if (tables_apply(lab->tables, p, &plan, &twin, why))
		fail_msg("tables_apply: %s", why);
}

static void close_both(struct talk *t)
{
	assert_int_equal(talk_client(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_client(t, TCP_ACK, 0), TALK_FORWARDED);
}

static void test_port_0_takes_every_port(void **state)
{
	static const __u16 ports[] = { 1, SSH, 80, 8081, 65535 };
	struct lab *lab = *state;
	static struct talk t;

	listen_everywhere(lab, 0);
	assert_int_equal(lab->datapath.maps.control->any_port, 4);
	for_each_mode(m) {
		for (unsigned i = 0; i < sizeof(ports) / sizeof(ports[0]); i++) {
			knock(&t, lab, m, IPPROTO_TCP, ports[i]);
			/* what comes back is from the port that was asked */
			assert_int_equal(t.backend.from_port, LAB_BACKEND_PORT);
			assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
			/* but for the door, which has a port of its own */
			assert_int_equal(talk_slot(&t), ports[i] == LAB_DOOR_PORT);
			assert_int_equal(knock(&t, lab, m, IPPROTO_UDP, ports[i]), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, 0, 100), TALK_FORWARDED);
		}
	}
}

static void test_port_0_keeps_the_port_for_a_backend_without_one(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for (unsigned v6 = 0; v6 < 2; v6++)
		for (unsigned i = 0; i < 2; i++)
			lab->web[v6].backend[0][i].port = 0;
	listen_everywhere(lab, 0);
	for_each_mode(m) {
		for (__u16 port = 1000; port < 1010; port++) {
			assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, port), TALK_FORWARDED);
			assert_int_equal(t.backend.from_port, port);
			assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		}
	}
}

/* One client port to many ports of one backend: each is a connection. */
static void test_port_0_keeps_ports_of_one_client_apart(void **state)
{
	struct lab *lab = *state;
	static struct talk t[10];

	lab_backends(lab, 0, 2, 1);
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].backend[0][0].port = 0;
	listen_everywhere(lab, 0);
	for_each_mode(m) {
		for (unsigned i = 0; i < 10; i++) {
			mode_talk(&t[i], lab, m, IPPROTO_TCP, 7);
			t[i].client.to_port = 1000 + i;
			assert_int_equal(talk_connect(&t[i]), TALK_FORWARDED);
		}
		for (unsigned i = 0; i < 10; i++) {
			assert_int_equal(talk_backend(&t[i], TCP_ACK, 10), TALK_FORWARDED);
			assert_int_equal(talk_client(&t[i], TCP_ACK, 10), TALK_FORWARDED);
		}
	}
}

#define TUPLES 10

static void assert_apart(const struct talk *t)
{
	for (unsigned i = 0; i < TUPLES; i++)
		for (unsigned k = 0; k < i; k++)
			assert_int_not_equal(t[i].backend.to_port, t[k].backend.to_port);
}

/* The same to one port of one backend: there they would be one connection, so
 * all but one get another client port. */
static void test_one_client_port_is_translated_where_it_would_collide(void **state)
{
	struct lab *lab = *state;
	static struct talk t[TUPLES];
	__u64 aliased;

	lab_backends(lab, 0, 2, 1);
	listen_everywhere(lab, 0);
	for_each_mode(m) {
		aliased = lab_reasons(lab, PERCH_R_ALIASED);
		/* twice, the second time in the place of what was closed */
		for (unsigned round = 0; round < 2; round++) {
			for (unsigned i = round; i < TUPLES; i++) {
				mode_talk(&t[i], lab, m, IPPROTO_TCP, 7);
				t[i].client.to_port = 1000 + i;
				t[i].client.seq += 100000 * round;
				t[i].translates = i;
				assert_int_equal(talk_connect(&t[i]), TALK_FORWARDED);
			}
			assert_apart(t);
			for (unsigned i = 0; i < TUPLES; i++) {
				assert_int_equal(talk_backend(&t[i], TCP_ACK, 10), TALK_FORWARDED);
				assert_int_equal(talk_client(&t[i], TCP_ACK, 10), TALK_FORWARDED);
			}
			for (unsigned i = 1; i < TUPLES && !round; i++)
				close_both(&t[i]);
		}
		assert_int_equal(lab_reasons(lab, PERCH_R_ALIASED) - aliased, 2 * (TUPLES - 1));
		assert_int_equal(flows_left(&lab->datapath.maps, m.v6), TUPLES * (1 + m.hook));
	}
	assert_int_equal(tables_hand_back(lab->tables, 0), 0);
	assert_int_equal(tables_hand_back(lab->tables, 1), 0);
	assert_int_equal(lab_active(lab), 4 * TUPLES);	/* user space counts their ends */
	for (unsigned i = 0; i < TUPLES; i++) {
		assert_int_equal(talk_backend(&t[i], TCP_ACK, 10), TALK_PASSED);
		assert_int_equal(talk_client(&t[i], TCP_ACK, 10), TALK_PASSED);
	}
}

static void test_without_port_0_other_ports_pass(void **state)
{
	struct lab *lab = *state;
	__u64 before = lab_reasons(lab, PERCH_R_NO_LISTENER);

	assert_int_equal(lab->datapath.maps.control->any_port, 0);
	assert_knock(lab, 8888, TALK_PASSED);
	assert_int_equal(lab_reasons(lab, PERCH_R_NO_LISTENER) - before, 2 * MODES);
	listen_everywhere(lab, 0);
	assert_knock(lab, 8888, TALK_FORWARDED);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		lab->web[v6].listen[0].port = htons(LAB_PORT);
		lab->web[v6].listen[1].port = htons(LAB_UDP_PORT);
	}
	assert_int_equal(lab_apply(lab), 0);
	assert_int_equal(lab->datapath.maps.control->any_port, 0);
	assert_knock(lab, 8888, TALK_PASSED);
}

static void test_excluded_ports_pass_untouched(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	listen_everywhere(lab, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_knock(lab, excluded[i], TALK_PASSED);
	assert_knock(lab, SSH + 1, TALK_FORWARDED);
	/* a connection that was there before, too */
	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 1000);
		t.client.to_port = SSH;
		assert_int_equal(talk_client(&t, TCP_ACK, 50), TALK_PASSED);
	}
	/* the list grows and shrinks while it is in force */
	listen_everywhere(lab, 1);
	assert_knock(lab, SSH, TALK_PASSED);
	assert_knock(lab, MAIL, TALK_FORWARDED);
	listen_everywhere(lab, 2);
	assert_knock(lab, MAIL, TALK_PASSED);
	listen_everywhere(lab, 0);
	assert_knock(lab, SSH, TALK_FORWARDED);
}

static void test_excluded_ports_outlive_the_agent(void **state)
{
	struct lab *lab = *state;

	listen_everywhere(lab, 2);
	reopen(lab);
	assert_int_equal(lab->datapath.maps.control->any_port, 4);
	assert_knock(lab, SSH, TALK_PASSED);
	assert_knock(lab, 80, TALK_FORWARDED);
	/* the next one knows whose they are */
	listen_everywhere(lab, 1);
	assert_knock(lab, SSH, TALK_PASSED);
	assert_knock(lab, MAIL, TALK_FORWARDED);
	reopen(lab);
	tables_remove(lab->tables, 0);
	tables_remove(lab->tables, 1);
	assert_int_equal(lab->datapath.maps.control->any_port, 0);
	assert_knock(lab, 80, TALK_PASSED);
}

/* Left by an agent that was killed between two writes. */
static void test_exception_without_its_listener_is_swept(void **state)
{
	struct lab *lab = *state;
	struct perch_endpoint stale = { lab_listener(false), htons(SSH), IPPROTO_TCP, 0 };
	int fd = lab->datapath.maps.addresses_fd;
	__u32 none = 0, there;

	assert_int_equal(bpf_map_update_elem(fd, &stale, &none, BPF_ANY), 0);
	reopen(lab);
	assert_int_equal(bpf_map_lookup_elem(fd, &stale, &there), -ENOENT);
	listen_everywhere(lab, 1);
	reopen(lab);
	assert_int_equal(bpf_map_lookup_elem(fd, &stale, &there), 0);
	assert_int_equal(there, 0);
}

static void test_exact_port_comes_before_port_0(void **state)
{
	static struct other other[2];
	static struct talk t, old[MODES];
	struct lab *lab = *state;

	listen_everywhere(lab, 2);
	/* one that began before the port was somebody's goes on where it is */
	for_each_mode(m) {
		assert_int_equal(knock(&old[mode_number(m)], lab, m, IPPROTO_TCP, HTTPS), TALK_FORWARDED);
		assert_in_range(old[mode_number(m)].host, 2, 3);
	}
	for (unsigned v6 = 0; v6 < 2; v6++)
		other_apply(lab, &other[v6], v6, HTTPS);
	for_each_mode(m) {
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, HTTPS), TALK_FORWARDED);
		assert_int_equal(t.host, OTHER_HOST);
		assert_int_equal(knock(&t, lab, m, IPPROTO_UDP, HTTPS), TALK_FORWARDED);
		assert_in_range(t.host, 2, 3);
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, HTTPS + 1), TALK_FORWARDED);
		assert_in_range(t.host, 2, 3);
		assert_int_equal(talk_backend(&old[mode_number(m)], TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		assert_int_equal(talk_client(&old[mode_number(m)], TCP_ACK, 0), TALK_FORWARDED);
	}
	for (unsigned v6 = 0; v6 < 2; v6++)
		tables_remove(lab->tables, 2 + v6);
	for_each_mode(m) {
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, HTTPS), TALK_FORWARDED);
		assert_in_range(t.host, 2, 3);
	}
}

/* Somebody may listen on a port that port 0 leaves alone; after him it is left
 * alone again. */
static void test_excluded_port_may_be_anothers(void **state)
{
	static struct other other[2];
	static struct talk t;
	struct lab *lab = *state;

	for (unsigned v6 = 0; v6 < 2; v6++)
		other_apply(lab, &other[v6], v6, SSH);
	listen_everywhere(lab, 2);
	for_each_mode(m) {
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, SSH), TALK_FORWARDED);
		assert_int_equal(t.host, OTHER_HOST);
		assert_int_equal(knock(&t, lab, m, IPPROTO_UDP, SSH), TALK_PASSED);
	}
	for (unsigned v6 = 0; v6 < 2; v6++)
		tables_remove(lab->tables, 2 + v6);
	assert_knock(lab, SSH, TALK_PASSED);
}

static void test_same_port_0_of_two_services_is_refused(void **state)
{
	static struct other other;
	struct lab *lab = *state;
	struct perch_plan plan, twin;
	char why[WHY] = "";

	listen_everywhere(lab, 0);
	other.service = lab->web[0];
	other.service.placed.id = 2;
	lab_plan(&other.service, &plan, &twin);
	assert_int_equal(tables_apply(lab->tables, &other.service.placed, &plan, &twin, why), -EADDRINUSE);
	assert_non_null(strstr(why, "192.0.2.10:0/tcp"));
	assert_int_equal(lab->datapath.maps.control->any_port, 4);
	assert_knock(lab, 80, TALK_FORWARDED);
}

#define ADOPT_MS 1500

static void adopt(struct lab *lab, __u64 ms)
{
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].placed.adopt = ms * 1000000;
	assert_int_equal(lab_apply(lab), 0);
}

/* The fate of a packet of a connection that nobody knows. */
static int midstream(struct talk *t, struct lab *lab, struct mode m, __u8 flags, unsigned payload)
{
	static __u32 n = 10000;

	mode_talk(t, lab, m, IPPROTO_TCP, n++);
	return talk_client(t, flags, payload);
}

static void test_adopted_connections_stay_with_the_stack(void **state)
{
	struct lab *lab = *state;
	static struct talk t, mine[MODES];
	__u64 until = lab_now() + ADOPT_MS * 1000000ull;

	adopt(lab, ADOPT_MS);
	for_each_mode(m) {
		__u64 before = lab_reason(lab, mode_hook(m), PERCH_R_ADOPTED);

		assert_int_equal(midstream(&t, lab, m, TCP_ACK, 0), TALK_PASSED);
		assert_int_equal(midstream(&t, lab, m, TCP_ACK | TCP_PSH, 100), TALK_PASSED);
		assert_int_equal(midstream(&t, lab, m, TCP_ACK | TCP_FIN, 0), TALK_PASSED);
		assert_int_equal(midstream(&t, lab, m, TCP_RST, 0), TALK_PASSED);
		assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_ADOPTED) - before, 4);
		/* who connects now is ours, and so is UDP */
		mode_talk(&mine[mode_number(m)], lab, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_connect(&mine[mode_number(m)]), TALK_FORWARDED);
		mode_talk(&t, lab, m, IPPROTO_UDP, 2);
		assert_int_equal(talk_client(&t, 0, 30), TALK_FORWARDED);
		/* the door is an address that was taken over, too */
		mode_talk(&t, lab, m, IPPROTO_TCP, 3);
		t.client.to_port = LAB_DOOR_PORT;
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_PASSED);
	}
	while (lab_now() < until + 10000000)
		sleep_ms(10);
	for_each_mode(m) {
		assert_int_equal(midstream(&t, lab, m, TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_client(&mine[mode_number(m)], TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&mine[mode_number(m)], TCP_ACK, 10), TALK_FORWARDED);
	}
}

static __u64 adopt_until(const struct lab *lab)
{
	const struct perch_listener *l = lab->datapath.maps.listeners;

	for (__u32 id = 1; id < lab->datapath.maps.control->listeners_n; id++)
		if (l[id].in_use && l[id].port == htons(LAB_PORT) && !lab_is_v6(&l[id].address))
			return l[id].adopt_until;
	return ~0ull;
}

static void test_adoption_is_the_first_take_overs(void **state)
{
	struct lab *lab = *state;
	__u64 before = lab_now(), first;
	static struct talk t;

	adopt(lab, 600000);
	first = adopt_until(lab);
	assert_in_range(first, before + 600000000000ull, lab_now() + 600000000000ull);
	/* neither a reload nor another agent nor a longer time begins it anew */
	adopt(lab, 600000);
	assert_int_equal(adopt_until(lab), first);
	reopen(lab);
	adopt(lab, 3600000);
	assert_int_equal(adopt_until(lab), first);
	/* a shorter one ends it sooner */
	adopt(lab, 1000);
	assert_in_range(adopt_until(lab), before, lab_now() + 1000000000);
	adopt(lab, 0);
	assert_int_equal(adopt_until(lab), 0);
	adopt(lab, 600000);
	assert_int_equal(adopt_until(lab), 0);
	assert_int_equal(midstream(&t, lab, (struct mode){ LAB_TC, false }, TCP_ACK, 0), TALK_FORWARDED);
	/* the stack had it in between: that is a take-over */
	tables_remove(lab->tables, 0);
	assert_int_equal(adopt_until(lab), ~0ull);
	adopt(lab, 600000);
	assert_true(adopt_until(lab) > first);
	assert_int_equal(midstream(&t, lab, (struct mode){ LAB_TC, false }, TCP_ACK, 0), TALK_PASSED);
}

static void test_leaving_listener_keeps_its_connections_only(void **state)
{
	struct lab *lab = *state;
	static struct talk t, tcp[MODES], udp[MODES];

	for_each_mode(m) {
		mode_talk(&tcp[mode_number(m)], lab, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_connect(&tcp[mode_number(m)]), TALK_FORWARDED);
		mode_talk(&udp[mode_number(m)], lab, m, IPPROTO_UDP, 2);
		assert_int_equal(talk_client(&udp[mode_number(m)], 0, 30), TALK_FORWARDED);
	}
	assert_int_equal(listeners_leave_all(&lab->datapath.maps, true), 6);
	for_each_mode(m) {
		__u64 before = lab_reason(lab, mode_hook(m), PERCH_R_LEAVING);

		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, LAB_PORT), TALK_PASSED);
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, LAB_DOOR_PORT), TALK_PASSED);
		assert_int_equal(knock(&t, lab, m, IPPROTO_UDP, LAB_UDP_PORT), TALK_PASSED);
		assert_int_equal(midstream(&t, lab, m, TCP_ACK, 10), TALK_PASSED);
		assert_int_equal(lab_reason(lab, mode_hook(m), PERCH_R_LEAVING) - before, 4);
		assert_int_equal(talk_client(&tcp[mode_number(m)], TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&tcp[mode_number(m)], TCP_ACK, 10), TALK_FORWARDED);
		assert_int_equal(talk_backend(&udp[mode_number(m)], 0, 10), TALK_FORWARDED);
		assert_int_equal(talk_client(&udp[mode_number(m)], 0, 10), TALK_FORWARDED);
	}
	/* another agent does not take them again by itself; an apply does */
	reopen(lab);
	assert_knock(lab, LAB_DOOR_PORT, TALK_PASSED);
	assert_int_equal(lab_apply(lab), 0);
	for_each_mode(m)
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, LAB_PORT), TALK_FORWARDED);
}

static void test_called_off_leave_spares_who_leaves_anyway(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	listeners_leave_all(&lab->datapath.maps, true);
	lab->datapath.maps.names[1].leaving_until = lab_now();
	assert_int_equal(listeners_leave_all(&lab->datapath.maps, false), 3);
	for_each_mode(m)
		assert_int_equal(knock(&t, lab, m, IPPROTO_TCP, LAB_PORT), m.v6 ? TALK_PASSED : TALK_FORWARDED);
}

static void test_flows_left_are_those_with_something_to_say(void **state)
{
	const struct mode m = { LAB_TC, false };
	struct lab *lab = *state;
	const struct maps *maps = &lab->datapath.maps;
	static struct talk whole, half, reset, v6;

	mode_talk(&whole, lab, m, IPPROTO_TCP, 1);
	mode_talk(&half, lab, m, IPPROTO_TCP, 2);
	mode_talk(&reset, lab, m, IPPROTO_TCP, 3);
	mode_talk(&v6, lab, (struct mode){ LAB_XDP, true }, IPPROTO_UDP, 4);
	assert_int_equal(flows_left(maps, -1), 0);
	assert_int_equal(talk_connect(&whole), TALK_FORWARDED);
	assert_int_equal(talk_connect(&half), TALK_FORWARDED);
	assert_int_equal(talk_connect(&reset), TALK_FORWARDED);
	assert_int_equal(talk_client(&v6, 0, 10), TALK_FORWARDED);
	assert_int_equal(flows_left(maps, -1), 4);
	assert_int_equal(flows_left(maps, 0), 3);
	assert_int_equal(flows_left(maps, 1), 1);
	close_both(&whole);
	/* the other side may send for hours after one FIN */
	assert_int_equal(talk_client(&half, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_backend(&reset, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(flows_left(maps, 0), 3);
	lab_age(lab, 2);
	assert_int_equal(flows_left(maps, 0), 1);
	assert_int_equal(flows_left(maps, 1), 1);
	lab_age(lab, 30);
	assert_int_equal(flows_left(maps, 0), 1);
	assert_int_equal(flows_left(maps, 1), 0);
	lab_age(lab, 7200);
	assert_int_equal(flows_left(maps, -1), 0);
}

static void test_handed_back_flows_pass_unsevered(void **state)
{
	struct lab *lab = *state;
	static struct talk tcp[MODES], udp[MODES];

	for_each_mode(m) {
		mode_talk(&tcp[mode_number(m)], lab, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_connect(&tcp[mode_number(m)]), TALK_FORWARDED);
		mode_talk(&udp[mode_number(m)], lab, m, IPPROTO_UDP, 2);
		assert_int_equal(talk_client(&udp[mode_number(m)], 0, 30), TALK_FORWARDED);
	}
	assert_int_equal(lab_active(lab), 2 * MODES);
	assert_int_equal(tables_hand_back(lab->tables, 0), 0);
	for_each_mode(m) {
		int fate = m.v6 ? TALK_FORWARDED : TALK_PASSED;

		assert_int_equal(talk_client(&tcp[mode_number(m)], TCP_ACK, 10), fate);
		assert_int_equal(talk_backend(&tcp[mode_number(m)], TCP_ACK, 10), fate);
		assert_int_equal(talk_client(&udp[mode_number(m)], 0, 10), fate);
		assert_int_equal(talk_backend(&udp[mode_number(m)], 0, 10), fate);
	}
	assert_int_equal(lab_reasons(lab, PERCH_R_SEVERED), 0);
	assert_int_equal(lab_reasons(lab, PERCH_R_SEVERED_DROP), 0);
	assert_int_equal(flows_left(&lab->datapath.maps, 0), 0);
	assert_int_equal(flows_left(&lab->datapath.maps, 1), MODES);
}

static __u64 nobody(void *arg, __u32 backend)
{
	return 0;
}

/* Every end is counted once, so that its elements come free. */
static void test_handed_back_service_leaves_nothing(void **state)
{
	const struct mode m = { LAB_XDP, false };
	struct lab *lab = *state;
	static struct talk t;

	for (__u32 n = 0; n < 20; n++) {
		mode_talk(&t, lab, m, IPPROTO_TCP, n);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		if (n % 2)
			close_both(&t);
	}
	assert_int_equal(tables_hand_back(lab->tables, 0), 0);
	/* the first look notes that it is idle, one 2 s later frees it */
	for (int i = 0; i < 40 && !tables_version_empty(lab->tables, 0, 0); i++) {
		tables_reap(lab->tables, nobody, NULL);
		sleep_ms(100);
	}
	assert_true(tables_version_empty(lab->tables, 0, 0));
	assert_true(tables_version_empty(lab->tables, 0, 1));
	assert_false(tables_version_empty(lab->tables, 1, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test_bare(test_port_0_takes_every_port),
		prog_test_bare(test_port_0_keeps_the_port_for_a_backend_without_one),
		prog_test_bare(test_port_0_keeps_ports_of_one_client_apart),
		prog_test_bare(test_one_client_port_is_translated_where_it_would_collide),
		prog_test(test_without_port_0_other_ports_pass),
		prog_test_bare(test_excluded_ports_pass_untouched),
		prog_test_bare(test_excluded_ports_outlive_the_agent),
		prog_test_bare(test_exception_without_its_listener_is_swept),
		prog_test_bare(test_exact_port_comes_before_port_0),
		prog_test_bare(test_excluded_port_may_be_anothers),
		prog_test_bare(test_same_port_0_of_two_services_is_refused),
		prog_test_bare(test_adopted_connections_stay_with_the_stack),
		prog_test_bare(test_adoption_is_the_first_take_overs),
		prog_test(test_leaving_listener_keeps_its_connections_only),
		prog_test(test_called_off_leave_spares_who_leaves_anyway),
		prog_test(test_flows_left_are_those_with_something_to_say),
		prog_test(test_handed_back_flows_pass_unsevered),
		prog_test(test_handed_back_service_leaves_nothing),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
