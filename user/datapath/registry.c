/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Names and rejections in the kernel's keeping, and the rollback, which needs
 * nothing but these maps: no agent, no store, no lock.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../core/split.h"
#include "clock.h"
#include "internal.h"
#include "registry.h"
#include "tables.h"

/* Readers in other processes see the whole name or none: its first byte is
 * the last to come and the first to go. */
static void put_name(char to[PERCH_NAME_LEN], const char *name)
{
	char image[PERCH_NAME_LEN] = { 0 };

	snprintf(image, sizeof(image), "%s", name);
	if (!memcmp(to, image, sizeof(image)))
		return;
	__atomic_store_n(&to[0], '\0', __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	memcpy(to + 1, image + 1, sizeof(image) - 1);
	__atomic_store_n(&to[0], image[0], __ATOMIC_RELEASE);
}

int registry_find(const struct maps *m, const char *service)
{
	if (!service[0])
		return -ENOENT;
	for (unsigned id = 0; id < m->control->services; id++)
		if (!strncmp(m->names[id].name, service, PERCH_NAME_LEN))
			return id;
	return -ENOENT;
}

void registry_name_service(const struct maps *m, unsigned id, const char *name)
{
	/* another name's, if anybody's */
	__atomic_store_n(&m->names[id].leaving_until, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&m->names[id].applied, 0, __ATOMIC_RELEASE);
	put_name(m->names[id].name, name);
}

void registry_name_version(const struct maps *m, unsigned id, unsigned slot, const char *name, enum perch_role role,
			   __u64 since)
{
	struct perch_version_name *v = &m->version_names[id * PERCH_SLOTS + slot];

	__atomic_store_n(&v->role, (__u8)role, __ATOMIC_RELAXED);
	__atomic_store_n(&v->since, since, __ATOMIC_RELAXED);
	put_name(v->name, name);
}

int registry_rollout_put(const struct maps *m, __u32 id, const struct perch_rollout_blob *b, bool replace)
{
	return bpf_map_update_elem(m->rollouts_fd, &id, b, replace ? BPF_EXIST : BPF_ANY);
}

int registry_rollout_get(const struct maps *m, __u32 id, struct perch_rollout_blob *ret)
{
	return bpf_map_lookup_elem(m->rollouts_fd, &id, ret);
}

void registry_rollout_drop(const struct maps *m, __u32 id)
{
	bpf_map_delete_elem(m->rollouts_fd, &id);
}

int registry_comparison_put(const struct maps *m, __u32 id, const struct perch_comparison_blob *b)
{
	return bpf_map_update_elem(m->comparisons_fd, &id, b, BPF_ANY);
}

int registry_comparison_get(const struct maps *m, __u32 id, struct perch_comparison_blob *ret)
{
	return bpf_map_lookup_elem(m->comparisons_fd, &id, ret);
}

void registry_comparison_drop(const struct maps *m, __u32 id)
{
	bpf_map_delete_elem(m->comparisons_fd, &id);
}

static struct perch_rejection_key rejection_key(const char *service, const char *version)
{
	struct perch_rejection_key key = { 0 };

	snprintf(key.service, sizeof(key.service), "%s", service);
	snprintf(key.version, sizeof(key.version), "%s", version);
	return key;
}

int registry_reject(const struct maps *m, const char *service, const char *version, const struct perch_rejection *r)
{
	struct perch_rejection_key key = rejection_key(service, version);

	return bpf_map_update_elem(m->rejections_fd, &key, r, BPF_ANY);
}

int registry_unreject(const struct maps *m, const char *service, const char *version)
{
	struct perch_rejection_key key = rejection_key(service, version);

	return bpf_map_delete_elem(m->rejections_fd, &key);
}

bool registry_rejected(const struct maps *m, const char *service, const char *version, struct perch_rejection *ret)
{
	struct perch_rejection_key key = rejection_key(service, version);
	struct perch_rejection there;

	if (bpf_map_lookup_elem(m->rejections_fd, &key, &there))
		return false;
	if (ret)
		*ret = there;
	return true;
}

void registry_rejections(const struct maps *m,
			 void (*fn)(void *arg, const char *service, const char *version, const struct perch_rejection *r),
			 void *arg)
{
	struct perch_rejection_key key;
	struct perch_rejection r;
	bool first = true;

	while (!bpf_map_get_next_key(m->rejections_fd, first ? NULL : &key, &key)) {
		first = false;
		if (!bpf_map_lookup_elem(m->rejections_fd, &key, &r))
			fn(arg, key.service, key.version, &r);
	}
}

/* What the second half of a rollback works on. */
struct aftermath {
	const struct maps *m;
	unsigned id;
	int mode;
	__u64 now;
	struct perch_rejection rejection;
};

static void end_established(const struct aftermath *a, unsigned slot)
{
	struct perch_version *v = &a->m->versions[a->id * PERCH_SLOTS + slot];

	if (a->mode == PERCH_SEVER)
		version_sever(a->m->control, v, a->now);
	else if (a->mode == PERCH_DRAIN)
		version_drain(a->m->control, v, a->now, a->m->services[a->id].drain_ms);
}

/* Who was first is kept: a rollback that is said again changes no record. */
static int reject_slot(const struct aftermath *a, unsigned slot)
{
	const char *service = a->m->names[a->id].name;
	const char *version = a->m->version_names[a->id * PERCH_SLOTS + slot].name;
	struct perch_rejection there;

	if (!version[0])
		return 0;
	if (registry_rejected(a->m, service, version, &there) && there.epoch == a->rejection.epoch)
		return 0;
	return registry_reject(a->m, service, version, &a->rejection);
}

/* A version with a share of the plan and none of its twin has lost it, and so
 * has a canary that only pins and rules led to.  A baseline is stable by
 * another name: it is neither ended nor rejected. */
static bool lost_share(const struct aftermath *a, const struct perch_plan *plan, const struct perch_plan *twin,
		       unsigned slot)
{
	bool chosen = a->m->services[a->id].choosers && plan->role[slot] == PERCH_ROLE_CANARY;

	return (split_share(plan, slot) || chosen) && !split_share(twin, slot) &&
	       plan->role[slot] != PERCH_ROLE_BASELINE;
}

static int follow_up(const struct aftermath *a, const struct perch_plan *plan, const struct perch_plan *twin)
{
	int err = 0, failed;

	for (unsigned slot = 0; slot < PERCH_SLOTS; slot++)
		if (lost_share(a, plan, twin, slot))
			end_established(a, slot);
	for (unsigned slot = 0; slot < PERCH_SLOTS; slot++) {
		failed = lost_share(a, plan, twin, slot) ? reject_slot(a, slot) : 0;
		if (failed)
			err = failed;
	}
	return err;
}

/* The plan that a word names, if it is still there and stays while copied. */
static bool read_plan(const struct perch_split *s, __u64 word, struct perch_plan *ret)
{
	const struct perch_plan *plan = &s->plan[perch_word_plan(word) % (2 * PERCH_PAIRS)];

	if (__atomic_load_n(&plan->epoch, __ATOMIC_ACQUIRE) != perch_word_epoch(word))
		return false;
	memcpy(ret, plan, sizeof(*ret));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&plan->epoch, __ATOMIC_RELAXED) == perch_word_epoch(word);
}

