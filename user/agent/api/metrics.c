// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* /metrics: Prometheus' text format 0.0.4.  A family at a time, because its
 * samples must stand together. */
#include <math.h>
#include <stdio.h>

#include "../../core/address.h"
#include "../../core/compare.h"
#include "../../core/histogram.h"
#include "api.h"
#include "../health/health.h"
#include "view.h"

#define BUCKETS_PER_EDGE 8	/* an edge per octave is fine enough to plot */

struct page {
	FILE *f;
	const struct agent *a;
};

static void family(const struct page *p, const char *name, const char *type, const char *help)
{
	fprintf(p->f, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* One family over all backends; what the replies tell only where they are seen. */
static void each_backend(const struct page *p, const char *name, __u64 (*value)(const struct perch_counters *c), bool replies)
{
	const struct maps *m = &p->a->datapath.maps;
	char address[ADDRESS_TEXT];

	for (__u32 id = 1; id < m->control->backends_n; id++) {
		const struct perch_backend *b = &m->backends[id];
		const struct service *s = b->state ? p->a->by_id[b->version / PERCH_SLOTS] : NULL;
		struct perch_counters c;

		if (!s || !s->slot[b->version % PERCH_SLOTS].name[0] || (replies && view_blind(p->a, s)))
			continue;
		c = view_counters(p->a, id);
		fprintf(p->f, "%s{service=\"%s\",version=\"%s\",backend=\"%s\"} %llu\n", name, s->name,
			s->slot[b->version % PERCH_SLOTS].name, address_port_format(&b->address, b->port, address),
			value ? (unsigned long long)value(&c) : b->state == PERCH_BACKEND_UP);
	}
}

static __u64 packets(const struct perch_counters *c) { return c->packets; }
static __u64 bytes(const struct perch_counters *c) { return c->bytes; }
static __u64 connect_failures(const struct perch_counters *c) { return c->connect_failures; }
static __u64 resets(const struct perch_counters *c) { return c->resets; }

static void page_backends(const struct page *p)
{
	static const struct {
		const char *name, *type, *help;
		__u64 (*value)(const struct perch_counters *c);
		bool replies;	/* they tell it */
	} families[] = {
		{ "perch_connections_total", "counter", "Connections sent to the backend.", counters_connections, false },
		{ "perch_active_connections", "gauge", "Connections alive.", counters_active, false },
		{ "perch_packets_total", "counter", "Packets both ways.", packets, false },
		{ "perch_bytes_total", "counter", "Bytes both ways.", bytes, false },
		{ "perch_connect_failures_total", "counter", "Connections that the backend refused.", connect_failures,
		  true },
		{ "perch_resets_total", "counter", "Connections that the backend reset.", resets, true },
		{ "perch_backend_up", "gauge", "1 while the backend takes new connections.", NULL, false },
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		family(p, families[i].name, families[i].type, families[i].help);
		each_backend(p, families[i].name, families[i].value, families[i].replies);
	}
}

static void page_checks(const struct page *p)
{
	const struct maps *m = &p->a->datapath.maps;
	static const char name[] = "perch_backend_checks_total";
	char address[ADDRESS_TEXT];
	__u64 n[2];

	family(p, name, "counter", "Health checks of the backend by this agent.");
	for (__u32 id = 1; id < m->control->backends_n; id++) {
		const struct perch_backend *b = &m->backends[id];
		const struct service *s = b->state ? p->a->by_id[b->version / PERCH_SLOTS] : NULL;

		if (!s || !health_counts(p->a, s, id, &n[0], &n[1]))
			continue;
		for (int i = 0; i < 2; i++)
			fprintf(p->f, "%s{service=\"%s\",version=\"%s\",backend=\"%s\",result=\"%s\"} %llu\n", name, s->name,
				s->slot[b->version % PERCH_SLOTS].name, address_port_format(&b->address, b->port, address),
				i ? "failed" : "passed", (unsigned long long)n[i]);
	}
}

static void histogram(const struct page *p, const char *name, const struct service *s, int slot, const __u64 *h)
{
	const char *version = s->slot[slot].name;
	__u64 sum = 0;

	for (unsigned i = 0; i < PERCH_HIST_BUCKETS; i++) {
		sum += h[i];
		if ((i + 1) % BUCKETS_PER_EDGE == 0 && i + 1 < PERCH_HIST_BUCKETS)
			fprintf(p->f, "%s_bucket{service=\"%s\",version=\"%s\",le=\"%g\"} %llu\n", name, s->name, version,
				histogram_high(i), (unsigned long long)sum);
	}
	fprintf(p->f, "%s_bucket{service=\"%s\",version=\"%s\",le=\"+Inf\"} %llu\n", name, s->name, version,
		(unsigned long long)sum);
	fprintf(p->f, "%s_sum{service=\"%s\",version=\"%s\"} %.9g\n", name, s->name, version, histogram_sum(h));
	fprintf(p->f, "%s_count{service=\"%s\",version=\"%s\"} %llu\n", name, s->name, version,
		(unsigned long long)sum);
}

static void page_histograms(const struct page *p)
{
	family(p, "perch_connect_seconds", "histogram", "Time from SYN to SYN-ACK.");
	for (const struct service *s = p->a->services; s; s = s->next)
		for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
			if (s->evidence[i].votes && !view_blind(p->a, s))
				histogram(p, "perch_connect_seconds", s, i, s->evidence[i].votes->connect_time);
	family(p, "perch_response_seconds", "histogram", "Time from a request to the first byte of its response.");
	for (const struct service *s = p->a->services; s; s = s->next)
		for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
			if (s->evidence[i].votes && !view_blind(p->a, s))
				histogram(p, "perch_response_seconds", s, i, s->evidence[i].votes->response_time);
}

static void page_statuses(const struct page *p)
{
	static const char name[] = "perch_http_responses_total";

	family(p, name, "counter", "Responses in HTTP/1 whose status was read.");
	for (const struct service *s = p->a->services; s; s = s->next)
		for (int i = -1; s->model->observe & MODEL_OBSERVE_HTTP1 && (i = view_next_slot(s, i)) >= 0;)
			for (unsigned c = 0; s->evidence[i].votes && c < 5; c++)
				fprintf(p->f, "%s{service=\"%s\",version=\"%s\",code_class=\"%uxx\"} %llu\n", name, s->name,
					s->slot[i].name, c + 1, (unsigned long long)s->evidence[i].votes->http[c]);
}

/* What is known of a connection as it ends or has lasted. */
static void page_settled(const struct page *p)
{
	static const struct {
		const char *name, *help;
		size_t at;
	} kinds[] = {
		{ "perch_no_response_total", "Connections that asked for something and got nothing back.",
		  offsetof(struct perch_votes, no_response) },
		{ "perch_retransmits_total", "Connections whose client had to send something again.",
		  offsetof(struct perch_votes, retransmits) },
	};

	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
		family(p, kinds[k].name, "counter", kinds[k].help);
		for (const struct service *s = p->a->services; s; s = s->next)
			for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
				if (s->evidence[i].votes && !view_blind(p->a, s))
					fprintf(p->f, "%s{service=\"%s\",version=\"%s\"} %llu\n", kinds[k].name, s->name, s->slot[i].name,
						(unsigned long long)*(const __u64 *)((const char *)s->evidence[i].votes + kinds[k].at));
	}
}

static void page_shares(const struct page *p)
{
	family(p, "perch_weight_ratio", "gauge", "Share of the hash range, 0 to 1.");
	for (const struct service *s = p->a->services; s; s = s->next)
		for (int i = -1; (i = view_next_slot(s, i)) >= 0;)
			fprintf(p->f, "perch_weight_ratio{service=\"%s\",version=\"%s\"} %g\n", s->name, s->slot[i].name,
				service_share(s, i) / (double)PERCH_SHARE_ALL);
	family(p, "perch_actual_share_ratio", "gauge", "Share of the connections since the split last moved, 0 to 1.");
	for (const struct service *s = p->a->services; s; s = s->next) {
		for (int i = -1; (i = view_next_slot(s, i)) >= 0;) {
			double share = view_new_share(s, i);

			if (!isnan(share))
				fprintf(p->f, "perch_actual_share_ratio{service=\"%s\",version=\"%s\"} %g\n", s->name,
					s->slot[i].name, share / 100);
		}
	}
}

static void page_gates(const struct page *p)
{
	family(p, "perch_gate_log_e", "gauge", "Evidence against the canary: log E of a gate.");
	for (const struct service *s = p->a->services; s; s = s->next) {
		const struct judge *j = &s->keep.rollout.judge;

		for (unsigned g = 0; service_in_rollout(s) && g < j->n && g < s->model->rollout.n_gates; g++)
			fprintf(p->f, "perch_gate_log_e{service=\"%s\",gate=\"%s\"} %g\n", s->name,
				s->model->rollout.gate[g].name, j->gate[g].log_e);
		for (unsigned g = 0; service_in_rollout(s) && s->compare && g < COMPARE_GATES; g++)
			if (s->compare->gates >> g & 1)
				fprintf(p->f, "perch_gate_log_e{service=\"%s\",gate=\"%s compared\"} %g\n", s->name,
					compare_gate_name(g), compare_gate_log_e(s->compare, g));
	}
}

static void page_webhooks(const struct page *p)
{
	family(p, "perch_webhook_failures_total", "counter", "Messages to webhooks that were given up.");
	for (const struct service *s = p->a->services; s; s = s->next)
		fprintf(p->f, "perch_webhook_failures_total{service=\"%s\"} %llu\n", s->name,
			(unsigned long long)s->webhook_failures);
}

static void page_rollouts(const struct page *p)
{
	family(p, "perch_rollout_phase", "gauge", "1 for the phase that the service is in.");
	for (const struct service *s = p->a->services; s; s = s->next)
		for (int i = ROLLOUT_IDLE; i <= ROLLOUT_ROLLED_BACK; i++)
			fprintf(p->f, "perch_rollout_phase{service=\"%s\",phase=\"%s\"} %d\n", s->name, rollout_phase_name(i),
				s->keep.rollout.phase == (unsigned)i);
	family(p, "perch_rollbacks_total", "counter", "Rollbacks seen by this agent.");
	for (const struct service *s = p->a->services; s; s = s->next)
		for (int i = 0; i < BACK_KINDS; i++)
			fprintf(p->f, "perch_rollbacks_total{service=\"%s\",reason=\"%s\"} %llu\n", s->name,
				rollback_by_name(i), (unsigned long long)s->rollbacks[i]);
	page_gates(p);
	page_webhooks(p);
}

static const struct {
	enum perch_verdict verdict;
	const char *name;
} reasons[PERCH_REASON_COUNT] = {
#define X(name, verdict, word, text) { PERCH_V_##verdict, word },
	PERCH_REASONS(X)
#undef X
};

static void each_reason(const struct page *p, const char *name, enum perch_verdict verdict, const char *help)
{
	const struct perch_reason_counts *c = &p->a->host.reasons;

	family(p, name, "counter", help);
	for (unsigned i = 0; i < PERCH_REASON_COUNT; i++) {
		__u64 n = 0;

		for (unsigned hook = 0; hook < PERCH_HOOKS; hook++)
			n += c->n[hook][i];
		if (reasons[i].verdict == verdict)
			fprintf(p->f, "%s{reason=\"%s\"} %llu\n", name, reasons[i].name, (unsigned long long)n);
	}
}

static void number(const struct page *p, const char *name, const char *type, const char *help, double value)
{
	family(p, name, type, help);
	fprintf(p->f, "%s %.17g\n", name, value);
}

static void page_host(const struct page *p)
{
	const struct perch_control *c = p->a->datapath.maps.control;

	each_reason(p, "perch_packets_passed_total", PERCH_V_PASS, "Packets left to the stack.");
	each_reason(p, "perch_packets_dropped_total", PERCH_V_DROP, "Packets dropped.");
	each_reason(p, "perch_packets_noted_total", PERCH_V_NOTE, "Things noted beside a packet's verdict.");
	number(p, "perch_samples_lost_total", "counter", "Sample records that found the ring full.", c->samples_lost);
	number(p, "perch_events_lost_total", "counter", "Kernel events over the rate or with the ring full.",
	       c->events_lost);
	number(p, "perch_flow_table_entries", "gauge", "Entries of the flow table in use, counted every 5 seconds.",
	       c->flow_entries);
	number(p, "perch_flow_table_capacity", "gauge", "Entries of the flow table.", (double)c->flow_sets * PERCH_WAYS);
	number(p, "perch_config_last_reload_success", "gauge", "1 when the configuration on disk is in force.",
	       !p->a->config_error[0]);
	family(p, "perch_build_info", "gauge", "1, with the version.");
	fprintf(p->f, "perch_build_info{version=\"%s\"} 1\n", PERCH_VERSION);
}

void api_metrics(struct request *q)
{
	struct page p = { .a = q->agent };
	size_t size;

	p.f = open_memstream(&q->text, &size);
	if (!p.f) {
		answer_error(q, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
		return;
	}
	page_backends(&p);
	page_checks(&p);
	page_histograms(&p);
	page_statuses(&p);
	page_settled(&p);
	page_shares(&p);
	page_rollouts(&p);
	page_host(&p);
	fclose(p.f);
	q->type = "text/plain; version=0.0.4; charset=utf-8";
}
