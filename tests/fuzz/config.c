/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The services that the fuzzer steers: one of each family, one of both with
 * listeners on every port, and one whose backends are those of others, without
 * a neighbour, or without a route.  A round draws the rest.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include "../../user/core/split.h"
#include "fuzz.h"

#define LISTENS 8
#define HOSTS 4

struct service_text {
	struct perch_endpoint listen[LISTENS], door;
	struct model_backend backend[3][2 * HOSTS];
	struct perch_sources sources;
};
static struct service_text text[MODEL_SERVICES];
static const __u16 excluded = 22;

static struct perch_address address(bool v6, __u32 host)
{
	return v6 ? (struct perch_address){ { htonl(0x20010db8), 0, 0, htonl(host) } } :
		    (struct perch_address){ { 0, 0, htonl(0xffff), htonl(0xc0000200 + host) } };
}

static void listen_at(struct placed_service *s, bool v6, __u32 host, __u16 port, __u8 protocol)
{
	text[s->id].listen[s->n_listen++] = (struct perch_endpoint){
		.address = address(v6, host), .port = htons(port), .protocol = protocol,
	};
}

static void add_backend(struct placed_service *s, unsigned slot, struct perch_address a, __u16 port)
{
	struct placed_version *v = &s->version[slot];

	text[s->id].backend[slot][v->n_backends] = (struct model_backend){
		.address = a, .port = htons(port), .weight = 1 + v->n_backends % 2,
	};
	v->n_backends++;
}

static void begin_service(struct placed_service *s, unsigned id, const char *name)
{
	static const char *const versions[3] = { "v1", "v2", "v0" };
	static const enum perch_role roles[3] = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY, PERCH_ROLE_BASELINE };

	memset(&text[id], 0, sizeof(text[id]));
	*s = (struct placed_service){
		.id = id, .name = name, .listen = text[id].listen, .established = PERCH_DRAIN, .drain_ms = 30000,
		.sampling = true, .observed = id < 3, .limits = 2, .limit_us = { 1000000, 60000000 }, .n_versions = 3,
	};
	for (unsigned slot = 0; slot < 3; slot++)
		s->version[slot] = (struct placed_version){
			.slot = slot, .name = versions[slot], .role = roles[slot], .backends = text[id].backend[slot],
		};
}

/* web4 and web6: two listeners of each protocol, so that a client's port can
 * meet itself at a backend. */
static void begin_web(struct placed_service *s, bool v6)
{
	struct placed_version *canary = &s->version[1];

	begin_service(s, v6, v6 ? "web6" : "web4");
	listen_at(s, v6, 10, 80, IPPROTO_TCP);
	listen_at(s, v6, 10, 81, IPPROTO_TCP);
	listen_at(s, v6, 11, 80, IPPROTO_TCP);
	listen_at(s, v6, 10, 53, IPPROTO_UDP);
	listen_at(s, v6, 10, 54, IPPROTO_UDP);
	text[s->id].door = (struct perch_endpoint){ address(v6, 10), htons(8081), IPPROTO_TCP, 0 };
	canary->doors = &text[s->id].door;
	canary->n_doors = 1;
	add_backend(s, 0, lab_backend(v6, 2), 8080);
	add_backend(s, 0, lab_backend(v6, 3), 8080);
	add_backend(s, 1, lab_backend(v6, 4), 8080);
	add_backend(s, 1, lab_backend(v6, 12), 8080);
	add_backend(s, 2, lab_backend(v6, 5), 8080);
}

/* Every port but one, of both families; backends have the listener's port. */
static void begin_any(struct placed_service *s)
{
	begin_service(s, 2, "any");
	for (unsigned v6 = 0; v6 < 2; v6++) {
		listen_at(s, v6, 20, 0, IPPROTO_TCP);
		listen_at(s, v6, 20, 53, IPPROTO_UDP);
		for (unsigned host = 6; host < 9; host++)
			add_backend(s, host == 8, lab_backend(v6, host), 0);
		add_backend(s, 2, lab_backend(v6, 9), 0);
	}
	s->exclude = &excluded;
	s->n_exclude = 1;
}