int registry_rollback(const struct maps *m, unsigned id, int mode, __u32 by, const char *reason, __u64 *ret_before,
		      __u64 *ret_ns)
{
	struct perch_plan plan, twin;
	struct aftermath a = { .m = m, .id = id };
	__u64 start, before;

	if (id >= m->control->services || !m->services[id].in_use)
		return -ENOENT;
	start = clock_ns();
	before = split_rollback(&m->splits[id], by | PERCH_ROLLED_BACK);
	a.now = clock_ns();
	if (ret_ns)
		*ret_ns = a.now - start;
	if (ret_before)
		*ret_before = before;
	split_named(&m->splits[id], before | PERCH_WORD_TWIN, a.now / 1000000000);
	if (!read_plan(&m->splits[id], before & ~PERCH_WORD_TWIN, &plan) ||
	    !read_plan(&m->splits[id], before | PERCH_WORD_TWIN, &twin))
		return -ESTALE;
	a.now += REGISTRY_IN_FLIGHT_NS;
	a.mode = mode < 0 ? m->services[id].established : mode;
	a.rejection.when = time(NULL);
	a.rejection.epoch = perch_word_epoch(before) & ~1u;
	a.rejection.by = by;
	snprintf(a.rejection.reason, sizeof(a.rejection.reason), "%s", reason ?: "");
	return follow_up(&a, &plan, &twin);
}
