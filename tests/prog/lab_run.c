/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The fixture's work: packets through the programs, counts read back. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "lab.h"

/* Linux 6.17; what older headers lack. */
#define TEST_SKB_CHECKSUM_COMPLETE (1U << 2)

int lab_pass(enum lab_hook hook)
{
	return hook == LAB_XDP ? XDP_PASS : TC_ACT_OK;
}

int lab_forward(enum lab_hook hook)
{
	return hook == LAB_XDP ? XDP_REDIRECT : TC_ACT_REDIRECT;
}

static int program_fd(const struct lab *lab, const struct lab_run *how)
{
	const char *name = how->hook == LAB_XDP ? "perch_xdp" : how->egress ? "perch_tc_out" : "perch_tc_in";

	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(lab->datapath.program[i].name, name))
			return lab->datapath.program[i].fd;
	return -ENOENT;
}

int lab_run(struct lab *lab, const struct lab_run *how, const struct packet *in, struct packet *out)
{
	struct xdp_md xdp = { .data_end = in->length, .ingress_ifindex = how->ifindex };
	struct __sk_buff skb = {
		.ifindex = how->ifindex, .ingress_ifindex = how->egress ? 0 : how->ifindex,
		.gso_size = how->gso_size, .gso_segs = how->gso_segs,
	};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->byte, .data_size_in = in->length,
		    .data_out = out->byte, .data_size_out = sizeof(out->byte), .repeat = 1);
	int fd = program_fd(lab, how), err;

	if (how->hook == LAB_XDP) {
		run.ctx_in = &xdp;
		run.ctx_size_in = sizeof(xdp);
	} else {
		run.ctx_in = &skb;
		run.ctx_size_in = sizeof(skb);
		run.flags = how->complete ? TEST_SKB_CHECKSUM_COMPLETE : 0;
	}
	err = fd < 0 ? fd : bpf_prog_test_run_opts(fd, &run);
	if (err)
		return err;
	out->length = run.data_size_out;
	/* TCX_NEXT and TC_ACT_OK both go up the stack */
	return how->hook == LAB_TC && (int)run.retval == -1 ? TC_ACT_OK : (int)run.retval;
}

/* Sum an element of a per-CPU array of 64-bit counters into out[n]. */
static void sum_cpus(const struct lab *lab, int fd, __u32 element, __u64 *out, size_t n)
{
	__u64 *all = calloc(lab->cpus, n * sizeof(*all));

	memset(out, 0, n * sizeof(*out));
	if (!all || bpf_map_lookup_elem(fd, &element, all)) {
		fprintf(stderr, "lab: counters of element %u: %s\n", element, strerror(errno));
		abort();
	}
	for (size_t i = 0; i < lab->cpus * n; i++)
		out[i % n] += all[i];
	free(all);
}

__u64 lab_reason(const struct lab *lab, enum perch_hook hook, enum perch_reason reason)
{
	struct perch_reason_counts counts;

	sum_cpus(lab, lab->datapath.maps.reasons_fd, 0, &counts.n[0][0], sizeof(counts) / sizeof(__u64));
	return counts.n[hook][reason];
}

__u64 lab_reasons(const struct lab *lab, enum perch_reason reason)
{
	__u64 sum = 0;

	for (unsigned hook = 0; hook < PERCH_HOOKS; hook++)
		sum += lab_reason(lab, hook, reason);
	return sum;
}

void lab_counters(const struct lab *lab, __u32 backend, struct perch_counters *ret)
{
	sum_cpus(lab, lab->datapath.maps.counters_fd, backend, (__u64 *)ret, sizeof(*ret) / sizeof(__u64));
}

void lab_votes(const struct lab *lab, bool v6, unsigned slot, struct perch_votes *ret)
{
	__u32 element = lab->datapath.maps.services[v6].observed * PERCH_SLOTS + slot;

	sum_cpus(lab, lab->datapath.maps.votes_fd, element, (__u64 *)ret, sizeof(*ret) / sizeof(__u64));
}

__u64 lab_active(const struct lab *lab)
{
	struct perch_counters c;
	__u64 active = 0;

	for (__u32 backend = 1; backend < lab->datapath.maps.control->backends_n; backend++) {
		lab_counters(lab, backend, &c);
		active += c.opened - c.ended;
	}
	return active;
}

struct wanted {
	const struct perch_address *client;
	__be16 port;
	struct flow_copy *ret;
	int err;
};

static bool is_wanted(void *arg, const struct flow_copy *f)
{
	struct wanted *w = arg;

	if (f->flow.key.client_port != w->port || memcmp(&f->flow.key.client, w->client, sizeof(*w->client)))
		return true;
	*w->ret = *f;
	w->err = 0;
	return false;
}

int lab_flow(const struct lab *lab, const struct perch_address *client, __u16 port, struct flow_copy *ret)
{
	/* cppcheck-suppress ctuuninitvar ; it is only written to */
	struct wanted w = { client, htons(port), ret, -ENOENT };

	flows_walk(&lab->datapath.maps, is_wanted, &w);
	return w.err;
}

size_t lab_age(struct lab *lab, unsigned seconds)
{
	const struct perch_control *c = lab->datapath.maps.control;
	__u32 ticks = seconds * c->hz >> c->tick_shift;
	size_t n = 0;

	for (__u32 i = 0; i < c->flow_sets * PERCH_WAYS; i++) {
		__u64 *at = &lab->datapath.maps.flows[i / PERCH_WAYS].tag[i % PERCH_WAYS], old = *at;

		if (!perch_tag_fingerprint(old))
			continue;
		__atomic_compare_exchange_n(at, &old, (old & ~0xffffffull) | ((old - ticks) & 0xffffff), false,
					    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
		n++;
	}
	return n;
}