/* Backends of the others, some that nobody reaches, a canary without IPv6; and a
 * listener at this host's own address. */
static void begin_odd(struct placed_service *s)
{
	begin_service(s, 3, "odd");
	for (unsigned v6 = 0; v6 < 2; v6++) {
		listen_at(s, v6, 30, 80, IPPROTO_TCP);
		listen_at(s, v6, 30, 53, IPPROTO_UDP);
		text[s->id].listen[s->n_listen++] = (struct perch_endpoint){
			.address = lab_backend(v6, 1), .port = htons(82), .protocol = IPPROTO_TCP,
		};
		add_backend(s, 0, lab_backend(v6, 2), 8080);
		add_backend(s, 0, lab_backend(v6, 200), 8080);	/* no neighbour */
		add_backend(s, 0, address(v6, 0x99), 8080);	/* no route */
	}
	add_backend(s, 1, lab_backend(false, 10), 8080);
	add_backend(s, 2, lab_backend(true, 11), 8080);
}

/* Takes fragments, at two addresses. */
static void begin_pieces(struct placed_service *s)
{
	begin_service(s, 7, "pieces");
	s->observed = false;
	s->fragments = true;
	for (unsigned v6 = 0; v6 < 2; v6++) {
		listen_at(s, v6, 70, 80, IPPROTO_TCP);
		listen_at(s, v6, 70, 53, IPPROTO_UDP);
		listen_at(s, v6, 71, 80, IPPROTO_TCP);
		listen_at(s, v6, 71, 54, IPPROTO_UDP);
		add_backend(s, 0, lab_backend(v6, 2), 8080);
		add_backend(s, 0, lab_backend(v6, 13), 8080);
		add_backend(s, 1, lab_backend(v6, 14), 8080);
		add_backend(s, 2, lab_backend(v6, 5), 8080);
	}
}

/* From two sources of this host, by ports that are few in every other round. */
static void begin_full(struct placed_service *s, bool few)
{
	struct perch_sources *from = &text[8].sources;

	begin_service(s, 8, "full");
	s->observed = false;
	s->forward = PERCH_FULLNAT;
	s->sources = from;
	memset(from, 0, sizeof(*from));
	from->ports = few ? perch_ports(61007, 61009) : perch_ports(50000, 65000);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		listen_at(s, v6, 80, 80, IPPROTO_TCP);
		listen_at(s, v6, 80, 81, IPPROTO_TCP);
		listen_at(s, v6, 80, 53, IPPROTO_UDP);
		add_backend(s, 0, lab_backend(v6, 2), 8080);
		add_backend(s, 0, lab_backend(v6, 13), 0);
		add_backend(s, 1, lab_backend(v6, 14), 8080);
		add_backend(s, 2, lab_backend(v6, 5), 8080);
		for (unsigned i = 0; i < 2; i++) {
			from->address[2 * v6 + i] = lab_source(v6, i);
			from->list[v6][from->n[v6]++] = 2 * v6 + i;
		}
	}
}

/* By MAC, or in tunnels, to backends of either family; one has none. */
static void begin_one_sided(struct placed_service *s, unsigned id, const char *name, enum perch_forward forward)
{
	begin_service(s, id, name);
	s->forward = forward;
	s->tunnel[PERCH_IPV4] = (struct perch_address){ { 0, 0, htonl(0xffff), htonl(0x0a020001) } };
	s->tunnel[PERCH_IPV6] = (struct perch_address){ { htonl(0xfd020000), 0, 0, htonl(1) } };
	for (unsigned v6 = 0; v6 < 2; v6++) {
		listen_at(s, v6, 10 * id, 80, IPPROTO_TCP);
		listen_at(s, v6, 10 * id, 81, IPPROTO_TCP);
		listen_at(s, v6, 10 * id, 53, IPPROTO_UDP);
		add_backend(s, 0, lab_backend(v6, 2), 0);
		add_backend(s, 0, lab_backend(v6, 13), 0);
		add_backend(s, 1, lab_backend(v6, 14), 0);
		add_backend(s, 2, v6 ? lab_backend(v6, 200) : lab_client(false, 77), 0);
	}
}

