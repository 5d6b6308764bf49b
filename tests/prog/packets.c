/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Tries tables of packets: each row by every hook and in each family. */
#include "packets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

static unsigned tried, rows_tried, clients;

/* Every count that there is: by hook and reason, and what backends were given. */
struct counts {
	__u64 reason[PERCH_HOOKS][PERCH_REASON_COUNT];
	__u64 packets, bytes;
};

static const char *const reasons[] = {
#define X(name, verdict, word, text) word,
	PERCH_REASONS(X)
#undef X
};

static void counts_read(const struct lab *lab, struct counts *ret)
{
	struct perch_counters c;

	for (unsigned hook = 0; hook < PERCH_HOOKS; hook++)
		for (unsigned reason = 0; reason < PERCH_REASON_COUNT; reason++)
			ret->reason[hook][reason] = lab_reason(lab, hook, reason);
	ret->packets = ret->bytes = 0;
	for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++) {
		lab_counters(lab, id, &c);
		ret->packets += c.packets;
		ret->bytes += c.bytes;
	}
}

static bool is_of_a_flow(enum perch_reason r)
{
	return r == PERCH_R_FORWARDED || r == PERCH_R_NEW || r == PERCH_R_UNLEARNED || r == PERCH_R_REPLY;
}

/* Has one been counted as its row says, and nothing else? */
static bool counts_fit(const struct trial *t, const struct counts *before, const struct counts *after)
{
	unsigned at = t->how.egress ? PERCH_HOOK_TC_OUT : mode_hook(t->mode);
	bool flow = is_of_a_flow(t->row->reason), fit = true;

	for (unsigned hook = 0; hook < PERCH_HOOKS; hook++) {
		for (unsigned r = 0; r < PERCH_REASON_COUNT; r++) {
			bool expected = hook == at && (r == t->row->reason || (t->row->note && r == t->row->note));
			__u64 n = after->reason[hook][r] - before->reason[hook][r];

			if (n == expected)
				continue;
			fprintf(stderr, "  counted %llu times \"%s\", not %u\n", (unsigned long long)n, reasons[r], expected);
			fit = false;
		}
	}
	if (after->packets - before->packets == flow && after->bytes - before->bytes == (flow ? t->in.length : 0))
		return fit;
	fprintf(stderr, "  its backend was given %llu packets and %llu bytes\n",
		(unsigned long long)(after->packets - before->packets), (unsigned long long)(after->bytes - before->bytes));
	return false;
}

static int verdict_of(enum lab_hook hook, enum said said)
{
	if (said == DROPS)
		return hook == LAB_XDP ? XDP_DROP : TC_ACT_SHOT;
	/* an answer is redirected to where it came from */
	return said == PASSES ? lab_pass(hook) : lab_forward(hook);
}

/* Where both ends are, before anything was sent. */
static void trial_begin(struct trial *t, struct lab *lab, const struct row *row, struct mode m)
{
	struct talk *k = &t->talk;

	memset(t, 0, offsetof(struct trial, talk));
	t->row = row;
	t->mode = m;
	t->how = (struct lab_run){ .hook = m.hook, .ifindex = row->reply ? lab->backend.ifindex : lab->client.ifindex };
	mode_talk(k, lab, m, row->protocol ? row->protocol : IPPROTO_TCP, clients++);
	k->host = PACKETS_HOST;
	k->backend = k->client;
	k->backend.from = lab_backend(m.v6, PACKETS_HOST);
	k->backend.from_port = LAB_BACKEND_PORT;
	k->backend.to = k->client.from;
	k->backend.to_port = k->client.from_port;
	lab_backend_mac(PACKETS_HOST, k->backend.from_mac);
	memcpy(k->backend.to_mac, lab->backend.mac, 6);
}

/* Fullnat takes the only port that there is, another one each time. */
static void trial_pin_source(struct trial *t, struct lab *lab)
{
	t->port = 61000 + clients % 4000;
	for (unsigned v6 = 0; v6 < 2; v6++)
		lab->web[v6].sources.ports = perch_ports(t->port, t->port);
	assert_int_equal(lab_apply(lab), 0);
}

static __u32 offset_of(const struct packet *p, enum base base)
{
	struct packet_layout l = { 0 };

	if (base == QUOTE)
		return icmp_quote(p);
	if (base == FRAME)
		return 0;
	assert_null(packet_lay_out(p, &l));
	return base == IP ? l.ip : l.transport;
}

/* What a description can't say. */
static void trial_spoil(struct trial *t)
{
	const struct row *r = t->row;
	__u32 at[2] = { 0 };

	for (unsigned i = 0; i < 2; i++)
		if (r->poke[i].base)
			at[i] = offset_of(&t->in, r->poke[i].base) + r->poke[i].at;
	if (r->keep.base)
		t->in.length = offset_of(&t->in, r->keep.base) + r->keep.bytes;
	for (unsigned i = 0; i < 2; i++)
		if (r->poke[i].base)
			t->in.byte[at[i]] = r->poke[i].value;
	if (r->poke[0].base == QUOTE)
		icmp_sum(&t->in);
	if (!r->build || r->build == error_passed || r->build == wrapped_as_it_came)
		t->want = t->in;
}

