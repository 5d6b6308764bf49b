/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Rounds: a round is its seed and how many inputs it has.  They are kept, so
 * that a round in which kernel and model differ can be played again with some
 * of them left out, and shrinks to the few that make the difference.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"

#define LOOK_ALL 4096		/* inputs between two looks at everything */
#define SHRINK_S 60
#define HEADERS 96		/* bytes of a packet that are told */

/* The client of a flow, as its backend has it. */
struct end {
	struct perch_address address;
	__be16 port;		/* 0: its own */
};

/* What the record had, and what the replay has instead. */
struct moved {
	struct end was, is;
};

struct record {
	struct input *in;
	bool *keep;
	struct end *alias;	/* as an input's flow got one */
	__u32 n;
};

static void input_copy(struct input *to, const struct input *from)
{
	size_t size = offsetof(struct packet, byte) + from->packet->length;

	*to = *from;
	to->packet = malloc(size);
	if (!to->packet)
		abort();
	memcpy(to->packet, from->packet, size);
}

static void record_open(struct record *r, __u32 most)
{
	r->n = 0;
	r->in = calloc(most, sizeof(*r->in));
	r->keep = calloc(most, sizeof(*r->keep));
	r->alias = calloc(most, sizeof(*r->alias));
	if (!r->in || !r->keep || !r->alias)
		abort();
}

static void record_close(struct record *r)
{
	for (__u32 i = 0; i < r->n; i++)
		free(r->in[i].packet);
	free(r->in);
	free(r->keep);
	free(r->alias);
}

int round_begin(struct fuzz *z, __u64 seed)
{
	const struct maps *maps = &z->real.lab.datapath.maps;
	int err = config_begin(z, seed);

	if (err)
		return err;
	generate_begin(z);
	model_reset(&z->model);
	z->model.now = maps->control->tick;
	compare_adopt(z);
	z->steps = 0;
	return 0;
}

static void tell_input(const struct fuzz *z, const struct input *in)
{
	static const char *const hooks[] = { "xdp", "tc_in", "tc_out" };
	static struct packet headers;

	if (!z->report)
		return;
	if (in->is_op) {
		fprintf(z->report, "input %u: %s %u %u %u\n", z->steps, op_name(in->op), in->a, in->b, in->c);
		return;
	}
	fprintf(z->report, "input %u: a packet of %u bytes at %s of %s%s, gso %u x %u\n", z->steps, in->packet->length,
		hooks[in->hook], in->from_backend ? "b0" : "c0", in->complete ? ", checksum complete" : "", in->gso_segs,
		in->gso_size);
	headers.length = in->packet->length < HEADERS ? in->packet->length : HEADERS;
	memcpy(headers.byte, in->packet->byte, headers.length);
	packet_print(&headers, NULL, z->report);
}

static bool op_run(struct fuzz *z, const struct input *in)
{
	FILE *report = z->report;
	bool same = true;

	z->tally.ops++;
	z->model.outcome = (struct model_outcome){ .hook = PERCH_HOOK_XDP };
	if (op_apply(z, in))
		return false;
	if (in->op != OP_SWEEP && in->op != OP_DEADMAN)
		return true;
	z->report = z->model.outcome.unsure ? NULL : report;
	same = compare_step(z, in, &z->model.outcome) && compare_all(z);
	z->report = report;
	if (!same && z->model.outcome.unsure) {
		compare_adopt(z);
		z->tally.unsure++;
		same = true;
	}
	return same;
}

static bool packet_run(struct fuzz *z, const struct input *in)
{
	const struct model_outcome *o;
	FILE *report = z->report;
	struct model_run run;
	bool same;

	real_run(&z->real, in);
	run = (struct model_run){
		.hook = in->hook, .gso_size = in->gso_size, .gso_segs = in->gso_segs, .in = in->packet,
		.ifindex = in->from_backend ? z->real.lab.backend.ifindex : z->real.lab.client.ifindex,
		.began = z->real.began, .ended = z->real.ended, .told = z->real.lab.datapath.maps.flows,
	};
	o = model_step(&z->model, &run);
	z->tally.packets++;
	z->tally.rewritten += o->rewritten;
	if (o->unsure)
		z->report = NULL;
	same = compare_step(z, in, o);
	z->report = report;
	if (!same && o->unsure) {
		compare_adopt(z);
		z->tally.unsure++;
		same = true;
	}
	generate_learn(z, in, o);
	return same;
}

