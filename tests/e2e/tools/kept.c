// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * kept: what the kernel and the store keep of a service, read without an agent
 * and in one shape, so that a test can say whether they agree.
 *
 *   kept kernel PINPATH SERVICE     from the pinned maps
 *   kept store STATEDIR SERVICE     from state.db
 *
 * One JSON object: canary and baseline share, the versions by slot with role
 * and rejection, and the backends that a person drains.  Of the kernel the flags of the split word as well.
 * Ends with 1 when there is no such service.
 */
#include "tool.h"

#include <bpf/bpf.h>
#include <sqlite3.h>
#include <sys/mman.h>

#include <perch/abi.h>

static const char *const roles[] = { "none", "stable", "canary", "baseline", "previous", "retiring" };

static int map_open(const char *pins, const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/maps/%s", pins, name);
	fd = bpf_obj_get(path);
	if (fd < 0)
		die("%s: %s", path, strerror(-fd));
	return fd;
}

/* The elements of an array map, which may be mapped. */
static const void *map_elements(const char *pins, const char *name, size_t *ret_n, size_t size)
{
	int fd = map_open(pins, name);
	struct bpf_map_info info = { 0 };
	__u32 length = sizeof(info);
	void *p;

	if (bpf_obj_get_info_by_fd(fd, &info, &length) || info.value_size != size)
		die("%s: not the map expected", name);
	p = mmap(NULL, (size_t)info.max_entries * size, PROT_READ, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("%s: %s", name, strerror(errno));
	*ret_n = info.max_entries;
	return p;
}

static void print_version(bool *first, int slot, const char *name, unsigned role, bool rejected)
{
	printf("%s{\"slot\":%d,\"name\":\"%s\",\"role\":\"%s\",\"rejected\":%s}", *first ? "" : ",", slot, name,
	       role < sizeof(roles) / sizeof(roles[0]) ? roles[role] : "?", rejected ? "true" : "false");
	*first = false;
}

static unsigned share_of(const struct perch_plan *plan, int slot)
{
	return slot < 0 ? 0 : slot == plan->low ? plan->low_end : slot == plan->high ? PERCH_SHARE_ALL - plan->high_from : 0;
}

static void kernel_versions(const char *pins, const char *service, const struct perch_version_name *v)
{
	int rejections = map_open(pins, "rejections");
	bool first = true;

	printf("\"versions\":[");
	for (int slot = 0; slot < PERCH_SLOTS; slot++) {
		struct perch_rejection_key key = { 0 };
		struct perch_rejection r;

		if (!v[slot].name[0])
			continue;
		snprintf(key.service, sizeof(key.service), "%s", service);
		snprintf(key.version, sizeof(key.version), "%s", v[slot].name);
		print_version(&first, slot, v[slot].name, v[slot].role, !bpf_map_lookup_elem(rejections, &key, &r));
	}
	printf("],");
}

static void print_address(bool *first, const struct perch_address *address, __be16 port)
{
	char text[INET6_ADDRSTRLEN];

	if (!address->word[0] && !address->word[1] && address->word[2] == htonl(0xffff))
		printf("%s\"%s:%u\"", *first ? "" : ",", inet_ntop(AF_INET, &address->word[3], text, sizeof(text)), ntohs(port));
	else
		printf("%s\"[%s]:%u\"", *first ? "" : ",", inet_ntop(AF_INET6, address, text, sizeof(text)), ntohs(port));
	*first = false;
}

static void kernel_drained(const char *pins, size_t service)
{
	size_t n;
	const struct perch_backend *b = map_elements(pins, "backends", &n, sizeof(*b));
	bool first = true;

	printf("\"drained\":[");
	for (size_t i = 1; i < n; i++)
		if (b[i].state != PERCH_BACKEND_NONE && b[i].service == service && b[i].held & PERCH_HELD_PERSON)
			print_address(&first, &b[i].address, b[i].port);
	printf("]}\n");
}

static int slot_of(const struct perch_version_name *v, unsigned role)
{
	for (int slot = 0; slot < PERCH_SLOTS; slot++)
		if (v[slot].name[0] && v[slot].role == role)
			return slot;
	return -1;
}

static int kernel(const char *pins, const char *service)
{
	size_t n, n_splits, n_versions;
	const struct perch_service_name *names = map_elements(pins, "names", &n, sizeof(*names));
	const struct perch_split *splits = map_elements(pins, "splits", &n_splits, sizeof(*splits));
	const struct perch_version_name *versions = map_elements(pins, "version_names", &n_versions, sizeof(*versions));

	for (size_t id = 0; id < n && id < n_splits; id++) {
		const struct perch_version_name *v = &versions[id * PERCH_SLOTS];
		__u64 word = splits[id].word;
		const struct perch_plan *plan = &splits[id].plan[perch_word_plan(word) % (2 * PERCH_PAIRS)];
		__u32 flags = perch_word_flags(word);

		if (strcmp(names[id].name, service))
			continue;
		printf("{\"epoch\":%u,\"whole\":%s,\"armed\":%s,\"paused\":%s,\"rolledBack\":%s,\"canary\":%u,\"baseline\":%u,",
		       perch_word_epoch(word), plan->epoch == perch_word_epoch(word) ? "true" : "false",
		       flags & PERCH_ARMED ? "true" : "false", flags & PERCH_PAUSED ? "true" : "false",
		       flags & PERCH_ROLLED_BACK ? "true" : "false", share_of(plan, slot_of(v, PERCH_ROLE_CANARY)),
		       share_of(plan, slot_of(v, PERCH_ROLE_BASELINE)));
		kernel_versions(pins, service, v);
		kernel_drained(pins, id);
		return 0;
	}
	return 1;
}

static sqlite3_stmt *ask(sqlite3 *db, const char *sql, const char *service)
{
	sqlite3_stmt *st;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		die("%s: %s", sql, sqlite3_errmsg(db));
	sqlite3_bind_text(st, 1, service, -1, SQLITE_STATIC);
	return st;
}

static int store(const char *dir, const char *service)
{
	bool first = true;
	sqlite3_stmt *st;
	char path[512];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/state.db", dir);
	if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
		die("%s: %s", path, sqlite3_errmsg(db));
	sqlite3_busy_timeout(db, 2000);
	st = ask(db, "SELECT canary_share, baseline_share FROM services WHERE name = ?", service);
	if (sqlite3_step(st) != SQLITE_ROW)
		return 1;
	printf("{\"canary\":%d,\"baseline\":%d,\"versions\":[", sqlite3_column_int(st, 0), sqlite3_column_int(st, 1));
	sqlite3_finalize(st);
	st = ask(db, "SELECT v.slot, v.name, v.role, r.version FROM versions v LEFT JOIN rejections r ON r.service = v.service "
		 "AND r.version = v.name WHERE v.service = ? ORDER BY v.slot", service);
	while (sqlite3_step(st) == SQLITE_ROW)
		print_version(&first, sqlite3_column_int(st, 0), (const char *)sqlite3_column_text(st, 1),
			      sqlite3_column_int(st, 2), sqlite3_column_type(st, 3) != SQLITE_NULL);
	sqlite3_finalize(st);
	printf("],\"drained\":[");
	first = true;
	st = ask(db, "SELECT address FROM drains WHERE service = ?", service);
	while (sqlite3_step(st) == SQLITE_ROW) {
		printf("%s\"%s\"", first ? "" : ",", (const char *)sqlite3_column_text(st, 0));
		first = false;
	}
	printf("]}\n");
	sqlite3_finalize(st);
	sqlite3_close(db);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "kernel"))
		return kernel(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "store"))
		return store(argv[2], argv[3]);
	fprintf(stderr, "usage: kept kernel PINPATH SERVICE | kept store STATEDIR SERVICE\n");
	return 2;
}
