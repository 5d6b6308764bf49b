/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a configuration says, as plain structures: perch.yaml after it was
 * read and checked.  Lists are arrays with a count; strings are owned by the
 * configuration they belong to.  Durations are in ns, shares in 0.01 %.
 */
#ifndef PERCH_CORE_MODEL_H
#define PERCH_CORE_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include <perch/abi.h>

enum model_attach { MODEL_ATTACH_AUTO, MODEL_ATTACH_XDP, MODEL_ATTACH_XDP_GENERIC, MODEL_ATTACH_TC };
/* Another XDP program is there: leave it and the interface, leave it and use
 * TC, or take its place. */
enum model_foreign { MODEL_FOREIGN_REFUSE, MODEL_FOREIGN_TC, MODEL_FOREIGN_REPLACE };

struct model_interface {
	char *name;		/* or a glob */
	enum model_attach attach;
	enum model_foreign foreign;
	bool decap;		/* unpack what tunnels bring */
	int line;
};

struct model_agent {
	char *socket;
	char *listen_host;	/* NULL: no HTTP listener */
	int listen_port;
	char *state_dir;
	char *pin_path;
	char *secret_file;
	char *metrics_token_file;	/* NULL: no metrics over TCP */
	__u64 sample_interval;
	__u64 deadman;		/* ns, 0: off */
	__u32 flow_table_size;
	__u32 pin_table_size;
	/* elements at least; 0: as the services need */
	__u32 service_table_size, backend_table_size, listener_table_size;
};

struct model_label {
	char *key, *value;
};

struct model_backend {
	struct perch_address address;
	__be16 port;		/* 0: the listener's */
	__u32 weight;		/* 1 and up */
	int line;
};

struct model_version {
	char name[PERCH_NAME_LEN];
	enum perch_role role;
	struct perch_endpoint *doors;
	size_t n_doors;
	struct model_backend *backends;
	size_t n_backends;
	struct model_label *labels;
	size_t n_labels;
	int line;
};

/* A rule: what it looks at, and where it leads.  There may be a million: the
 * texts are the service's, and rules share them. */
struct model_rule {
	struct perch_address source;	/* masked to its prefix */
	__u32 prefix;		/* bits of the 128; an IPv4 /16 is 112 */
	int line;
	const char *version;	/* name, or a role's word */
	const char *file;	/* where it was written: perch.yaml or a sourceFile */
	bool by_dscp;
	__u8 dscp;		/* 0..63 */
};

enum model_check { MODEL_CHECK_NONE, MODEL_CHECK_TCP, MODEL_CHECK_HTTP };

struct model_health {
	enum model_check type;
	__u64 interval, timeout;	/* ns */
	__u32 fall, rise;	/* checks in a row */
	char *path;		/* http; NULL: "/" */
	__u16 expect_low, expect_high;	/* http status, both included */
};

/* The first ones may have absolute gates; all can be compared. */
enum model_signal {
	MODEL_CONNECT_FAILURE, MODEL_RESET, MODEL_RESPONSE_TIME, MODEL_SIGNALS,
	MODEL_CONNECT_TIME = MODEL_SIGNALS, MODEL_NO_RESPONSE, MODEL_RETRANSMITS, MODEL_HTTP_4XX, MODEL_HTTP_5XX,
	MODEL_UDP_NO_REPLY,
};

/* An absolute gate: the share of bad connections must stay at most `max`.
 * For response_time a connection is bad when it saw a response slower than
 * `limit`, and max is 1 - quantile. */
struct model_gate {
	char name[PERCH_NAME_LEN];	/* "connect_failure", "response_time p99" */
	enum model_signal signal;
	double max;		/* 0..1, a share of connections */
	double quantile;	/* response_time only, else 0 */
	__u64 limit;		/* ns; response_time only */
	int line;
	unsigned element;	/* of the list */
};

/* Signals by which the canary is compared with stable: events, which are bad
 * or not, and waits, which are long or not.  In the order of judge/trial.h. */