bool input_run(struct fuzz *z, const struct input *in)
{
	bool same = in->is_op ? op_run(z, in) : packet_run(z, in);

	z->steps++;
	z->tally.inputs++;
	if (same && z->steps % LOOK_ALL == 0)
		same = compare_all(z);
	return same;
}

static struct end alias_end(const struct fuzz *z, const struct input *in)
{
	const struct model_outcome *o = &z->model.outcome;
	struct end e = { .address = o->alias_client, .port = o->alias };
	struct packet_spec s;

	/* nat's has the client's own address */
	if (o->alias && !e.address.word[2] && !packet_read(in->packet, &s))
		e.address = s.from;
	return e;
}

/* Generate and run n inputs; how many ran before one made a difference. */
static __u32 round_record(struct fuzz *z, __u64 seed, __u32 n, struct record *r)
{
	static struct packet packet;
	bool same = true;

	if (round_begin(z, seed)) {
		fprintf(stderr, "fuzz: seed %llu: the services do not come up\n", (unsigned long long)seed);
		exit(2);
	}
	while (same && r->n < n) {
		struct input in = { .packet = &packet };

		packet.length = 0;
		generate(z, &in);
		input_copy(&r->in[r->n], &in);
		r->keep[r->n] = true;
		same = input_run(z, &in);
		if (!in.is_op)
			r->alias[r->n] = alias_end(z, &in);
		r->n++;
	}
	if (same)
		same = compare_all(z);
	z->tally.rounds++;
	return same ? n : r->n - 1;
}

bool round_run(struct fuzz *z, __u64 seed, __u32 n)
{
	struct record r;
	__u32 ran;

	record_open(&r, n);
	ran = round_record(z, seed, n, &r);
	if (ran < n && z->report) {
		z->steps = ran;
		tell_input(z, &r.in[ran]);
	}
	record_close(&r);
	return ran == n;
}

/* Bytes of p over others, and into the checksums at `sum`, 0: none (RFC 1624). */
static void put(struct packet *p, __u32 at, const void *with, __u32 n, const __u32 sum[2])
{
	for (__u32 i = 0; i < n; i += 2)
		for (unsigned k = 0; k < 2; k++) {
			__u8 *check = p->byte + sum[k], *old = p->byte + at + i;
			const __u8 *new = (const __u8 *)with + i;
			__u32 s = (__u16)~(check[0] << 8 | check[1]) + (__u16)~(old[0] << 8 | old[1]) + (new[0] << 8 | new[1]);

			s = (s & 0xffff) + (s >> 16);
			s = ~((s & 0xffff) + (s >> 16));
			if (sum[k]) {
				check[0] = s >> 8;
				check[1] = s;
			}
		}
	memcpy(p->byte + at, with, n);
}

static void send_to(struct packet *p, const struct end *to)
{
	struct packet_layout l;
	__u32 sum[2], n;

	if (packet_lay_out(p, &l))
		return;
	n = l.ip_sum ? 4 : 16;
	sum[0] = l.ip_sum;
	sum[1] = l.protocol == IPPROTO_UDP && !(p->byte[l.sum] | p->byte[l.sum + 1]) ? 0 : l.sum;
	put(p, l.ip + (n == 4 ? 16 : 24), (const __u8 *)&to->address + 16 - n, n, sum);
	sum[0] = 0;
	put(p, l.transport + 2, &to->port, 2, sum);
}

/* What a backend sends to the end of the record goes to the one of the replay:
 * the port of nat's alias is drawn by the kernel, and fullnat's follows from what
 * came before.  The last one counts. */
