/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is compared.  After every packet: verdict, every byte, every reason of
 * every hook, the sets of the flow table that it may have touched (tags and
 * entries whole), its backend's counters, and what packets may change of the
 * configuration (split words, severs, the reflex).  Now and then: the whole
 * flow table, all counters, votes and next hops.  Where a packet is redirected
 * to is seen by its MACs alone; which rings were written to is not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdarg.h>
#include <string.h>

#include "fuzz.h"

static const char *const reason_names[] = {
#define X(name, verdict, word, text) word,
	PERCH_REASONS(X)
#undef X
};
static const char *const hooks[PERCH_HOOKS] = { "xdp", "tc_in", "tc_out" };

__attribute__((format(printf, 2, 3))) static bool differ(const struct fuzz *z, const char *format, ...)
{
	va_list args;

	if (!z->report)
		return false;
	va_start(args, format);
	vfprintf(z->report, format, args);
	va_end(args);
	fputc('\n', z->report);
	return false;
}

/* A RST in answer is cut to its headers, what is told of one too big quotes a
 * part, and a sum that was complete is none from then on.  The kernel's test run takes it for one that went wrong, and
 * gives no bytes. */
static bool is_cut(const struct fuzz *z, const struct input *in, const struct model_outcome *o)
{
	bool answer = o->last == PERCH_R_SEVERED || o->last == PERCH_R_STABLE_DOWN;
	bool cut = o->last == PERCH_R_TOO_BIG_TOLD || (answer && o->out->length < in->packet->length);

	return z->real.verdict == -EBADMSG && in->complete && cut;
}

static bool same_verdict(struct fuzz *z, const struct input *in, const struct model_outcome *o)
{
	static const char *const names[] = { "pass", "drop", "redirect" };
	static const int xdp[] = { XDP_PASS, XDP_DROP, XDP_REDIRECT };
	static const int tc[] = { TC_ACT_UNSPEC, TC_ACT_SHOT, TC_ACT_REDIRECT };
	int want = in->hook == PERCH_HOOK_XDP ? xdp[o->verdict] : tc[o->verdict], got = z->real.verdict;

	if (got == want)
		return true;
	if (got == -EBADMSG)
		return differ(z, "the complete checksum does not hold any more");
	return differ(z, "verdict: %d, the model says %s (%d)", got, names[o->verdict], want);
}

/* 0 and 0xffff are one number, but for a datagram, whose 0 means none. */
static bool same_none(struct fuzz *z, const struct model_outcome *o)
{
	const struct packet *got = &z->real.out, *want = o->out;
	struct packet_layout l;

	if (packet_lay_out(want, &l) || !l.sum || l.sum != l.transport + 6)
		return true;
	if ((got->byte[l.sum] | got->byte[l.sum + 1]) == 0 && (want->byte[l.sum] | want->byte[l.sum + 1]) != 0)
		return differ(z, "a datagram lost its checksum");
	return true;
}

static bool same_bytes(struct fuzz *z, const struct model_outcome *o)
{
	if (o->verdict == MODEL_DROP)
		return true;
	if (z->real.out.length == o->out->length && !memcmp(z->real.out.byte, o->out->byte, o->out->length))
		return true;
	differ(z, "bytes:");
	return packet_same(&z->real.out, o->out, z->report) && same_none(z, o);
}

static bool same_reasons(struct fuzz *z, const struct model_outcome *o)
{
	static __u64 before[PERCH_HOOKS][PERCH_REASON_MAX];
	bool same = true;

	memcpy(before, z->real.reasons, sizeof(before));
	real_count(&z->real);
	for (unsigned hook = 0; hook < PERCH_HOOKS; hook++)
		for (unsigned r = 0; r < PERCH_REASON_COUNT; r++) {
			__u64 want = hook == o->hook ? o->reason[r] : 0, got = z->real.reasons[hook][r] - before[hook][r];

			want += hook == PERCH_HOOK_XDP && r == PERCH_R_REFLEX ? o->fired[0] : 0;
			want += hook == PERCH_HOOK_XDP && r == PERCH_R_DEADMAN ? o->fired[1] : 0;
			z->tally.reason[hook][r] += want;
			if (got != want)
				same = differ(z, "reason %s at %s: %" PRIu64 ", the model says %" PRIu64, reason_names[r],
					      hooks[hook], (uint64_t)got, (uint64_t)want);
		}
	return same;
}

