/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Severed flows that send nothing: real TCP connections in a private network
 * namespace, entries written as the kernel would have them, and both ends
 * reset by flows_sever.  What is on the wire is read from a packet socket.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "../../user/core/address.h"
#include "../../user/datapath/flows.h"
#include "../../user/datapath/tables.h"

#define SETS 4

static struct maps maps;
static struct perch_control control = { .flow_sets = SETS, .hz = 250, .tick_shift = 2, .tick = 1000, .backends_n = 4,
					.listeners_n = 4 };
static struct perch_control host;
static struct perch_version versions[PERCH_SLOTS];
static struct perch_backend backends[4];
static struct perch_listener listeners[4];
static struct perch_flow_set table[SETS] __attribute__((aligned(64)));

static int setup(void **state)
{
	memset(table, 0, sizeof(table));
	memset(versions, 0, sizeof(versions));
	memset(backends, 0, sizeof(backends));
	memset(listeners, 0, sizeof(listeners));
	maps = (struct maps){
		.control = &control, .flows = table, .versions = versions, .backends = backends, .listeners = listeners,
	};
	return 0;
}

struct end {
	int fd;
	struct perch_address address;
	__be16 port;
};

struct connection {
	struct end client, server;
	__u32 client_next, server_next;
};

static void end_name(struct end *e)
{
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} s = { .v6 = { 0 } };
	socklen_t size = sizeof(s);

	assert_int_equal(getsockname(e->fd, &s.any, &size), 0);
	if (s.any.sa_family == AF_INET) {
		e->address = (struct perch_address){ .word = { 0, 0, htonl(0xffff), s.v4.sin_addr.s_addr } };
		e->port = s.v4.sin_port;
	} else {
		memcpy(&e->address, &s.v6.sin6_addr, sizeof(e->address));
		e->port = s.v6.sin6_port;
	}
}

/* The number of the next byte that a socket will send. */
static __u32 next_of(int fd)
{
	int on = 1, off = -1 /* TCP_REPAIR_OFF_NO_WP */, queue = 2 /* TCP_SEND_QUEUE */;
	__u32 sequence = 0;
	socklen_t size = sizeof(sequence);

	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)), 0);
	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &sequence, &size), 0);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)), 0);
	return sequence;
}

