/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Services, versions and backends as the JSON of docs/api.md. */
#ifndef PERCH_AGENT_VIEW_H
#define PERCH_AGENT_VIEW_H

#include <jansson.h>

#include "../agent.h"

json_t *view_service(const struct agent *a, const struct service *s);
/* The listeners that the kernel has for it, without doors. */
json_t *view_listen_placed(const struct agent *a, const struct service *s);
json_t *view_version(const struct agent *a, const struct service *s, int slot);
/* One array of the backends of a version. */
json_t *view_backends(const struct agent *a, const struct service *s, int slot);
json_t *view_weights(const struct service *s);
/* What is kept of a version over time. */
json_t *view_sample(const struct agent *a, const struct service *s, int slot);
/* {} without. */
json_t *view_labels(const struct version *v);
json_t *view_rollout(const struct agent *a, const struct service *s);
json_t *view_rollout_plan(const struct agent *a, const struct service *s);
/* The version that the rollout is, was or would be about; "" without one. */
const char *view_rollout_canary(const struct service *s);

/* A share in 0.01 % as percent. */
json_t *view_percent(__u32 share);
/* A number, or null when it is none. */
json_t *view_number(double v);
/* Bad of so many, and the canary's share of them over stable's (null: unknown). */
json_t *view_counts(__u64 bad, __u64 n);
json_t *view_ratio(__u64 canary_bad, __u64 canary_n, __u64 stable_bad, __u64 stable_n);
/* Signals by which the canary is compared with stable. */
json_t *view_compared(const struct service *s);
/* New clients by version, against the shares; null: nothing is compared. */
json_t *view_sample_ratio(const struct service *s);
/* A text, or null when there is none. */
json_t *view_text(const char *text);
/* Share of the new and of the live connections in percent, NAN: none. */
double view_new_share(const struct service *s, int slot);
double view_active_share(const struct service *s, int slot);

const char *view_backend_state(enum perch_backend_state state);
const char *view_by(__u32 flags);
const char *view_affinity(enum perch_affinity affinity);
const char *view_established(enum perch_established established);
/* Cumulative counters of one backend; zero when none were seen. */
/* Its replies are not seen: what comes of its connections is null. */
bool view_blind(const struct agent *a, const struct service *s);
struct perch_counters view_counters(const struct agent *a, __u32 backend);

/* Steps over the loaded slots: for (int i = -1; (i = view_next_slot(s, i)) >= 0;) */
int view_next_slot(const struct service *s, int slot);

#endif
