/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* From tallies to a verdict. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "compare.h"

_Static_assert((int)TRIAL_EVENTS == (int)MODEL_EVENTS && (int)TRIAL_WAITS == (int)MODEL_WAITS &&
		       (int)TRIAL_WAITS == (int)PERCH_WAITS, "gates");

/* The kernel tallies events in the trial's order. */
#define SAME(a, b) _Static_assert((int)(a) == (int)(b), "the order of events")
SAME(TRIAL_CONNECT_FAILURE, PERCH_CONNECT_FAILURE);
SAME(TRIAL_RESET, PERCH_RESET);
SAME(TRIAL_NO_RESPONSE, PERCH_NO_RESPONSE);
SAME(TRIAL_RETRANSMITS, PERCH_RETRANSMITS);
SAME(TRIAL_HTTP_4XX, PERCH_HTTP_4XX);
SAME(TRIAL_HTTP_5XX, PERCH_HTTP_5XX);
SAME(TRIAL_UDP_NO_REPLY, PERCH_UDP_NO_REPLY);
SAME(TRIAL_EVENTS, PERCH_OUTCOMES);

const char *compare_gate_name(unsigned gate)
{
	static const char *const name[COMPARE_GATES] = {
		"connect_failure", "reset", "no_response", "retransmits", "http_4xx", "http_5xx", "udp_no_reply",
		"connect_time", "response_time",
	};

	return gate < COMPARE_GATES ? name[gate] : "";
}

double compare_margin(const struct model_compare *m, unsigned gate)
{
	double own = gate < TRIAL_EVENTS ? m->max_ratio[gate] : m->max_slowdown[gate - TRIAL_EVENTS];

	if (own != MODEL_MARGIN)
		return own;
	return gate < TRIAL_EVENTS ? m->ratio : m->slowdown;
}

static void wait_gates(struct compare *c, const struct model_compare *m, const struct perch_votes *history)
{
	const __u64 *of[TRIAL_WAITS] = { history->connect_time, history->longest_wait };

	for (unsigned w = 0; w < TRIAL_WAITS; w++) {
		edges_none(&c->edges[w]);
		if (m->max_slowdown[w] == 0)
			continue;
		c->policy.wait[w] = edges_freeze(&c->edges[w], of[w], compare_margin(m, TRIAL_EVENTS + w));
		memcpy(c->policy.beyond[w], c->edges[w].beyond, sizeof(c->policy.beyond[w]));
		/* long connections need no edges */
		if (w == TRIAL_RESPONSE_TIME) {
			c->policy.pools = true;
			c->policy.max_slowdown = compare_margin(m, TRIAL_EVENTS + w);
		}
		if (c->policy.wait[w] || w == TRIAL_RESPONSE_TIME)
			c->gates |= 1u << (TRIAL_EVENTS + w);
		if (!c->policy.wait[w])
			c->blind |= 1u << (TRIAL_EVENTS + w);
	}
}

void compare_begin(struct compare *c, const struct model_compare *m, double alpha, const struct perch_votes *history,
		   __u64 now)
{
	memset(c, 0, sizeof(*c));
	trial_begin(&c->trial, now);
	c->policy.alpha = alpha;
	c->policy.beta = m->beta;
	c->policy.wait_ratio = m->ratio;
	for (unsigned e = 0; e < TRIAL_EVENTS; e++) {
		if (m->max_ratio[e] == 0)
			continue;
		c->policy.max_ratio[e] = compare_margin(m, e);
		c->gates |= 1u << e;
	}
	wait_gates(c, m, history);
	c->pool_minute = (__u32)(now / PERCH_MINUTE_NS) - 1;
}

void compare_step(struct compare *c, __u32 epoch, double w, unsigned against, bool warming)
{
	memset(&c->block[epoch / 2 % PERCH_EPOCHS], 0, sizeof(c->block[0]));
	c->epoch[epoch / 2 % PERCH_EPOCHS] = (struct compare_epoch){ epoch, warming, against, w };
	trial_step_begin(&c->trial);
}

int compare_skip(struct compare *c, const char *gate)
{
	for (unsigned g = 0; g < COMPARE_GATES; g++) {
		if (!((c->gates | c->blind) >> g & 1) || strcmp(compare_gate_name(g), gate) != 0)
			continue;
		if (c->policy.skipped >> g & 1)
			return -EALREADY;
		c->policy.skipped |= 1u << g;
		c->log_e = trial_log_e(&c->trial, &c->policy);
		return 0;
	}
	return -ENOENT;
}

/* Has this gate a say? */
static bool gate_judges(const struct compare *c, unsigned g)
{
	return (c->gates & ~c->policy.skipped) >> g & 1;
}

