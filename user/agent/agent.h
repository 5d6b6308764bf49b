/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The agent: everything one perchd has open, and the order in which it is
 * started and left.  One thread, one loop; whoever needs the agent gets a
 * pointer to it.
 */
#ifndef PERCH_AGENT_H
#define PERCH_AGENT_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "../config/config.h"
#include "../core/model.h"
#include "../datapath/datapath.h"
#include "../datapath/routes.h"
#include "../datapath/samples.h"
#include "../datapath/tables.h"
#include "alarms.h"
#include "events.h"
#include "outside/pushed.h"
#include "state.h"
#include "store/store.h"

#define AGENT_NAMES 4096
#define AGENT_WHY 640		/* room for a configuration error and more */

struct applied;
struct attachment;
struct choices;
struct confirm;
struct fetcher;
struct http;
struct pins;
struct tracing;
struct watch;
struct webhooks;

struct agent {
	uv_loop_t loop;
	char *config_path;
	/* what is in force, and how the last try to change it ended; the text
	 * is the file's alone */
	struct model_config *config;
	char *config_text;
	__u64 files_tried, files_seen;	/* what was tried last, and how it looked; 0: not known */
	double config_loaded;
	char config_error[CONFIG_ERROR];
	bool config_waits;	/* will be tried again without being asked */
	__u64 changing_since;	/* ns: first change of its directory not looked at */

	struct datapath datapath;
	bool datapath_open;
	struct tables *tables;
	struct choices *choices;
	struct routes *routes;
	struct samples *samples;
	struct store *store;
	struct events *events;
	struct alarm *alarms, **alarms_end;	/* the oldest first */
	struct alarm *alarm_by_hash[ALARM_BUCKETS];
	struct applied *applied;	/* services that the API owns, the oldest first */
	struct confirm *confirm;	/* a configuration that waits to be confirmed */
	struct watch *watches;
	struct attachment *attachments;
	struct tracing *tracing;
	TAILQ_HEAD(checks_line, check) checks_waiting;	/* see health.c */
	unsigned checks_running, checks_most;
	struct check **check_of;	/* by element of `backends` */
	struct findings *findings;
	__u8 *dead;		/* by version and family: an alarm says so */
	struct pins *pins;
	struct fetcher *fetcher;	/* requests to others */
	struct webhooks *webhooks;
	struct pushed pushed;	/* values from outside */
	struct http *socket_http, *tcp_http;

	struct service *services, **services_end;	/* in the order of the file */
	unsigned n_services;
	unsigned second, turns;	/* see agent_turn */
	struct service *by_name[AGENT_NAMES];	/* the same, by hash */
	TAILQ_HEAD(services_moving, service) moving;	/* looked at with every look */
	struct service *leaving;	/* handed back; see leaving.h */
	struct service **by_id;		/* by element of `services` */
	struct backend_evidence *backends;	/* by element of `backends` */
	struct perch_sample_host host;
	bool host_seen;

	uv_poll_t samples_poll, routes_poll;
	uv_timer_t look_timer, second_timer, routes_timer, sever_timer, reload_timer, again_timer, confirm_timer;
	uv_signal_t hangup, terminate, interrupt;
	__u64 drain_due;	/* ns: next drain to end, 0: none */
	__u32 tunnels_generation;	/* of the routes, as tunnels' sources follow them */
	unsigned sever_again;	/* walks to come after a sever */

	double started;
	bool ready;
	int lock_fd;		/* one agent per stateDir */
	int exit_code;
};

/* Everything up to being ready.  -errno after it was logged. */
int agent_start(struct agent *a, const char *config_path);
/* Turn the loop until a signal ends it. */
void agent_run(struct agent *a);
/* Leave the datapath running, everything else goes. */
void agent_stop(struct agent *a);
/* Take in what the kernel told of routes and devices; next hops move. */
void agent_pump_routes(struct agent *a);
/* agent.sampleInterval of the configuration in force, to kernel and loop. */
void agent_set_pace(struct agent *a);

/* perchd.lock of stateDir, in place of the one had; -EBUSY: another agent's.
 * A directory that takes none is no failure. */
int agent_lock_state(struct agent *a);

/* service_list.c: those in force, in the order of the file. */
struct service *agent_service(const struct agent *a, const char *name);
/* Append to the list, and out of it again. */
void agent_add_service(struct agent *a, struct service *s);
void agent_unlist_service(struct agent *a, struct service *s);
/* Forget and free it; also one that is in no list. */
void agent_drop_service(struct agent *a, struct service *s);
/* Is it the turn of this element of `services` to be looked after?  Once a second,
 * unless there are thousands: each is a few lines of memory that nothing else asks
 * for, and what can't wait is told by samples and by the services' own timers. */
bool agent_turn(const struct agent *a, unsigned id);

/* An event with the labels of the version it is about; see labels.c. */
void agent_tell(struct agent *a, struct event *event);
#define agent_emit(a, ...) agent_tell((a), &(struct event){ __VA_ARGS__ })

#endif