void config_plan(const struct fuzz *z, unsigned service, struct perch_plan *plan, struct perch_plan *twin)
{
	struct split_want want = {
		.rest = 0, .canary = 1, .baseline = 2, .fallback = 0,
		.canary_share = z->share[service], .baseline_share = z->baseline[service], .salt = 0x5a17 + service,
		.role = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY, PERCH_ROLE_BASELINE },
		.fallback_role = { PERCH_ROLE_STABLE, PERCH_ROLE_CANARY, PERCH_ROLE_BASELINE },
	};

	if (split_plan(&want, plan, twin))
		abort();
}

/* Bring a service into the kernel; variant: which of its backends are there,
 * a bit for each of a slot, slot by slot. */
int config_apply(struct fuzz *z, unsigned service, __u32 variant)
{
	static struct model_backend chosen[3][2 * HOSTS];
	struct placed_service s = z->placed[service];
	bool known = z->real.lab.datapath.maps.services[service].in_use;
	struct perch_plan plan, twin;
	char why[WHY] = "";
	int err;

	for (unsigned slot = 0; slot < 3; slot++) {
		struct placed_version *v = &s.version[slot];
		size_t n = 0;

		for (size_t i = 0; i < v->n_backends; i++)
			if (variant >> (slot * 8 + i) & 1)
				chosen[slot][n++] = v->backends[i];
		v->backends = chosen[slot];
		v->n_backends = n;
	}
	config_plan(z, service, &plan, &twin);
	err = tables_apply(z->real.lab.tables, &s, known ? NULL : &plan, known ? NULL : &twin, why);
	if (err)
		fprintf(stderr, "fuzz: service '%s': %s\n", s.name, why);
	return err;
}

/* Maps that no mapping shows. */
static void clear_choosers(struct fuzz *z)
{
	const struct maps *maps = &z->real.lab.datapath.maps;

	for (unsigned i = 0; i < z->model.pins; i++)
		bpf_map_delete_elem(maps->pins_fd, &z->model.pin[i].key);
	for (unsigned i = 0; i < z->model.rules; i++)
		bpf_map_delete_elem(maps->rules_fd, &z->model.rule[i].key);
	memset(maps->marks, 0, MODEL_SERVICES * sizeof(*maps->marks));
	z->model.pins = z->model.rules = 0;
}

static void clear_locks(struct fuzz *z)
{
	const struct perch_stripe open = { 0 };

	for (__u32 i = 0; i < PERCH_STRIPES; i++)
		if (z->model.locked[i])
			bpf_map_update_elem(z->real.lab.datapath.maps.stripes_fd, &i, &open, BPF_ANY);
}

static int clear_holds(struct fuzz *z)
{
	const struct maps *m = &z->real.lab.datapath.maps;
	int err = 0;

	for (__u32 id = 1; id < MODEL_BACKENDS && !err; id++) {
		const struct tables_hold none = { .backend = id };

		if (m->backends[id].held)
			err = tables_hold(z->real.lab.tables, &none, 1);
	}
	return err;
}

/* What a round leaves behind in the mapped tables, taken back. */
static void clear_tables(struct fuzz *z)
{
	const struct maps *m = &z->real.lab.datapath.maps;

	memset(m->flows, 0, m->control->flow_sets * sizeof(*m->flows));
	for (unsigned i = 0; i < MODEL_VERSIONS; i++)
		m->versions[i].sever_before = m->versions[i].drain_before = m->versions[i].drain_at = 0;
	m->control->severed = 0;
	for (unsigned i = 1; i < MODEL_LISTENERS; i++)
		m->listeners[i].leaving = m->listeners[i].adopt_until = 0;
	for (unsigned i = 1; i < MODEL_BACKENDS; i++) {
		m->backends[i].via = 0;
		m->backends[i].local = 0;
		m->backends[i].port_turn = 0;
	}
	for (unsigned i = 1; i < PERCH_DEVICES; i++)
		if (m->devices[i].in_use) {
			m->devices[i].xmit = m->devices[i].attached = m->devices[i].decap = 1;
			m->devices[i].mtu = z->model.world.mtu;
		}
	for (unsigned i = 0; i < PERCH_OBSERVED; i++) {
		m->observed[i].reflex_limit = z->sick ? 2 : 0;
		/* a canary that has begun to fail, and a stable that has not */
		m->observed[i].reflex = z->sick ? 1 | 12ull << 16 | 3ull << 48 : 0;
		m->observed[i].since_epoch = 0;
	}
}