static void connection_open(struct connection *c, int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr *at = family == AF_INET ? (void *)&v4 : (void *)&v6;
	socklen_t size = family == AF_INET ? sizeof(v4) : sizeof(v6);
	const struct timeval patience = { .tv_sec = 2 };
	int listener = socket(family, SOCK_STREAM, 0);

	assert_int_equal(bind(listener, at, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, at, &size), 0);
	c->client.fd = socket(family, SOCK_STREAM, 0);
	assert_int_equal(connect(c->client.fd, at, size), 0);
	c->server.fd = accept(listener, NULL, NULL);
	assert_true(c->server.fd >= 0);
	close(listener);
	setsockopt(c->client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(c->server.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	end_name(&c->client);
	end_name(&c->server);
}

/* A few bytes both ways, so that the numbers are not the first ones. */
static bool connection_works(struct connection *c)
{
	char bytes[8];

	return send(c->client.fd, "question", 8, MSG_NOSIGNAL) == 8 && recv(c->server.fd, bytes, 8, MSG_WAITALL) == 8 &&
	       send(c->server.fd, "reply", 5, MSG_NOSIGNAL) == 5 && recv(c->client.fd, bytes, 5, MSG_WAITALL) == 5;
}

static void connection_close(struct connection *c)
{
	close(c->client.fd);
	close(c->server.fd);
}

/* What the kernel would hold of it; the server is listener 1 and backend 1. */
static struct perch_flow *connection_enter(struct connection *c, unsigned set, unsigned way, __u64 created)
{
	struct perch_flow *f = &table[set].flow[way];

	c->client_next = next_of(c->client.fd);
	c->server_next = next_of(c->server.fd);
	listeners[1] = (struct perch_listener){ .address = c->server.address, .protocol = IPPROTO_TCP, .in_use = 1 };
	backends[1] = (struct perch_backend){ .address = c->server.address, .state = PERCH_BACKEND_UP, .version = 1 };
	*f = (struct perch_flow){
		.key = {
			.client = c->client.address, .client_port = c->client.port, .port = c->server.port,
			.listener = 1, .protocol = IPPROTO_TCP,
		},
		.backend = 1, .created = created, .flags = PERCH_FLOW_ANSWERED,
		.client_next = c->client_next, .backend_next = c->server_next,
	};
	table[set].tag[way] = perch_tag(77, 3, PERCH_TCP, 900);
	return f;
}

/* 0: it still lives; else how it ended. */
static int end_error(const struct end *e)
{
	char byte;

	if (recv(e->fd, &byte, 1, MSG_DONTWAIT) == 0)
		return EPIPE;
	return errno == EAGAIN ? 0 : errno;
}

static int end_wait(const struct end *e)
{
	struct pollfd p = { .fd = e->fd, .events = POLLIN };

	poll(&p, 1, 2000);
	return end_error(e);
}

static void sever_resets_both_ends(int family)
{
	struct connection c = { 0 };
	struct perch_flow *f;

	connection_open(&c, family);
	assert_true(connection_works(&c));
	f = connection_enter(&c, 2, 3, 1000);
	version_sever(&host, &versions[1], 1001);
	assert_int_equal(flows_sever(&maps, 5000), 1);
	assert_int_equal(end_wait(&c.client), ECONNRESET);
	assert_int_equal(end_wait(&c.server), ECONNRESET);
	assert_true(f->flags & PERCH_FLOW_SEVERED);
	assert_int_equal(perch_tag_class(table[2].tag[3]), PERCH_CLOSING);
	assert_int_equal(perch_tag_tick(table[2].tag[3]), 1000);
	assert_int_equal(perch_tag_fingerprint(table[2].tag[3]), 77);
	assert_int_equal(perch_tag_generation(table[2].tag[3]), 3);
	assert_int_equal(backends[1].ended_outside, 1);
	assert_int_equal(backends[1].dirty, 1);
	/* told once, counted once */
	assert_int_equal(flows_sever(&maps, 6000), 0);
	assert_int_equal(backends[1].ended_outside, 1);
	connection_close(&c);
}

static void test_sever_resets_both_ends_v4(void **state)
{
	sever_resets_both_ends(AF_INET);
}

static void test_sever_resets_both_ends_v6(void **state)
{
	sever_resets_both_ends(AF_INET6);
}

static void test_sever_leaves_later_flows_and_other_versions(void **state)
{
	struct connection later = { 0 }, other = { 0 };

	connection_open(&later, AF_INET);
	connection_open(&other, AF_INET);
	connection_enter(&later, 0, 0, 2000);
	connection_enter(&other, 0, 1, 10)->backend = 2;
	backends[2] = (struct perch_backend){ .address = other.server.address, .state = PERCH_BACKEND_UP, .version = 2 };
	version_sever(&host, &versions[1], 2000);
	assert_int_equal(flows_sever(&maps, 5000), 0);
	assert_true(connection_works(&later));
	assert_true(connection_works(&other));
	assert_int_equal(perch_tag_class(table[0].tag[0]), PERCH_TCP);
	connection_close(&later);
	connection_close(&other);
}

static void test_drain_severs_when_due_and_not_before(void **state)
{
	struct connection c = { 0 };

	connection_open(&c, AF_INET);
	connection_enter(&c, 0, 0, 2000);
	version_drain(&host, &versions[1], 3000, 1);	/* due at 1,003,000 */
	assert_int_equal(flows_sever(&maps, 1002999), 0);
	assert_true(connection_works(&c));
	connection_enter(&c, 0, 0, 2000);
	assert_int_equal(flows_sever(&maps, 1003000), 1);
	assert_int_equal(end_wait(&c.client), ECONNRESET);
	assert_int_equal(end_wait(&c.server), ECONNRESET);
	connection_close(&c);
}

static void test_sever_sends_nothing_for_what_has_no_two_ends(void **state)
{
	struct connection c = { 0 };
	struct perch_flow *f;

	connection_open(&c, AF_INET);
	version_sever(&host, &versions[1], 9000);
	f = connection_enter(&c, 0, 0, 1);
	f->key.protocol = IPPROTO_UDP;
	table[0].tag[0] = perch_tag(77, 3, PERCH_UDP, 900);
	assert_int_equal(flows_sever(&maps, 9001), 0);
	connection_enter(&c, 0, 0, 1);
	table[0].tag[0] = perch_tag(77, 3, PERCH_EMBRYONIC, 900);
	assert_int_equal(flows_sever(&maps, 9001), 0);
	connection_enter(&c, 0, 0, 1)->flags |= PERCH_FLOW_RESET;
	table[0].tag[0] = perch_tag(77, 3, PERCH_CLOSING, 900);
	assert_int_equal(flows_sever(&maps, 9001), 0);
	assert_true(connection_works(&c));
	/* half closed still has two */
	connection_enter(&c, 0, 0, 1);
	table[0].tag[0] = perch_tag(77, 3, PERCH_CLOSING, 900);
	assert_int_equal(flows_sever(&maps, 9001), 1);
	assert_int_equal(backends[1].ended_outside, 0);	/* the kernel counted it */
	assert_int_equal(end_wait(&c.client), ECONNRESET);
	connection_close(&c);
}

/* The kernel has answered one end's packet: the other is still to be told. */
static void test_sever_tells_only_the_end_that_was_not_told(void **state)
{
	struct connection c = { 0 };

	version_sever(&host, &versions[1], 9000);
	connection_open(&c, AF_INET);
	connection_enter(&c, 0, 0, 1)->flags |= PERCH_FLOW_SEVERED | PERCH_FLOW_TOLD_BACKEND;
	table[0].tag[0] = perch_tag(77, 3, PERCH_CLOSING, 900);
	assert_int_equal(flows_sever(&maps, 9001), 1);
	assert_int_equal(end_wait(&c.client), ECONNRESET);
	assert_int_equal(end_error(&c.server), 0);
	connection_close(&c);
	connection_open(&c, AF_INET6);
	connection_enter(&c, 0, 0, 1)->flags |= PERCH_FLOW_SEVERED | PERCH_FLOW_TOLD_CLIENT;
	table[0].tag[0] = perch_tag(77, 3, PERCH_CLOSING, 900);
	assert_int_equal(flows_sever(&maps, 9001), 1);
	assert_int_equal(end_wait(&c.server), ECONNRESET);
	assert_int_equal(end_error(&c.client), 0);
	assert_int_equal(flows_sever(&maps, 9001), 0);
	connection_close(&c);
}

static __u32 sum(const void *data, size_t size)
{
	const __u8 *b = data;
	__u32 s = 0;

	for (size_t i = 0; i < size; i += 2)
		s += b[i] << 8 | b[i + 1];
	return s;
}

static bool sums_up(__u32 s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s == 0xffff;
}

/* Next frame on loopback from this port, at its transport header. */
static const struct tcphdr *capture(int fd, int family, __be16 from, char frame[256])
{
	struct sockaddr_ll at = { 0 };
	socklen_t size = sizeof(at);
	const struct tcphdr *t;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, 2000) == 1) {
		memset(frame, 0, 256);
		if (recvfrom(fd, frame, 256, 0, (struct sockaddr *)&at, &size) < 0 || at.sll_pkttype == PACKET_OUTGOING)
			continue;
		t = (void *)(frame + (family == AF_INET ? sizeof(struct iphdr) : sizeof(struct ip6_hdr)));
		if (ntohs(at.sll_protocol) == (family == AF_INET ? ETH_P_IP : ETH_P_IPV6) && t->rst && t->source == from)
			return t;
	}
	return NULL;
}

