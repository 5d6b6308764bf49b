// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The programs of bench_peers: loaded, pinned, and what they have seen. */
#include "../e2e/tools/tool.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "peers_pins.h"
#include "tests/bench/peers.skel.h"

void peers_load(const char *pins)
{
	struct peers_bpf *p = peers_bpf__open_and_load();
	struct bpf_program *program;
	struct bpf_map *map;
	char path[256];

	if (!p)
		die("the programs do not load: %s", strerror(errno));
	bpf_object__for_each_program(program, p->obj) {
		snprintf(path, sizeof(path), "%s/%s", pins, bpf_program__name(program));
		if (bpf_program__pin(program, path))
			die("%s: %s", path, strerror(errno));
	}
	bpf_object__for_each_map(map, p->obj) {
		snprintf(path, sizeof(path), "%s/%s", pins, bpf_map__name(map));
		if (bpf_map__pin(map, path))
			die("%s: %s", path, strerror(errno));
	}
	peers_bpf__destroy(p);
}

int peers_pinned(const char *pins, const char *name)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pins, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

struct peers_seen peers_seen_read(int seen, enum peers_place place)
{
	struct peers_seen all = { 0 }, *one;
	int cpus = libbpf_num_possible_cpus();

	one = cpus > 0 ? calloc(cpus, sizeof(*one)) : NULL;
	if (!one || bpf_map_lookup_elem(seen, &place, one))
		die("seen: %s", strerror(errno));
	for (int i = 0; i < cpus; i++) {
		all.packets += one[i].packets;
		all.first += one[i].first;
		if (one[i].last_first > all.last_first)
			all.last_first = one[i].last_first;
	}
	free(one);
	return all;
}