static void tell_entry(const struct fuzz *z, const char *who, __u64 tag, const struct perch_flow *f)
{
	const __u8 *key = (const __u8 *)&f->key;

	if (!z->report)
		return;
	fprintf(z->report, "  %-6s tag %06x generation %u class %u tick %u; ", who, perch_tag_fingerprint(tag),
		perch_tag_generation(tag), perch_tag_class(tag), perch_tag_tick(tag));
	for (unsigned i = 0; i < 16; i++)
		fprintf(z->report, "%02x", key[i]);
	fprintf(z->report, " %u to %u at listener %u protocol %u alias %u\n         backend %u translated %u epoch %u via %" PRIx64
		" created %" PRIu64 " next %08x %08x request %u flags %x\n", ntohs(f->key.client_port), ntohs(f->key.port),
		f->key.listener, f->key.protocol, f->key.alias, f->backend, ntohs(f->translated), f->epoch, (uint64_t)f->via,
		(uint64_t)f->created, f->client_next, f->backend_next, f->request_at, f->flags);
}

static bool same_set(struct fuzz *z, __u32 set)
{
	const struct perch_flow_set *real = &z->real.lab.datapath.maps.flows[set], *model = &z->model.sets[set];
	bool same = true;

	if (!memcmp(real, model, sizeof(*real)))
		return true;
	for (unsigned way = 0; way < PERCH_WAYS; way++) {
		if (real->tag[way] == model->tag[way] && !memcmp(&real->flow[way], &model->flow[way], sizeof(real->flow[way])))
			continue;
		same = differ(z, "flow table, set %u, way %u:", set, way);
		tell_entry(z, "kernel", real->tag[way], &real->flow[way]);
		tell_entry(z, "model", model->tag[way], &model->flow[way]);
	}
	return same;
}

static bool same_counters(struct fuzz *z, __u32 backend)
{
	static const char *const names[] = {
		"opened", "ended", "unlearned", "packets", "bytes", "connect_failures", "resets", "reserved",
	};
	const __u64 *want = (const __u64 *)&z->model.counters[backend];
	struct perch_counters real;
	bool same = true;

	real_counters(&z->real, backend, &real);
	for (unsigned i = 0; i < sizeof(real) / sizeof(__u64); i++)
		if (((const __u64 *)&real)[i] != want[i])
			same = differ(z, "backend %u: %s %" PRIu64 ", the model says %" PRIu64, backend, names[i],
				      (uint64_t)((const __u64 *)&real)[i], (uint64_t)want[i]);
	return same;
}

/* A time that the kernel wrote while the packet ran is taken from it. */
static void learn(const struct fuzz *z, __u64 *model, __u64 real, __u64 before, __u64 after)
{
	if (*model == before && real >= before && real <= after)
		*model = real;
}

static bool same_versions(struct fuzz *z)
{
	__u64 began = z->real.began, ended = z->real.ended;

	for (unsigned i = 0; i < MODEL_VERSIONS; i++) {
		const struct perch_version *real = &z->real.lab.datapath.maps.versions[i];
		struct perch_version *v = &z->model.t.version[i];
		__u64 drain = z->model.t.service[i / PERCH_SLOTS].drain_ms * 1000000ull;

		if (!memcmp(real, v, sizeof(*v)))
			continue;
		learn(z, &v->sever_before, real->sever_before, began, ended);
		learn(z, &v->drain_before, real->drain_before, began, ended);
		learn(z, &v->drain_at, real->drain_at, began + drain, ended + drain);
		if (memcmp(real, v, sizeof(*v)))
			return differ(z, "version %u: its times are not the model's", i);
	}
	return true;
}

static bool same_words(struct fuzz *z)
{
	for (unsigned i = 0; i < MODEL_SERVICES; i++) {
		const struct perch_split *real = &z->real.lab.datapath.maps.splits[i];
		struct perch_split *s = &z->model.t.split[i];
		__u16 observed = z->model.t.service[i].observed;

		if (s->word != real->word)
			return differ(z, "service %u: split word %" PRIx64 ", the model says %" PRIx64, i,
				      (uint64_t)real->word, (uint64_t)s->word);
		learn(z, &s->named, real->named, s->named, (s->named & ~0xffffffffull) | (__u32)(z->real.ended / 1000000000));
		if (s->named != real->named)
			return differ(z, "service %u: named %" PRIx64 ", the model says %" PRIx64, i, (uint64_t)real->named,
				      (uint64_t)s->named);
		if (observed && z->real.lab.datapath.maps.observed[observed].reflex != z->model.t.observed[observed].reflex)
			return differ(z, "service %u: the reflex is at %" PRIx64 ", the model says %" PRIx64, i,
				      (uint64_t)z->real.lab.datapath.maps.observed[observed].reflex,
				      (uint64_t)z->model.t.observed[observed].reflex);
	}
	return same_versions(z);
}

