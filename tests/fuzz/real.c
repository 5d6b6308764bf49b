/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The programs in the kernel, as the fuzzer runs them: the fixture of program
 * tests with its clock stopped.  The loader takes the length of a tick from
 * the pinned `control`: there it is written long, and the programs loaded
 * again; the timer goes when its element is written over.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "fuzz.h"

#define TICK_SHIFT 26		/* a tick of days; see FUZZ_TICKS */
#define COMPLETE (1U << 2)	/* BPF_F_TEST_SKB_CHECKSUM_COMPLETE, Linux 6.17 */

static struct perch_address v4(__u32 host_order)
{
	return (struct perch_address){ { 0, 0, htonl(0xffff), htonl(host_order) } };
}

static struct perch_address v6(__u32 high, __u32 low)
{
	return (struct perch_address){ { htonl(high), 0, 0, htonl(low) } };
}

static void add_route(struct model_world *w, struct perch_address to, __u32 bits, __u32 ifindex,
		      struct perch_address gateway)
{
	w->route[w->routes++] = (struct model_route){ .to = to, .bits = bits, .ifindex = ifindex, .gateway = gateway };
}

static void add_neighbour(struct model_world *w, struct perch_address address, const __u8 *mac)
{
	struct model_neighbour *n = &w->neighbour[w->neighbours++];

	n->address = address;
	memcpy(n->mac, mac, sizeof(n->mac));
}

/* What lab.c has set up. */
static void describe_world(struct real *r)
{
	const struct perch_address link = { { 0 } };
	struct model_world *w = &r->world;
	__u32 c = r->lab.client.ifindex, b = r->lab.backend.ifindex;

	*w = (struct model_world){ .mtu = 1500 };
	add_route(w, v4(0x0a010000), 120, c, link);
	add_route(w, v4(0x0a020000), 120, b, link);
	add_route(w, v4(0x0a640000), 110, c, v4(0x0a0100fe));
	add_route(w, v6(0xfd010000, 0), 64, c, link);
	add_route(w, v6(0xfd020000, 0), 64, b, link);
	add_route(w, v6(0xfd0c0000, 0), 16, c, v6(0xfd010000, 0xfe));
	add_route(w, v4(0x0a010001), 128, 0, link);
	add_route(w, v4(0x0a020001), 128, 0, link);
	add_route(w, v6(0xfd010000, 1), 128, 0, link);
	add_route(w, v6(0xfd020000, 1), 128, 0, link);
	add_neighbour(w, v4(0x0a0100fe), lab_gateway_mac());
	add_neighbour(w, v6(0xfd010000, 0xfe), lab_gateway_mac());
	for (unsigned host = 2; host < 2 + LAB_BACKENDS; host++) {
		__u8 mac[6];

		lab_backend_mac(host, mac);
		add_neighbour(w, lab_backend(false, host), mac);
		add_neighbour(w, lab_backend(true, host), mac);
	}
}

/* Where the walk of the sweeper stands is kept. */
void real_stop_clockwork(struct real *r)
{
	__u64 element[8];
	__u32 zero = 0;
	int fd = r->lab.datapath.maps.timers_fd;

	if (!bpf_map_lookup_elem(fd, &zero, element))
		bpf_map_update_elem(fd, &zero, element, BPF_ANY);
	r->ended = lab_now();
}

/* The loader waits to see the clock move; here it does not by itself. */
struct mover {
	pthread_t thread;
	struct maps maps;
	bool over;
};

static void *mover_run(void *arg)
{
	const struct timespec nap = { 0, 1000000 };
	struct mover *m = arg;

	while (!__atomic_load_n(&m->over, __ATOMIC_ACQUIRE)) {
		__atomic_fetch_xor(&m->maps.control->tick, 1u << 23, __ATOMIC_RELAXED);
		nanosleep(&nap, NULL);
	}
	return NULL;
}

static int open_moving(struct lab *lab, const struct datapath_options *o, char *why)
{
	const struct timespec some_runs = { 0, 50000000 };
	struct mover m = { .over = false };
	int err = maps_open(&m.maps, lab->pin_path, why);

	if (err)
		return err;
	if (pthread_create(&m.thread, NULL, mover_run, &m)) {
		maps_close(&m.maps);
		return -EAGAIN;
	}
	err = datapath_open(&lab->datapath, o, why);
	__atomic_store_n(&m.over, true, __ATOMIC_RELEASE);
	pthread_join(m.thread, NULL);
	maps_close(&m.maps);
	/* and then its tick is the right one again */
	nanosleep(&some_runs, NULL);
	return err;
}

/* The programs once more, with ticks that do not end. */
static int load_again(struct lab *lab, char *why)
{
	struct datapath_options options = { .pin_path = lab->pin_path };
	int err, wait_ms;

	routes_close(lab->routes);
	tables_close(lab->tables);
	lab->routes = NULL;
	lab->tables = NULL;
	lab->datapath.maps.control->tick_shift = TICK_SHIFT;
	lab->datapath.maps.control->hz = (1ull << TICK_SHIFT) * FUZZ_TICKS;
	datapath_close(&lab->datapath);
	err = open_moving(lab, &options, why);
	err = err ?: tables_open(&lab->tables, &lab->datapath);
	err = err ?: routes_open(&lab->routes, &lab->datapath.maps, why);
	err = err ?: routes_read(lab->routes, &wait_ms);
	if (err)
		return err;
	routes_attached(lab->routes, "c0", true);
	routes_attached(lab->routes, "b0", true);
	routes_unpack(lab->routes, "c0", true);
	return 0;
}

