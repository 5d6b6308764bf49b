/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Plays both ends of a connection through the programs. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <netinet/in.h>
#include <string.h>

#include "talk.h"

#define TTL 64

void talk_init(struct talk *t, struct lab *lab, enum lab_hook hook, bool v6, __u8 protocol, __u32 n)
{
	memset(t, 0, offsetof(struct talk, in));
	t->lab = lab;
	t->hook = hook;
	t->client = (struct packet_spec){
		.from = lab_client(v6, n), .to = lab_listener(v6), .protocol = protocol,
		.from_port = 20000 + n % 40000, .to_port = protocol == IPPROTO_UDP ? LAB_UDP_PORT : LAB_PORT,
		.ttl = TTL, .tos = 0x28, .window = 4096, .seed = n, .seq = 1000 + n * 7919,
	};
	memcpy(t->client.from_mac, lab_gateway_mac(), 6);
	memcpy(t->client.to_mac, lab->client.mac, 6);
}

static int fault(const struct talk *t, const char *what)
{
	fprintf(stderr, "talk (%s): %s\nin:\n", t->hook == LAB_XDP ? "xdp" : "tc", what);
	packet_print(&t->in, NULL, stderr);
	fprintf(stderr, "out:\n");
	packet_print(&t->out, &t->in, stderr);
	return -EBADMSG;
}

static enum perch_forward forwards(const struct talk *t)
{
	return t->lab->web[lab_is_v6(&t->client.to)].placed.forward;
}

static void learn_backend(struct talk *t)
{
	bool full = forwards(t) == PERCH_FULLNAT;

	t->known = true;
	t->host = perch_one_sided(forwards(t)) ? t->seen.to_mac[5] : ntohl(t->seen.to.word[3]) & 0xff;
	t->backend = t->client;
	t->backend.from = t->seen.to;
	t->backend.from_port = t->seen.to_port;
	t->backend.to = full ? t->seen.from : t->client.from;
	t->backend.to_port = full || t->translates ? t->seen.from_port : t->client.from_port;
	t->backend.seq = 0x70000000 + t->client.seed * 104729;
	lab_backend_mac(t->host, t->backend.from_mac);
	memcpy(t->backend.to_mac, t->lab->backend.mac, 6);
}

/* After a packet that was sent: sequence numbers on, the next payload. */
static void advance(struct packet_spec *from, struct packet_spec *to, __u8 flags, unsigned payload)
{
	from->seq += payload + !!(flags & TCP_SYN) + !!(flags & TCP_FIN);
	to->ack = from->seq;
	from->seed += 0x10000;
}

/* What went in must have come out as `want`. */
static int compare(struct talk *t, const struct packet_spec *want)
{
	static struct packet expected;

	packet_build(&expected, want);
	if (t->shape)
		t->shape(&expected);
	if (packet_same(&t->out, &expected, NULL))
		return TALK_FORWARDED;
	fault(t, "not the bytes expected");
	packet_same(&t->out, &expected, stderr);
	return -EBADMSG;
}

/* A tunnelled packet is what is in it. */
static void unwrap(struct talk *t)
{
	static struct packet inner;

	t->wrapped = perch_tunnels(forwards(t)) && !outer_read(&t->out, &t->outer, &inner);
	if (t->wrapped)
		t->out = inner;
}

/* Run one packet; what passes and what is answered is settled here. */
static int run(struct talk *t, const struct packet_spec *send, __u32 ifindex)
{
	struct lab_run how = { .hook = t->hook, .ifindex = ifindex, .complete = t->complete };
	int verdict;
	const char *wrong;

	packet_build(&t->in, send);
	if (t->shape)
		t->shape(&t->in);
	/* what looks as if its checksum were left to the device is for TC */
	if (packet_sum_is_pseudo(&t->in))
		how.hook = LAB_TC;
	verdict = lab_run(t->lab, &how, &t->in, &t->out);
	if (verdict == -EBADMSG)
		return fault(t, "the complete checksum does not hold any more");
	if (verdict < 0)
		return verdict;
	if (verdict == lab_pass(how.hook))
		return packet_same(&t->out, &t->in, NULL) ? TALK_PASSED : fault(t, "passed, but changed");
	if (verdict == (how.hook == LAB_XDP ? XDP_DROP : TC_ACT_SHOT))
		return TALK_DROPPED;
	unwrap(t);
	wrong = packet_read(&t->out, &t->seen);
	if (wrong)
		return fault(t, wrong);
	if (!memcmp(&t->seen.to, &send->from, sizeof(send->from)))
		return TALK_ANSWERED;
	return verdict == lab_forward(how.hook) ? TALK_FORWARDED : fault(t, "neither redirected nor passed");
}