/* Changes by user space take the kernel's over, so that later is too late. */
static bool same_backends(struct fuzz *z)
{
	for (__u32 id = 1; id < MODEL_BACKENDS; id++) {
		__u32 real = perch_path_mtu(z->real.lab.datapath.maps.backends[id].path);
		__u32 want = perch_path_mtu(z->model.t.backend[id].path);

		if (z->real.lab.datapath.maps.backends[id].port_turn != z->model.t.backend[id].port_turn)
			return differ(z, "backend %u: turn %u of its ports, the model says %u", id,
				      z->real.lab.datapath.maps.backends[id].port_turn, z->model.t.backend[id].port_turn);
		if (real != want)
			return differ(z, "backend %u: path of %u, the model says %u", id, real, want);
	}
	return true;
}

/* Of what may be told in this second. */
static bool same_tokens(struct fuzz *z)
{
	__u64 real = z->real.lab.datapath.maps.control->too_big_tokens, want = z->model.t.control.too_big_tokens;

	return real == want || differ(z, "tokens of what is too big: %" PRIx64 ", the model says %" PRIx64, (uint64_t)real,
				      (uint64_t)want);
}

bool compare_step(struct fuzz *z, const struct input *in, const struct model_outcome *o)
{
	bool same = true;

	if (!in->is_op)
		same = is_cut(z, in, o) || (same_verdict(z, in, o) && same_bytes(z, o));
	same &= same_reasons(z, o);
	for (unsigned i = 0; i < o->sets; i++)
		same &= same_set(z, o->set[i]);
	if (o->backend)
		same &= same_counters(z, o->backend);
	return same & same_backends(z) & same_tokens(z) & same_words(z);
}

static bool same_next_hops(struct fuzz *z)
{
	for (__u32 id = 1; id < MODEL_BACKENDS; id++) {
		__u64 real = z->real.lab.datapath.maps.backends[id].via, want = z->model.t.backend[id].via;

		if (real != want)
			return differ(z, "backend %u: next hop %" PRIx64 ", the model says %" PRIx64, id, (uint64_t)real,
				      (uint64_t)want);
	}
	return true;
}

static bool same_votes(struct fuzz *z)
{
	bool same = true;

	for (unsigned i = 0; i < MODEL_SERVICES; i++)
		for (unsigned slot = 0; slot < 3; slot++) {
			__u32 element = z->model.t.service[i].observed * PERCH_SLOTS + slot;
			struct model_votes real, *want = &z->model.votes[element];

			if (element < PERCH_SLOTS)
				continue;
			real_votes(&z->real, element, &real);
			for (unsigned k = 0; k < sizeof(real) / sizeof(__u64); k++)
				if (((const __u64 *)&real)[k] != ((const __u64 *)want)[k])
					same = differ(z, "votes of service %u, slot %u: word %u is %" PRIu64
						      ", the model says %" PRIu64, i, slot, k,
						      (uint64_t)((const __u64 *)&real)[k],
						      (uint64_t)((const __u64 *)want)[k]);
		}
	return same;
}

bool compare_all(struct fuzz *z)
{
	bool same = same_next_hops(z) & same_votes(z);

	for (__u32 set = 0; set < z->model.n_sets; set++)
		same &= same_set(z, set);
	for (__u32 id = 1; id < MODEL_BACKENDS; id++)
		if (z->model.t.backend[id].state != PERCH_BACKEND_NONE)
			same &= same_counters(z, id);
	return same;
}

void compare_adopt(struct fuzz *z)
{
	const struct maps *maps = &z->real.lab.datapath.maps;

	model_sync(&z->model, maps);
	memcpy(z->model.sets, maps->flows, z->model.n_sets * sizeof(*z->model.sets));
	real_count(&z->real);
	for (__u32 id = 1; id < MODEL_BACKENDS; id++)
		if (maps->backends[id].state != PERCH_BACKEND_NONE)
			real_counters(&z->real, id, &z->model.counters[id]);
	for (__u32 i = PERCH_SLOTS; i < (MODEL_SERVICES + 1) * PERCH_SLOTS; i++)
		real_votes(&z->real, i, &z->model.votes[i]);
}