void compare_restart(struct compare *c, __u64 now)
{
	c->trial.block_since = now - BET_BLOCK_NS;	/* what comes is of a block of its own */
	memset(c->block, 0, sizeof(c->block));
	memset(c->past, 0, sizeof(c->past));
	memset(&c->blame, 0, sizeof(c->blame));
	memset(c->seen, 0, sizeof(c->seen));
	memset(c->epoch, 0, sizeof(c->epoch));
}

/* New votes and clients of one arm; false, and nothing is taken, when a count is less than
 * it was: the kernel was at it. */
static bool arm_new(const struct perch_tally *now, const struct perch_tally *seen, __u32 epoch, struct trial_arm *ret,
		    __u64 *ret_clients)
{
	static const struct perch_tally nothing;
	const struct perch_tally *before = seen->epoch == epoch ? seen : &nothing;

	if (now->epoch != epoch)
		return before == &nothing;
	for (size_t i = 1; i < sizeof(*now) / sizeof(__u64); i++)
		if (((const __u64 *)now)[i] < ((const __u64 *)before)[i])
			return false;
	for (unsigned e = 0; e < TRIAL_EVENTS; e++) {
		ret->event[e].bad = now->outcome[e].bad - before->outcome[e].bad;
		ret->event[e].n = now->outcome[e].decided - before->outcome[e].decided -
				  (now->outcome[e].capped - before->outcome[e].capped);
	}
	for (unsigned w = 0; w < TRIAL_WAITS; w++) {
		ret->wait[w].n = now->wait[w].n - before->wait[w].n;
		for (unsigned i = 0; i < WAIT_EDGES; i++)
			ret->wait[w].above[i] = now->wait[w].above[i] - before->wait[w].above[i];
	}
	*ret_clients = now->clients - before->clients;
	return true;
}

/* What a cell holds of another epoch may yet be told, once its share is known. */
static void cell_seen(struct perch_tally *seen, const struct perch_tally *now, __u32 epoch)
{
	if (now->epoch == epoch)
		*seen = *now;
}

void compare_take(struct compare *c, const struct perch_tallies *stable, const struct perch_tallies *canary, __u64 now)
{
	trial_time(&c->trial, now);
	for (unsigned i = 0; i < PERCH_EPOCHS; i++) {
		const struct compare_epoch *e = &c->epoch[i];
		struct trial_tally t = { .w = e->w, .warming = e->warming };
		__u64 to_stable = 0, to_canary = 0;

		if (!e->epoch || e->w <= 0 || e->w >= 1 ||
		    !arm_new(&stable->cell[i], &c->seen[0].cell[i], e->epoch, &t.stable, &to_stable) ||
		    !arm_new(&canary->cell[i], &c->seen[1].cell[i], e->epoch, &t.canary, &to_canary))
			continue;
		trial_take(&c->trial, &c->policy, &t);
		ledger_take(&c->block[i], &c->policy, &t);
		ratio_clients(&c->clients, e->w, to_canary, to_stable);
		cell_seen(&c->seen[0].cell[i], &stable->cell[i], e->epoch);
		cell_seen(&c->seen[1].cell[i], &canary->cell[i], e->epoch);
	}
	c->log_e = trial_log_e(&c->trial, &c->policy);
}

double compare_gate_log_e(const struct compare *c, unsigned g)
{
	return g < TRIAL_EVENTS ? trial_event_log_e(&c->trial, g) :
				  trial_wait_log_e(&c->trial, &c->policy, g - TRIAL_EVENTS);
}

static unsigned gate_worst(const struct compare *c)
{
	unsigned worst = 0;
	double most = -INFINITY;

	for (unsigned g = 0; g < COMPARE_GATES; g++)
		if (gate_judges(c, g) && compare_gate_log_e(c, g) > most) {
			worst = g;
			most = compare_gate_log_e(c, g);
		}
	return worst;
}

/* The edge that speaks loudest. */
static unsigned edge_worst(const struct compare *c, unsigned w)
{
	unsigned worst = 0;
	double most = -INFINITY;

	for (unsigned i = 0; i < WAIT_EDGES; i++)
		if (c->edges[w].beyond[i] > 0 && bet_log_e(&c->trial.wait[w].edge[i]) > most) {
			worst = i;
			most = bet_log_e(&c->trial.wait[w].edge[i]);
		}
	return worst;
}

static double percent(__u64 bad, __u64 n)
{
	return n ? 100.0 * (double)bad / (double)n : 0;
}