/* Which listener has an address' fragments matters to nobody: any of its
 * service's may. */
static void find_pieces(struct fuzz *z)
{
	const struct maps *m = &z->real.lab.datapath.maps;

	z->model.n_pieces = 0;
	for (__u32 i = 1; i < MODEL_LISTENERS; i++) {
		const struct perch_listener *l = &m->listeners[i];
		struct perch_endpoint at = { .address = l->address, .protocol = l->protocol, .fragments = 1 };
		__u32 id;

		if (l->in_use && !bpf_map_lookup_elem(m->addresses_fd, &at, &id) && id == i && z->model.n_pieces < MODEL_PIECES)
			z->model.pieces[z->model.n_pieces++] = id;
	}
}

static void find_locals(struct fuzz *z)
{
	struct perch_address key, *at = NULL;

	z->model.n_local = 0;
	while (!bpf_map_get_next_key(z->real.lab.datapath.maps.locals_fd, at, &key) && z->model.n_local < MODEL_LOCALS) {
		z->model.local[z->model.n_local++] = key;
		at = &key;
	}
}

static void draw_policies(struct fuzz *z, unsigned service)
{
	struct perch_service *s = &z->real.lab.datapath.maps.services[service];
	struct dice *d = &z->dice;

	s->affinity = dice_roll(d, 2);
	s->established = dice_roll(d, 3);
	s->stable_down = dice_roll(d, 2);
	s->drain_ms = dice_one_in(d, 4) ? 3600000 : 30000;
	s->choosers = dice_roll(d, 8);
}

int config_begin(struct fuzz *z, __u64 seed)
{
	const struct maps *m = &z->real.lab.datapath.maps;
	struct perch_plan plan, twin;
	int err = clear_holds(z);

	dice_begin(&z->dice, seed);
	z->crowd = dice_one_in(&z->dice, 4);
	z->sick = dice_one_in(&z->dice, 2);
	begin_web(&z->placed[0], false);
	begin_web(&z->placed[1], true);
	begin_any(&z->placed[2]);
	begin_odd(&z->placed[3]);
	begin_one_sided(&z->placed[4], 4, "direct", PERCH_DSR);
	begin_one_sided(&z->placed[5], 5, "ipip", PERCH_IPIP);
	begin_one_sided(&z->placed[6], 6, "gue", PERCH_GUE);
	begin_pieces(&z->placed[7]);
	begin_full(&z->placed[8], dice_one_in(&z->dice, 2));
	z->model.world = z->real.world;
	clear_choosers(z);
	clear_locks(z);
	for (unsigned i = 0; i < MODEL_SERVICES && !err; i++) {
		static const __u32 shares[] = { 0, 1, 500, 5000, 9999, 10000 };

		z->share[i] = shares[dice_roll(&z->dice, 6)];
		z->baseline[i] = dice_one_in(&z->dice, 3) ? (PERCH_SHARE_ALL - z->share[i]) / 2 : 0;
		err = config_apply(z, i, ~0u);
		config_plan(z, i, &plan, &twin);
		memset(&m->splits[i], 0, sizeof(m->splits[i]));
		split_init(&m->splits[i], &plan, &twin, PERCH_BY_AGENT, lab_now() / 1000000000);
		draw_policies(z, i);
	}
	clear_tables(z);
	find_pieces(z);
	find_locals(z);
	z->model.n_excluded = 0;
	for (unsigned v6 = 0; v6 < 2; v6++)
		z->model.excluded[z->model.n_excluded++] = (struct perch_endpoint){
			address(v6, 20), htons(excluded), IPPROTO_TCP, 0,
		};
	return err;
}