static int program_fd(const struct real *r, const char *name)
{
	for (unsigned i = 0; i < 4; i++)
		if (!strcmp(r->lab.datapath.program[i].name, name))
			return r->lab.datapath.program[i].fd;
	return -ENOENT;
}

int real_open(struct real *r)
{
	const struct lab_options options = { .flow_entries = 1024 };
	char why[WHY] = "";
	int err;

	err = lab_open(&r->lab, &options) ?: load_again(&r->lab, why);
	if (err) {
		fprintf(stderr, "fuzz: datapath: %s: %s\n", why, strerror(-err));
		return err;
	}
	real_stop_clockwork(r);
	r->fd[PERCH_HOOK_XDP] = program_fd(r, "perch_xdp");
	r->fd[PERCH_HOOK_TC_IN] = program_fd(r, "perch_tc_in");
	r->fd[PERCH_HOOK_TC_OUT] = program_fd(r, "perch_tc_out");
	r->tick_fd = program_fd(r, "perch_tick");
	describe_world(r);
	return 0;
}

void real_close(struct real *r)
{
	lab_close(&r->lab);
}

void real_run(struct real *r, const struct input *in)
{
	const struct lab_port *port = in->from_backend ? &r->lab.backend : &r->lab.client;
	struct xdp_md xdp = { .data_end = in->packet->length, .ingress_ifindex = port->ifindex };
	struct __sk_buff skb = {
		.ifindex = port->ifindex, .ingress_ifindex = in->hook == PERCH_HOOK_TC_OUT ? 0 : port->ifindex,
		.gso_size = in->gso_size, .gso_segs = in->gso_segs,
	};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = in->packet->byte, .data_size_in = in->packet->length,
		    .data_out = r->out.byte, .data_size_out = sizeof(r->out.byte), .repeat = 1);
	int err;

	if (in->hook == PERCH_HOOK_XDP) {
		run.ctx_in = &xdp;
		run.ctx_size_in = sizeof(xdp);
	} else {
		run.ctx_in = &skb;
		run.ctx_size_in = sizeof(skb);
		run.flags = in->complete ? COMPLETE : 0;
	}
	r->began = lab_now();
	err = bpf_prog_test_run_opts(r->fd[in->hook], &run);
	r->ended = lab_now();
	r->verdict = err ? err : (int)run.retval;
	r->out.length = run.data_size_out;
}

/* Sum an element of a per-CPU array of n 64-bit counters into out. */
static void sum_cpus(const struct real *r, int fd, __u32 element, __u64 *out, size_t n)
{
	static __u64 all[1024 * 640];	/* the most CPUs, the largest element */

	memset(out, 0, n * sizeof(*out));
	if (r->lab.cpus * n > sizeof(all) / sizeof(all[0]) || bpf_map_lookup_elem(fd, &element, all)) {
		fprintf(stderr, "fuzz: counters of element %u: %s\n", element, strerror(errno));
		_exit(2);
	}
	for (size_t i = 0; i < r->lab.cpus * n; i++)
		out[i % n] += all[i];
}

void real_count(struct real *r)
{
	sum_cpus(r, r->lab.datapath.maps.reasons_fd, 0, &r->reasons[0][0], PERCH_HOOKS * PERCH_REASON_MAX);
}

void real_counters(const struct real *r, __u32 backend, struct perch_counters *ret)
{
	sum_cpus(r, r->lab.datapath.maps.counters_fd, backend, (__u64 *)ret, sizeof(*ret) / sizeof(__u64));
}

void real_votes(const struct real *r, __u32 element, struct model_votes *ret)
{
	struct perch_votes v;

	sum_cpus(r, r->lab.datapath.maps.votes_fd, element, (__u64 *)&v, sizeof(v) / sizeof(__u64));
	*ret = (struct model_votes){
		.connects = v.connects, .connect_failures = v.connect_failures, .established = v.established,
		.resets = v.resets, .responders = v.responders, .udp_flows = v.udp_flows,
	};
	memcpy(ret->over, v.over, sizeof(ret->over));
	for (unsigned i = 0; i < PERCH_HIST_BUCKETS; i++) {
		ret->connect_times += v.connect_time[i];
		ret->response_times += v.response_time[i];
		ret->longest_waits += v.longest_wait[i];
	}
}

int real_start_clockwork(struct real *r)
{
	struct xdp_md xdp = { .data_end = 64, .ingress_ifindex = r->lab.client.ifindex };
	__u8 nothing[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = nothing, .data_size_in = sizeof(nothing), .ctx_in = &xdp,
		    .ctx_size_in = sizeof(xdp), .repeat = 1);

	r->began = lab_now();
	return bpf_prog_test_run_opts(r->tick_fd, &run);
}