enum model_event {
	MODEL_EVENT_CONNECT_FAILURE, MODEL_EVENT_RESET, MODEL_EVENT_NO_RESPONSE, MODEL_EVENT_RETRANSMITS,
	MODEL_EVENT_HTTP_4XX, MODEL_EVENT_HTTP_5XX, MODEL_EVENT_UDP_NO_REPLY, MODEL_EVENTS,
};
enum model_wait { MODEL_WAIT_CONNECT_TIME, MODEL_WAIT_RESPONSE_TIME, MODEL_WAITS };

#define MODEL_MARGIN (-1.0)

/* What the comparison takes for worse, and for safe. */
struct model_compare {
	bool given;		/* a list of gates was written, be it empty */
	/* margins, >= 1; 0: no gate; MODEL_MARGIN: the rollout's */
	double max_ratio[MODEL_EVENTS], max_slowdown[MODEL_WAITS];
	double ratio, slowdown;	/* margins of gates that have none of their own */
	double beta;		/* risk of a false comfort, per gate and step */
	__u32 max_loss;		/* 0.01 %, of all connections at the next step;
				 * all: nothing need be shown */
	__u64 max_loss_per_hour;	/* connections */
	__u64 warmup;		/* ns at the begin of a step; waits do not vote */
};

/* Is there a gate that compares? */
static inline bool model_compares(const struct model_compare *c)
{
	bool any = false;

	for (unsigned e = 0; e < MODEL_EVENTS; e++)
		any |= c->max_ratio[e] != 0;
	for (unsigned w = 0; w < MODEL_WAITS; w++)
		any |= c->max_slowdown[w] != 0;
	return any;
}

#define MODEL_URL_LENGTH 512
#define MODEL_PATH 256
#define MODEL_QUERY 1024
#define MODEL_POINTER 256
#define MODEL_HEADERS 4
#define MODEL_OUTSIDE 16

struct model_header {
	char name[PERCH_NAME_LEN];
	char file[MODEL_PATH];	/* holds the value */
};

/* Where a request goes.  Texts are "" when they are not given; $service and
 * $version are put in when it is made. */
struct model_target {
	char url[MODEL_URL_LENGTH];
	char url_file[MODEL_PATH];	/* holds the URL */
	char ca_file[MODEL_PATH];
	struct model_header header[MODEL_HEADERS];
	size_t n_headers;
};

/* A gate on what others measured: pushed values of the name `metric`, a query
 * of Prometheus, or a number in what a URL answers. */
struct model_outside {
	char name[PERCH_NAME_LEN];
	char metric[PERCH_NAME_LEN];
	char prometheus[MODEL_URL_LENGTH], query[MODEL_QUERY];
	struct model_target target;	/* url; of Prometheus headers and CA */
	char pointer[MODEL_POINTER];
	double min, max;	/* infinite: no limit */
	__u32 threshold;	/* failures that fail it */
	bool consecutive;	/* in a row */
	bool critical;		/* the first fails it */
	bool hold;		/* a failure holds and does not roll back */
	bool compare;		/* with stable, by Mann-Whitney's test */
	__u64 check_interval, max_age, initial_delay;	/* ns */
	__u32 direction, effect;	/* enums of judge/mannwhitney.h */
	double tolerance, confidence;
	char group[PERCH_NAME_LEN];	/* its own name without one */
	double weight;		/* percent of the group; NAN: its part of what is left */
	int line;
	unsigned element;	/* of the list of gates */
};

/* What webhooks are told of. */
enum model_tell {
	MODEL_TELL_STEP = 1, MODEL_TELL_HOLD = 2, MODEL_TELL_ROLLBACK = 4, MODEL_TELL_PROMOTE = 8, MODEL_TELL_ALARM = 16,
	MODEL_TELL_ALL = 31,
};
#define MODEL_TELLS 5
#define MODEL_WEBHOOKS 8

enum model_webhook_format { MODEL_WEBHOOK_JSON, MODEL_WEBHOOK_SLACK, MODEL_WEBHOOK_ALERTMANAGER };

struct model_webhook {
	struct model_target target;
	char secret_file[MODEL_PATH];	/* signs json; "": not */
	__u32 events;		/* enum model_tell, or-ed */
	__u32 format;		/* enum model_webhook_format */
	__u64 timeout;		/* ns */
	__u32 retries;
	bool gate;		/* is asked before a step, and told nothing */
	int line;
};