/* The outer header must be the tunnel's from here to the backend. */
static const char *check_outer(const struct talk *t)
{
	const struct outer *o = &t->outer;
	bool v6 = lab_is_v6(&o->to), gue = forwards(t) == PERCH_GUE;
	struct perch_address from = lab_backend(v6, 1), to = lab_backend(v6, t->host);
	__u8 inside = lab_is_v6(&t->client.to) ? IPPROTO_IPV6 : IPPROTO_IPIP;

	if (t->wrapped != perch_tunnels(forwards(t)))
		return "in a tunnel or not, against what its service says";
	if (!t->wrapped)
		return NULL;
	if (memcmp(&o->from, &from, sizeof(from)) || memcmp(&o->to, &to, sizeof(to)))
		return "outer addresses";
	if (o->protocol != (gue ? IPPROTO_UDP : inside))
		return "outer protocol";
	if (o->ttl != TTL || o->fragments || o->tos != (t->client.tos & 0xfc))
		return "outer hop count, DF or DSCP";
	return gue && (o->from_port < 49152 || o->sum) ? "outer source port or checksum" : NULL;
}

int talk_client(struct talk *t, __u8 flags, unsigned payload)
{
	struct packet_spec want = t->client;
	const char *wrong;
	int result;

	t->client.flags = want.flags = flags;
	t->client.payload = want.payload = payload;
	result = run(t, &t->client, t->lab->client.ifindex);
	if (result != TALK_FORWARDED)
		return result;
	if (!t->known)
		learn_backend(t);
	wrong = check_outer(t);
	if (wrong)
		return fault(t, wrong);
	if (!perch_one_sided(forwards(t))) {
		want.from = t->backend.to;
		want.from_port = t->backend.to_port;
		want.to = t->backend.from;
		want.to_port = t->backend.from_port;
	}
	want.vlans = 0;
	want.ttl--;
	memcpy(want.from_mac, t->lab->backend.mac, 6);
	memcpy(want.to_mac, t->backend.from_mac, 6);
	advance(&t->client, &t->backend, flags, payload);
	return compare(t, &want);
}

int talk_backend(struct talk *t, __u8 flags, unsigned payload)
{
	struct packet_spec want = t->backend;
	int result;

	t->backend.flags = want.flags = flags;
	t->backend.payload = want.payload = payload;
	result = run(t, &t->backend, t->lab->backend.ifindex);
	if (result != TALK_FORWARDED)
		return result;
	want.from = t->client.to;
	want.from_port = t->client.to_port;
	want.to = t->client.from;
	want.to_port = t->client.from_port;
	want.vlans = 0;
	want.ttl--;
	memcpy(want.from_mac, t->lab->client.mac, 6);
	memcpy(want.to_mac, lab_gateway_mac(), 6);
	advance(&t->backend, &t->client, flags, payload);
	return compare(t, &want);
}

int talk_connect(struct talk *t)
{
	int result = talk_client(t, TCP_SYN, 0);

	if (result == TALK_FORWARDED)
		result = talk_backend(t, TCP_SYN | TCP_ACK, 0);
	if (result == TALK_FORWARDED)
		result = talk_client(t, TCP_ACK, 0);
	return result;
}

int talk_connect_blind(struct talk *t)
{
	int result = talk_client(t, TCP_SYN, 0);

	t->client.ack = t->backend.seq + 1;
	return result == TALK_FORWARDED ? talk_client(t, TCP_ACK, 0) : result;
}

unsigned talk_slot(const struct talk *t)
{
	return t->host >= 4;
}

int talk_flow(const struct talk *t, struct flow_copy *ret)
{
	return lab_flow(t->lab, &t->client.from, t->client.from_port, ret);
}

enum perch_class talk_class(const struct talk *t)
{
	struct flow_copy f;

	return talk_flow(t, &f) ? PERCH_FREE : f.class;
}

struct perch_flow *talk_entry(const struct talk *t)
{
	const struct maps *m = &t->lab->datapath.maps;

	for (__u32 i = 0; i < m->control->flow_sets * PERCH_WAYS; i++) {
		struct perch_flow *f = &m->flows[i / PERCH_WAYS].flow[i % PERCH_WAYS];

		if (perch_tag_fingerprint(m->flows[i / PERCH_WAYS].tag[i % PERCH_WAYS]) &&
		    !memcmp(&f->key.client, &t->client.from, sizeof(f->key.client)) &&
		    f->key.client_port == htons(t->client.from_port))
			return f;
	}
	return NULL;
}