static int capture_open(void)
{
	return socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL));
}

/* A flow whose ports are translated: what each end must see, byte by byte. */
static void test_reset_bytes_are_those_each_end_expects(void **state)
{
	char frame[256] = { 0 };
	const struct iphdr *ip = (void *)frame;
	const struct tcphdr *t;
	int fd = capture_open();

	assert_true(fd >= 0);
	address_parse("127.0.0.5", &listeners[1].address);
	address_parse("127.0.0.7", &backends[1].address);
	backends[1].port = htons(8080);
	backends[1].version = 1;
	table[1].flow[1] = (struct perch_flow){
		.key = { .client_port = htons(40000), .port = htons(80), .listener = 1, .protocol = IPPROTO_TCP },
		.backend = 1, .translated = htons(50000), .created = 5, .client_next = 0x11223344, .backend_next = 0xfffffff0,
	};
	address_parse("127.0.0.9", &table[1].flow[1].key.client);
	table[1].tag[1] = perch_tag(9, 1, PERCH_TCP, 900);
	version_sever(&host, &versions[1], 6);
	assert_int_equal(flows_sever(&maps, 7), 1);

	t = capture(fd, AF_INET, htons(80), frame);
	assert_non_null(t);
	assert_int_equal(ip->saddr, listeners[1].address.word[3]);
	assert_int_equal(ip->daddr, table[1].flow[1].key.client.word[3]);
	assert_int_equal(ntohs(ip->tot_len), 40);
	assert_true(sums_up(sum(ip, 20)));
	assert_int_equal(ntohs(t->dest), 40000);
	assert_int_equal(ntohl(t->seq), 0xfffffff0);
	assert_int_equal(ntohl(t->ack_seq), 0x11223344);
	assert_true(t->rst && t->ack && !t->syn && !t->fin && !t->psh);
	assert_true(sums_up(sum(&ip->saddr, 8) + IPPROTO_TCP + 20 + sum(t, 20)));

	t = capture(fd, AF_INET, htons(50000), frame);
	assert_non_null(t);
	assert_int_equal(ip->saddr, table[1].flow[1].key.client.word[3]);
	assert_int_equal(ip->daddr, backends[1].address.word[3]);
	assert_int_equal(ntohs(t->dest), 8080);
	assert_int_equal(ntohl(t->seq), 0x11223344);
	assert_true(sums_up(sum(&ip->saddr, 8) + IPPROTO_TCP + 20 + sum(t, 20)));
	close(fd);
}