struct model_step {
	__u32 share;		/* 0..10000 */
	bool manual;		/* wait for `rollout advance` after this step */
	__u64 pause;		/* ns to stay at least, 0: interval */
};

#define MODEL_STEPS 32
#define MODEL_GATES 16
#define MODEL_FREEZES 8

/* blueGreen: 0 %, a person, 100 %.  experiment: nobody is promoted. */
enum model_strategy { MODEL_CANARY, MODEL_BLUE_GREEN, MODEL_EXPERIMENT };
/* What becomes of a step that is undecided when maxStepTime is over. */
enum model_inconclusive { MODEL_HOLD, MODEL_ADVANCE, MODEL_ROLL_BACK };

/* A time of each week in which nothing goes on by itself, in minutes since
 * Monday 00:00, local time; the end may be before the begin. */
struct model_freeze {
	__u32 from, to;
};

struct model_rollout {
	enum model_strategy strategy;
	bool observe;		/* judge and tell, change nothing */
	enum model_inconclusive on_inconclusive;
	struct model_step step[MODEL_STEPS];
	size_t n_steps;
	__u32 step_weight, max_weight;	/* 0.01 %; what the steps were made of, or 0 */
	struct model_freeze freeze[MODEL_FREEZES];
	size_t n_freeze;
	__u64 interval;
	__u64 min_connections;
	__u64 max_step_time;
	__u64 progress_deadline;
	__u64 watch;
	__u32 holdback;		/* share that stays on stable while watching */
	__u64 keep_previous;
	double alpha;
	struct model_compare compare;
	__u32 reflex;		/* connect failures in a row; 0: off */
	struct model_gate gate[MODEL_GATES];
	size_t n_gates;
	struct model_outside *outside;	/* at most MODEL_OUTSIDE */
	size_t n_outside;
	__u32 score_pass, score_marginal;	/* 0.01 % */
	struct model_webhook *webhooks;	/* at most MODEL_WEBHOOKS */
	size_t n_webhooks;
};

#define MODEL_AT 32

enum model_observe { MODEL_OBSERVE_HTTP1 = 1, MODEL_OBSERVE_UDP_REPLY = 2 };

struct model_service {
	char name[PERCH_NAME_LEN];
	struct perch_endpoint *listen;
	size_t n_listen;
	__u16 *exclude;		/* ports (host order) that listeners with port 0
				 * leave alone */
	size_t n_exclude;
	enum perch_forward forward;
	struct perch_address sources[PERCH_SOURCES];	/* fullnat; n 0: this host's */
	size_t n_sources;
	__u16 source_first, source_last;	/* fullnat: ports; 0: outside the
						 * ephemeral range */
	struct perch_address tunnel[PERCH_FAMILIES];	/* outer sources; 0: this host's
							 * towards the backend */
	bool fragments;
	__u32 observe;		/* enum model_observe */
	enum perch_affinity affinity;
	__u64 adopt;		/* ns */
	enum perch_stable_down stable_down;
	struct model_health health;
	struct model_rule *rules;
	size_t n_rules;
	char **rule_texts;	/* owns the texts that rules point to */
	size_t n_rule_texts;
	struct model_version *versions;
	size_t n_versions;
	enum perch_established established;
	__u64 drain_timeout;
	struct model_rollout rollout;
	char *file;		/* where it was written; NULL: through the API */
	char *origin;		/* file, or the name of the text: begins an error */
	char at[MODEL_AT];	/* before its keys in errors: "services[3].", or ""
				 * in a text of its own */
	int line;
};

struct model_config {
	char *file;
	char **files;		/* all that were read: file, includes, sourceFiles */
	size_t n_files;
	char **includes;	/* patterns with their folder; a new file that fits
				 * one is part of the configuration */
	size_t n_includes;
	struct model_service *defaults;	/* what services begin with; NULL: built in */
	struct model_agent agent;
	struct model_interface *interfaces;
	size_t n_interfaces;
	struct model_service *services;
	size_t n_services;
};

#endif