static void follow_alias(struct packet *p, const struct moved *moved, __u32 n)
{
	struct packet_spec s;

	if (packet_read(p, &s))
		return;		/* what is spoiled is left as it is */
	while (n--) {
		const struct moved *m = &moved[n];

		if (m->was.port != htons(s.to_port) || memcmp(&m->was.address, &s.to, sizeof(s.to)))
			continue;
		send_to(p, &m->is);
		return;
	}
}

/* The round once more with what is kept alone; true: nothing differs. */
static bool replay(struct fuzz *z, __u64 seed, const struct record *r)
{
	struct moved *moved = calloc(r->n, sizeof(*moved));
	static struct packet packet;
	bool same = true;
	__u32 n = 0;

	if (!moved)
		abort();
	if (round_begin(z, seed))
		exit(2);
	for (__u32 i = 0; i < r->n && same; i++) {
		struct input in = r->in[i];

		if (!r->keep[i])
			continue;
		if (!in.is_op) {
			memcpy(&packet, in.packet, offsetof(struct packet, byte) + in.packet->length);
			in.packet = &packet;
			if (in.from_backend)
				follow_alias(&packet, moved, n);
		}
		z->steps = i;
		tell_input(z, &in);
		same = input_run(z, &in);
		if (r->alias[i].port && z->model.outcome.alias && !in.is_op)
			moved[n++] = (struct moved){ r->alias[i], alias_end(z, &in) };
	}
	free(moved);
	return same && compare_all(z);
}

static void tell_kept(const struct fuzz *z, __u64 seed, const struct record *r)
{
	const char *comma = "";

	printf("# fuzz -s %llu -n %u -k ", (unsigned long long)seed, r->n);
	for (__u32 i = 0; i < r->n; i++) {
		__u32 to = i;

		if (!r->keep[i])
			continue;
		while (to + 1 < r->n && r->keep[to + 1])
			to++;
		printf(to == i ? "%s%u" : "%s%u-%u", comma, i, to);
		comma = ",";
		i = to;
	}
	putchar('\n');
}

/* Leave out what the difference does not need: halves first, single inputs
 * last; the last input is what differs. */
bool round_shrink(struct fuzz *z, __u64 seed, __u32 n)
{
	FILE *report = z->report;
	time_t until = time(NULL) + SHRINK_S;
	struct record r;
	__u32 ran;

	record_open(&r, n);
	z->report = NULL;
	ran = round_record(z, seed, n, &r);
	if (ran < n && replay(z, seed, &r)) {
		printf("# it does not differ when it is played again\n");
		ran = n;
	}
	for (__u32 size = ran / 2; ran < n && size; size /= 2)
		for (__u32 at = 0; at < ran && time(NULL) < until; at += size) {
			__u32 to = at + size < ran ? at + size : ran;
			bool *was = malloc(to - at);

			if (!was)
				abort();
			memcpy(was, r.keep + at, to - at);
			memset(r.keep + at, 0, to - at);
			if (memchr(was, 1, to - at) && replay(z, seed, &r))
				memcpy(r.keep + at, was, to - at);
			free(was);
		}
	z->report = report;
	if (ran < n) {
		replay(z, seed, &r);
		tell_kept(z, seed, &r);
	}
	record_close(&r);
	return ran < n;
}

static void read_keep(struct record *r, const char *keep)
{
	memset(r->keep, 0, r->n);
	while (*keep) {
		char *end;
		unsigned long from = strtoul(keep, &end, 10), to = *end == '-' ? strtoul(end + 1, &end, 10) : from;

		for (unsigned long i = from; i <= to && i < r->n; i++)
			r->keep[i] = true;
		keep = end + (*end == ',');
		if (*end && *end != ',')
			break;
	}
}

bool round_keep(struct fuzz *z, __u64 seed, __u32 n, const char *keep)
{
	FILE *report = z->report;
	struct record r;
	bool same;

	record_open(&r, n);
	z->report = NULL;
	round_record(z, seed, n, &r);
	z->report = report;
	read_keep(&r, keep);
	same = replay(z, seed, &r);
	record_close(&r);
	return same;
}