static void test_reset_v6_checksum_is_right(void **state)
{
	char frame[256] = { 0 };
	const struct ip6_hdr *ip = (void *)frame;
	const struct tcphdr *t;
	struct connection c = { 0 };
	int fd = capture_open();

	connection_open(&c, AF_INET6);
	connection_enter(&c, 0, 0, 1);
	version_sever(&host, &versions[1], 6);
	assert_int_equal(flows_sever(&maps, 7), 1);
	t = capture(fd, AF_INET6, c.server.port, frame);
	assert_non_null(t);
	assert_int_equal(ntohs(ip->ip6_plen), 20);
	assert_int_equal(ip->ip6_nxt, IPPROTO_TCP);
	assert_true(sums_up(sum(&ip->ip6_src, 32) + IPPROTO_TCP + 20 + sum(t, 20)));
	connection_close(&c);
	close(fd);
}

static void test_sever_of_many_tells_every_one(void **state)
{
	struct connection c[SETS * PERCH_WAYS] = { 0 };

	for (int i = 0; i < SETS * PERCH_WAYS; i++) {
		connection_open(&c[i], AF_INET);
		connection_enter(&c[i], i / PERCH_WAYS, i % PERCH_WAYS, 1);
	}
	version_sever(&host, &versions[1], 6);
	assert_int_equal(flows_sever(&maps, 7), SETS * PERCH_WAYS);
	for (int i = 0; i < SETS * PERCH_WAYS; i++) {
		assert_int_equal(end_wait(&c[i].client), ECONNRESET);
		assert_int_equal(end_wait(&c[i].server), ECONNRESET);
		connection_close(&c[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_sever_resets_both_ends_v4, setup),
		cmocka_unit_test_setup(test_sever_resets_both_ends_v6, setup),
		cmocka_unit_test_setup(test_sever_leaves_later_flows_and_other_versions, setup),
		cmocka_unit_test_setup(test_drain_severs_when_due_and_not_before, setup),
		cmocka_unit_test_setup(test_sever_sends_nothing_for_what_has_no_two_ends, setup),
		cmocka_unit_test_setup(test_sever_tells_only_the_end_that_was_not_told, setup),
		cmocka_unit_test_setup(test_reset_bytes_are_those_each_end_expects, setup),
		cmocka_unit_test_setup(test_reset_v6_checksum_is_right, setup),
		cmocka_unit_test_setup(test_sever_of_many_tells_every_one, setup),
	};

	if (unshare(CLONE_NEWNET) || system("ip link set lo up")) {
		perror("test_reset: own network namespace");
		return 1;
	}
	return cmocka_run_group_tests_name("reset", tests, NULL, NULL);
}