unsigned compare_counts(const struct compare *c, unsigned g, struct loss_counts *canary, struct loss_counts *stable)
{
	unsigned w = g - TRIAL_EVENTS, i;

	if (g < TRIAL_EVENTS) {
		*canary = c->trial.canary.event[g];
		*stable = c->trial.stable.event[g];
		return 0;
	}
	i = edge_worst(c, w);
	*canary = (struct loss_counts){ c->trial.canary.wait[w].above[i], c->trial.canary.wait[w].n };
	*stable = (struct loss_counts){ c->trial.stable.wait[w].above[i], c->trial.stable.wait[w].n };
	return i;
}

unsigned compare_failed(const struct compare *c)
{
	return c->gates & ~c->policy.skipped && c->log_e >= -log(c->policy.alpha) ? gate_worst(c) + 1 : 0;
}

bool compare_by_pools(const struct compare *c, unsigned gate)
{
	const struct pool_bet *b = &c->trial.pool;
	unsigned w = TRIAL_RESPONSE_TIME;

	return gate == TRIAL_EVENTS + w && c->policy.pools && b->minutes &&
	       (!c->policy.wait[w] || log(fmax(pool_e(b, b->level), pool_e(b, b->change))) >
						wait_log_e(&c->trial.wait[w], c->policy.beyond[w]));
}

bool compare_fails(const struct compare *c, char *why, size_t size)
{
	unsigned failed = compare_failed(c), edge;
	struct loss_counts canary, stable;
	double e = exp(fmin(c->log_e, 690)), most = 1 / c->policy.alpha;

	if (!failed)
		return false;
	edge = compare_counts(c, failed - 1, &canary, &stable);
	if (compare_by_pools(c, failed - 1))
		snprintf(why, size, "gate %s: %u long connections of canary's rank slower than %u of stable's, E %.3g >= %.3g",
			 compare_gate_name(failed - 1), c->pool_rows[1], c->pool_rows[0], e, most);
	else if (failed > TRIAL_EVENTS)
		snprintf(why, size, "gate %s: %llu long waits of canary's %llu, %llu of stable's %llu (above p%g), E %.3g >= %.3g",
			 compare_gate_name(failed - 1), (unsigned long long)canary.bad, (unsigned long long)canary.n,
			 (unsigned long long)stable.bad, (unsigned long long)stable.n, 100 * wait_quantile[edge], e, most);
	else
		snprintf(why, size, "gate %s: %.3g %% of canary's %llu bad, %.3g %% of stable's %llu, E %.3g >= %.3g",
			 compare_gate_name(failed - 1), percent(canary.bad, canary.n), (unsigned long long)canary.n,
			 percent(stable.bad, stable.n), (unsigned long long)stable.n, e, most);
	return true;
}

bool compare_off(const struct compare *c, char *why, size_t size)
{
	const struct ratio *r = &c->clients;

	if (r->most < -log(c->policy.alpha))
		return false;
	snprintf(why, size, "sample ratio: %llu of %llu new clients, not %.0f",
		 (unsigned long long)r->canary, (unsigned long long)(r->canary + r->stable), r->expected);
	return true;
}

bool compare_off_alarms(const struct compare *c)
{
	return c->clients.canary + c->clients.stable >= RATIO_CLIENTS;
}

static void needs(char *why, size_t size, unsigned event, double more, double share)
{
	if (isnan(more))
		snprintf(why, size, "%s: more may be lost at %g %% than is allowed", compare_gate_name(event), 100 * share);
	else
		snprintf(why, size, "%s: about %.0f more connections of the canary", compare_gate_name(event), more);
}

bool compare_safe(const struct compare *c, const struct model_compare *m, const struct compare_next *next, char *why,
		  size_t size, double *eta)
{
	double delta = loss_delta(loss_allowed(m->max_loss / (double)PERCH_SHARE_ALL, (double)m->max_loss_per_hour, next->rate), next->share), worst = 0;
	bool safe = true;

	*eta = 0;
	for (unsigned e = 0; e < TRIAL_EVENTS && m->max_loss < PERCH_SHARE_ALL; e++) {
		const struct trial_step *step = &c->trial.step[e];
		double more;

		/* what neither version had, like responses where nobody asks */
		if (!gate_judges(c, e) || (!c->trial.canary.event[e].n && !c->trial.stable.event[e].n))
			continue;
		if (trial_safe(&c->trial, &c->policy, e, delta).safe)
			continue;
		more = loss_more(step->canary, step->stable, delta, m->beta);
		if (safe || isnan(more) || more > worst) {
			worst = more;
			needs(why, size, e, more, next->share);
		}
		safe = false;
		if (isnan(more))
			break;
	}
	if (!safe)
		*eta = worst > 0 && next->canary_rate > 0 ? worst / next->canary_rate : NAN;
	return safe;
}