static bool bytes_fit(struct trial *t)
{
	static struct packet inner;
	struct outer seen;

	/* the hash of a flow, by which the way spreads flows, is nobody's to guess */
	if (t->wrapped && !outer_read(&t->out, &seen, &inner)) {
		t->outer.label = seen.label;
		t->outer.from_port = seen.from_port;
		inner = t->want;
		outer_build(&t->want, &t->outer, &inner);
	}
	if (t->row->exact && memcmp(t->out.byte, t->want.byte, t->want.length)) {
		packet_print(&t->out, NULL, stderr);
		return false;
	}
	return packet_same(&t->out, &t->want, stderr);
}

static bool trial_run(struct trial *t)
{
	static struct counts before, after;
	struct lab *lab = t->talk.lab;
	int got, want = verdict_of(t->mode.hook, t->row->said);
	bool fit;

	counts_read(lab, &before);
	got = lab_run(lab, &t->how, &t->in, &t->out);
	if (t->how.complete && got == -EINVAL)
		return true;	/* Linux before 6.17 */
	counts_read(lab, &after);
	tried++;
	fit = counts_fit(t, &before, &after);
	if (got != want)
		fprintf(stderr, "  verdict %d, not %d\n", got, want);
	if (t->row->said == DROPS)
		return fit && got == want;
	return bytes_fit(t) && fit && got == want;
}

static bool trial(struct lab *lab, const struct row *row, struct mode m, bool complete)
{
	static struct trial t;
	bool fit;

	trial_begin(&t, lab, row, m);
	t.how.complete = complete;
	if (lab->web[m.v6].placed.forward == PERCH_FULLNAT)
		trial_pin_source(&t, lab);
	fit = !row->state || row->state(&t);
	if (!fit)
		fprintf(stderr, "  the state before it did not come about\n");
	t.spec = row->reply ? t.talk.backend : t.talk.client;
	t.spec.flags = row->flags;
	t.spec.payload = row->payload;
	t.spec.vlans = row->vlans;
	t.spec.unsummed = row->unsummed;
	if (row->say)
		row->say(&t);
	if (row->build)
		row->build(&t);
	else
		as_it_came(&t);
	trial_spoil(&t);
	fit = fit && trial_run(&t);
	if (fit)
		return true;
	fprintf(stderr, "^ \"%s\" by %s%s, %s; sent was\n", row->name, m.hook == LAB_XDP ? "xdp" : "tc",
		complete ? " with a complete checksum" : "", m.v6 ? "IPv6" : "IPv4");
	packet_print(&t.in, NULL, stderr);
	return false;
}

static bool row_applies(const struct row *row, struct mode m)
{
	unsigned families = row->where & (V4 | V6), hooks = row->where & (XDP | TC);

	return (!families || families & (m.v6 ? V6 : V4)) && (!hooks || hooks & (m.hook == LAB_XDP ? XDP : TC));
}

/* Can it be run with a complete checksum?  The kernel's test would put tags into
 * the sum, which a device leaves out; and it asks for the sum of what was cut
 * shorter, where the kernel itself gives up having one. */
static bool row_completes(const struct row *row, struct mode m)
{
	return m.hook == LAB_TC && !row->vlans && row->build != told && (row->build != reset || !row->payload);
}

void packets_try(struct lab *lab, const struct row *rows, size_t n)
{
	unsigned failed = 0;

	for (size_t i = 0; i < n; i++, rows_tried++) {
		for_each_mode(m) {
			if (!row_applies(&rows[i], m))
				continue;
			failed += !trial(lab, &rows[i], m, false);
			if (row_completes(&rows[i], m))
				failed += !trial(lab, &rows[i], m, true);
		}
	}
	if (failed)
		fail_msg("%u packets were not treated as their rows say", failed);
}

unsigned packets_tried(unsigned *ret_rows)
{
	*ret_rows = rows_tried;
	return tried;
}

static void world_enter(struct lab *lab, const struct world *w)
{
	struct perch_device *d = lab->datapath.maps.devices;

	lab_web(lab);
	lab_single(lab, 0);
	lab_forwards(lab, w->forward);
	if (w->before)
		w->before(lab);
	assert_int_equal(lab_apply(lab), 0);
	for (unsigned i = 1; i < PERCH_DEVICES; i++) {
		d[i].mtu = d[i].in_use ? 1500 : 0;
		d[i].xmit = d[i].in_use ? PERCH_XMIT | PERCH_XMIT_SCATTERED : 0;
	}
	packets_local(lab, false);
	if (w->after)
		w->after(lab);
}

/* A lab takes most of the time, so it is kept as long as its services forward
 * in one way, which can't change while they are loaded. */
int packets_setup(void **state, const struct world *w)
{
	static const struct world *current;
	static struct lab lab;

	*state = &lab;
	if (w == current)
		return 0;
	if (current && (!w || w->forward != current->forward))
		lab_close(&lab);
	if (w && (!current || w->forward != current->forward))
		assert_int_equal(lab_open(&lab, NULL), 0);
	if (w)
		world_enter(&lab, w);
	current = w;
	return 0;
}

void packets_local(struct lab *lab, bool local)
{
	for (__u32 id = 1; id < lab->datapath.maps.control->backends_n; id++)
		lab->datapath.maps.backends[id].local = local;
}
