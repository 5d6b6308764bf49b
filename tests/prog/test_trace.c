/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Traces: what is asked for is told as it came, the rest is not, and nobody
 * is told anything when nobody asks. */
#include "prog.h"

#include <unistd.h>

#include <arpa/inet.h>
#include <bpf/libbpf.h>

struct told {
	struct ring_buffer *ring;
	unsigned n;
	struct perch_trace last;
};

static int take(void *arg, void *data, size_t size)
{
	struct told *told = arg;

	assert_int_equal(size, sizeof(told->last));
	memcpy(&told->last, data, size);
	told->n++;
	return 0;
}

static void listen_to(struct told *told, struct lab *lab, __u32 tracing)
{
	memset(told, 0, sizeof(*told));
	told->ring = ring_buffer__new(lab->datapath.maps.traces_fd, take, told, NULL);
	assert_non_null(told->ring);
	ring_buffer__consume(told->ring);
	told->n = 0;
	lab->datapath.maps.control->heartbeat = lab_now();
	__atomic_store_n(&lab->datapath.maps.control->tracing, tracing, __ATOMIC_RELEASE);
}

static void listen_end(struct told *told, struct lab *lab)
{
	__atomic_store_n(&lab->datapath.maps.control->tracing, 0, __ATOMIC_RELEASE);
	ring_buffer__free(told->ring);
}

/* One more trace has come, of this packet with this end. */
static void told_of(struct told *told, const struct packet_spec *s, struct mode m, enum perch_reason reason, __u8 notes)
{
	unsigned before = told->n;

	ring_buffer__consume(told->ring);
	assert_int_equal(told->n, before + 1);
	assert_memory_equal(&told->last.source, &s->from, sizeof(s->from));
	assert_memory_equal(&told->last.destination, &s->to, sizeof(s->to));
	assert_int_equal(ntohs(told->last.source_port), s->from_port);
	assert_int_equal(ntohs(told->last.destination_port), s->to_port);
	assert_int_equal(told->last.reason, reason);
	assert_int_equal(told->last.hook, mode_hook(m));
	assert_int_equal(told->last.protocol, IPPROTO_TCP);
	assert_int_equal(told->last.tcp, s->flags);
	assert_int_equal(told->last.notes, notes);
	assert_int_equal(told->last.service, m.v6);
	assert_true(told->last.backend);
	assert_true(lab_now() - told->last.time < 5000000000ull);
}

static void test_trace_tells_each_packet_with_its_end(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	struct told told;

	listen_to(&told, lab, perch_tracing(PERCH_TRACE_ON, 0, 0));
	for_each_mode(m) {
		mode_talk(&t, lab, m, IPPROTO_TCP, 1);
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_FORWARDED);
		told_of(&told, &t.client, m, PERCH_R_NEW, PERCH_TRACE_NEW_FLOW);
		assert_int_equal(talk_backend(&t, TCP_SYN | TCP_ACK, 0), TALK_FORWARDED);
		told_of(&told, &t.backend, m, PERCH_R_REPLY, PERCH_TRACE_REPLY);
		assert_int_equal(talk_client(&t, TCP_ACK, 10), TALK_FORWARDED);
		told_of(&told, &t.client, m, PERCH_R_FORWARDED, 0);
		/* a port that nobody listens at */
		mode_talk(&t, lab, m, IPPROTO_TCP, 2);
		t.client.to_port = 9;
		assert_int_equal(talk_client(&t, TCP_SYN, 0), TALK_PASSED);
		ring_buffer__consume(told.ring);
		assert_int_equal(told.last.reason, PERCH_R_NO_LISTENER);
		assert_int_equal(told.last.service, PERCH_NO_SERVICE);
		assert_int_equal(told.last.backend, 0);
	}
	listen_end(&told, lab);
}

static void test_trace_takes_what_is_asked_for_alone(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	struct told told;

	for_each_mode(m) {
		/* of the other service */
		listen_to(&told, lab, perch_tracing(PERCH_TRACE_ON | PERCH_TRACE_SERVICE, !m.v6, 0));
		mode_talk(&t, lab, m, IPPROTO_TCP, 3);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		ring_buffer__consume(told.ring);
		assert_int_equal(told.n, 0);
		listen_end(&told, lab);
		/* of this client, both ways */
		listen_to(&told, lab, perch_tracing(PERCH_TRACE_ON | PERCH_TRACE_CLIENT, 0,
						    perch_trace_client(t.client.from.word)));
		assert_int_equal(talk_client(&t, TCP_ACK, 1), TALK_FORWARDED);
		assert_int_equal(talk_backend(&t, TCP_ACK, 1), TALK_FORWARDED);
		ring_buffer__consume(told.ring);
		assert_int_equal(told.n, 2);
		mode_talk(&t, lab, m, IPPROTO_TCP, 4);
		assert_int_equal(talk_connect(&t), TALK_FORWARDED);
		ring_buffer__consume(told.ring);
		assert_int_equal(told.n, 2);
		listen_end(&told, lab);
		/* of nobody */
		listen_to(&told, lab, 0);
		assert_int_equal(talk_client(&t, TCP_ACK, 1), TALK_FORWARDED);
		ring_buffer__consume(told.ring);
		assert_int_equal(told.n, 0);
		listen_end(&told, lab);
	}
}

static void test_trace_counts_what_it_could_not_tell(void **state)
{
	struct lab *lab = *state;
	static struct talk t;
	struct told told;
	__u64 lost = lab->datapath.maps.control->traces_lost;
	unsigned sent = 6000;	/* more than the ring holds */

	listen_to(&told, lab, perch_tracing(PERCH_TRACE_ON, 0, 0));
	mode_talk(&t, lab, (struct mode){ LAB_XDP, false }, IPPROTO_TCP, 5);
	assert_int_equal(talk_connect(&t), TALK_FORWARDED);
	for (unsigned i = 3; i < sent; i++)
		assert_int_equal(talk_client(&t, TCP_ACK, 0), TALK_FORWARDED);
	ring_buffer__consume(told.ring);
	lost = lab->datapath.maps.control->traces_lost - lost;
	assert_true(lost > 0);
	assert_int_equal(told.n + lost, sent);
	listen_end(&told, lab);
}

/* Who asked has gone without a word. */
static void test_trace_ends_with_the_heartbeat(void **state)
{
	struct lab *lab = *state;
	volatile __u32 *tracing = &lab->datapath.maps.control->tracing;

	lab->datapath.maps.control->heartbeat = lab_now();
	*tracing = perch_tracing(PERCH_TRACE_ON, 0, 0);
	usleep(300000);
	assert_true(*tracing);
	lab->datapath.maps.control->heartbeat = lab_now() - 6000000000ull;
	for (unsigned i = 0; i < 200 && *tracing; i++)
		usleep(10000);
	assert_false(*tracing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_trace_tells_each_packet_with_its_end),
		prog_test(test_trace_takes_what_is_asked_for_alone),
		prog_test(test_trace_counts_what_it_could_not_tell),
		prog_test(test_trace_ends_with_the_heartbeat),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
