/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Where clients connect to: every port but some, one port before every port,
 * one port of a client through several. */
#include "knock.h"

#include <arpa/inet.h>
#include <errno.h>

#include <bpf/bpf.h>

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

/* Connections of one client port to all of the ports; when they are to live
 * at once, all but the first may have another port at the backend. */
static void tuples_connect(struct talk *t, struct lab *lab, struct mode m, bool at_once)
{
	for (unsigned i = 0; i < TUPLES; i++) {
		mode_talk(&t[i], lab, m, IPPROTO_TCP, 7);
		t[i].client.to_port = 1000 + i;
		t[i].client.seq += 100000 * at_once;
		t[i].translates = at_once && i;
		assert_int_equal(talk_connect(&t[i]), TALK_FORWARDED);
		if (!at_once)
			close_both(&t[i]);
	}
}

/* The same to one port of one backend: there they would be one connection, so
 * all but one get another client port; also in the place of those that were
 * closed, which had none. */
static void test_one_client_port_is_translated_where_it_would_collide(void **state)
{
	struct lab *lab = *state;
	static struct talk t[TUPLES];

	lab_backends(lab, 0, 2, 1);
	listen_everywhere(lab, 0);
	for_each_mode(m) {
		__u64 aliased = lab_reasons(lab, PERCH_R_ALIASED);

		tuples_connect(t, lab, m, false);
		assert_int_equal(lab_reasons(lab, PERCH_R_ALIASED) - aliased, 0);
		tuples_connect(t, lab, m, true);
		assert_int_equal(lab_reasons(lab, PERCH_R_ALIASED) - aliased, TUPLES - 1);
		assert_apart(t);
		for (unsigned i = 0; i < TUPLES; i++) {
			assert_int_equal(talk_backend(&t[i], TCP_ACK, 10), TALK_FORWARDED);
			assert_int_equal(talk_client(&t[i], TCP_ACK, 10), TALK_FORWARDED);
		}
		assert_int_equal(flows_left(&lab->datapath.maps, NULL), TUPLES * (mode_number(m) + 1));
	}
	assert_int_equal(tables_hand_back(lab->tables, 0), 0);
	assert_int_equal(tables_hand_back(lab->tables, 1), 0);
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
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
