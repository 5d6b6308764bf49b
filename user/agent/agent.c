// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Starting in order, turning the loop, and leaving in the opposite order. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../datapath/choices.h"
#include "alarms.h"
#include "api/api.h"
#include "api/api_trace.h"
#include "reload/applied.h"
#include "reload/apply.h"
#include "clock.h"
#include "collect.h"
#include "reload/confirm.h"
#include "rollout/deadman.h"
#include "fault.h"
#include "health/findings.h"
#include "health/health.h"
#include "doctor/hostcheck.h"
#include "api/http.h"
#include "interfaces.h"
#include "leaving.h"
#include "log.h"
#include "notify.h"
#include "outside/fetch.h"
#include "pins.h"
#include "reload/reload.h"
#include "rollout/rollouts.h"
#include "store/save.h"
#include "severs.h"
#include "sizes.h"
#include "takeover.h"
#include "upkeep.h"
#include "reload/watch.h"
#include "webhooks/webhooks.h"

#define TURN_SERVICES 1000	/* that are looked after in one second */
#define LOOK_MS 100		/* at most; less when samples come more often */
#define SECRET_BYTES 32
#define APPLY_TRIES 10

/* Two agents on one state would undo each other's steps. */
int agent_lock_state(struct agent *a)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/perchd.lock", a->config->agent.state_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) {
		log_warning("%s: %s", path, strerror(errno));
		return 0;
	}
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		log_error("%s: another perchd has this stateDir", path);
		close(fd);
		return -EBUSY;
	}
	if (a->lock_fd >= 0)
		close(a->lock_fd);
	a->lock_fd = fd;
	return 0;
}

static void start_store(struct agent *a)
{
	char why[STORE_WHY] = "";
	bool corrupt = false;
	int r = store_open(&a->store, a->config->agent.state_dir, &corrupt, why);

	if (corrupt)
		log_error("%s/state.db was no database and was set aside; state comes from the pinned maps",
			  a->config->agent.state_dir);
	if (r)
		log_error("store: %s", why);
}

/* The services that the API owns, beside the file's. */
static int start_applied(struct agent *a)
{
	char why[CONFIG_ERROR] = "";
	int r = applied_load(a);

	/* the store is mended later; what it does not tell is in the maps */
	if (r)
		log_error("services that the API owns can't be read from %s: %s", a->config->agent.state_dir,
			  store_error(a->store) ?: strerror(-r));
	r = reload_with_applied(a, why);
	if (r)
		log_error("%s", why);
	return r;
}

static int secret_make(const char *path, __u8 secret[SECRET_BYTES])
{
	char dir[512];
	char *slash;
	int fd, r = 0;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = 0;
		mkdir(dir, 0750);
	}
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (getrandom(secret, SECRET_BYTES, 0) != SECRET_BYTES ||
	    write(fd, secret, SECRET_BYTES) != SECRET_BYTES || fsync(fd)) {
		r = -EIO;
		unlink(path);
	}
	close(fd);
	return r;
}

static int secret_read(const char *path, __u8 secret[SECRET_BYTES])
{
	__u8 more[SECRET_BYTES + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return secret_make(path, secret);
	if (fd < 0)
		return -errno;
	n = read(fd, more, sizeof(more));
	close(fd);
	if (n != SECRET_BYTES)
		return n < 0 ? -EIO : -EMSGSIZE;
	memcpy(secret, more, SECRET_BYTES);
	return 0;
}

static int start_datapath(struct agent *a)
{
	const struct model_agent *m = &a->config->agent;
	struct datapath_options o = { .pin_path = m->pin_path, .flow_entries = m->flow_table_size,
				      .pins = m->pin_table_size };
	struct sizes sizes;
	__u8 secret[SECRET_BYTES];
	char why[WHY] = "";
	int r = 0;

	if (m->secret_file)
		r = secret_read(m->secret_file, secret);
	if (r) {
		log_error("secretFile '%s': %s", m->secret_file, r == -EMSGSIZE ? "must be 32 bytes" : strerror(-r));
		return r;
	}
	o.secret = m->secret_file ? secret : NULL;
	sizes_wanted(a->config, &sizes);
	o.services = sizes.services;
	o.listeners = sizes.listeners;
	o.backends = sizes.backends;
	o.slice_words = sizes.slice_words;
	r = datapath_open(&a->datapath, &o, why);
	explicit_bzero(secret, sizeof(secret));
	if (r) {
		log_error("datapath: %s", why[0] ? why : strerror(-r));
		return r;
	}
	a->datapath_open = true;
	a->by_id = calloc(a->datapath.maps.control->services, sizeof(struct service *));
	r = a->by_id ? tables_open(&a->tables, &a->datapath) : -ENOMEM;
	if (!r)
		r = choices_open(&a->choices, &a->datapath.maps);
	if (r)
		log_error("tables: %s", strerror(-r));
	return r;
}

static void routes_timer(uv_timer_t *timer);

void agent_pump_routes(struct agent *a)
{
	int wait = -1, r = routes_read(a->routes, &wait);

	if (r)
		log_warning("routes: %s", strerror(-r));
	if (wait >= 0)
		uv_timer_start(&a->routes_timer, routes_timer, wait, 0);
}

static void routes_timer(uv_timer_t *timer)
{
	agent_pump_routes(timer->data);
}

static void routes_ready(uv_poll_t *poll, int status, int events)
{
	agent_pump_routes(poll->data);
}

static int start_routes(struct agent *a)
{
	char why[WHY] = "";
	int r = routes_open(&a->routes, &a->datapath.maps, why);

	if (!r)
		r = uv_poll_init(&a->loop, &a->routes_poll, routes_fd(a->routes));
	if (r) {
		log_error("routes: %s", why[0] ? why : strerror(-r));
		return r;
	}
	uv_timer_init(&a->loop, &a->routes_timer);
	a->routes_poll.data = a->routes_timer.data = a;
	uv_poll_start(&a->routes_poll, UV_READABLE, routes_ready);
	routes_on_link(a->routes, interfaces_on_link, a);
	routes_refresh(a->routes);
	return 0;
}

/* The configuration becomes the state's.  a->config is given away and comes
 * back as the one in force. */
static int start_services(struct agent *a)
{
	const struct timespec nap = { APPLY_AGAIN_MS / 1000, APPLY_AGAIN_MS % 1000 * NS_PER_MS };
	const struct apply how = { .actor = &actor_file };
	struct model_config *config;
	char why[AGENT_WHY];
	int r;

	save_rejections(a);
	r = takeover_registry(a) ?: applied_rebuild(a);
	if (r) {
		log_error("take-over: %s", strerror(-r));
		return r;
	}
	config = a->config;
	leaving_resume(a, config);
	fault_point("takeover", "unplaced");
	a->config = NULL;
	for (int i = 0; i < APPLY_TRIES; i++) {
		r = apply_config(a, config, &how, why);
		if (r != -EAGAIN)
			break;
		log_warning("%s; trying again", why);
		nanosleep(&nap, NULL);
		deadman_beat(a);
	}
	if (!r) {
		fault_point("takeover", "finished");
		return 0;
	}
	a->config = config;
	log_error("%s", why);
	return r;
}

static int start_http(struct agent *a)
{
	const struct model_agent *m = &a->config->agent;
	int r = http_start_unix(a, m->socket, &a->socket_http);

	if (r) {
		log_error("socket '%s': %s", m->socket, strerror(-r));
		return r;
	}
	r = m->listen_host ? http_start_tcp(a, m->listen_host, m->listen_port, &a->tcp_http) : 0;
	if (r)
		log_error("listen %s:%d: %s", m->listen_host, m->listen_port, strerror(-r));
	return r;
}

static void look_again(uv_timer_t *timer)
{
	deadman_beat(timer->data);
	rollouts_tick(timer->data);
}

static void second(uv_timer_t *timer)
{
	struct agent *a = timer->data;

	a->second++;
	a->turns = 1 + a->n_services / TURN_SERVICES;
	upkeep(a);
	health_look(a);
	api_events_beat(a);
	tracing_beat(a);
	pushed_age(&a->pushed, clock_now());
}

void agent_set_pace(struct agent *a)
{
	__u64 interval = a->config->agent.sample_interval, look = interval / NS_PER_MS;

	__atomic_store_n(&a->datapath.maps.control->sample_interval, interval, __ATOMIC_RELAXED);
	deadman_set(a);
	uv_timer_start(&a->look_timer, look_again, 0, look < LOOK_MS ? look : LOOK_MS);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct agent *a = signal->data;

	if (number == SIGHUP)
		reload_now(a);
	else
		uv_stop(&a->loop);
}

static void start_handles(struct agent *a)
{
	uv_timer_init(&a->loop, &a->look_timer);
	uv_timer_init(&a->loop, &a->second_timer);
	uv_signal_init(&a->loop, &a->hangup);
	uv_signal_init(&a->loop, &a->terminate);
	uv_signal_init(&a->loop, &a->interrupt);
	a->look_timer.data = a->second_timer.data = a;
	a->hangup.data = a->terminate.data = a->interrupt.data = a;
	agent_set_pace(a);
	uv_timer_start(&a->second_timer, second, 1000, 1000);
	uv_signal_start(&a->hangup, on_signal, SIGHUP);
	uv_signal_start(&a->terminate, on_signal, SIGTERM);
	uv_signal_start(&a->interrupt, on_signal, SIGINT);
	reload_watch(a);
	confirm_start(a);
}

int agent_start(struct agent *a, const char *config_path)
{
	char why[CONFIG_ERROR];
	int r;

	memset(a, 0, sizeof(*a));
	a->services_end = &a->services;
	a->alarms_end = &a->alarms;
	TAILQ_INIT(&a->moving);
	a->lock_fd = -1;
	a->started = clock_wall();
	fault_init();
	uv_loop_init(&a->loop);
	a->config_path = strdup(config_path);
	if (a->config_path)
		confirm_first(a);
	r = a->config_path ? reload_first(a, why) : -ENOMEM;
	if (r) {
		log_error("%s", why);
		return r;
	}
	start_store(a);
	r = start_applied(a);
	if (r)
		return r;
	r = agent_lock_state(a) ?: events_open(&a->events, a->store) ?: start_datapath(a);
	if (r)
		return r;
	deadman_set(a);		/* what is armed there has an agent again */
	r = health_start(a) ?: collect_start(a);
	if (r)
		return r;
	severs_start(a);	/* what is taken over may have to be severed */
	r = start_services(a);
	if (r)
		return r;
	/* next hops and programs after what they serve; then the world may ask */
	r = start_routes(a);
	if (r)
		return r;
	interfaces_apply(a);
	hostcheck_watch(a);
	start_handles(a);
	tracing_start(a);
	r = pins_start(a) ?: fetcher_open(&a->fetcher, &a->loop) ?: webhooks_start(a) ?: start_http(a);
	if (r)
		return r;
	a->ready = true;
	agent_emit(a, .kind = "start", .reason = a->datapath.taken_over ? "took over what was running" : "loaded anew",
		   .to = PERCH_VERSION);
	notify_ready();
	return 0;
}

void agent_run(struct agent *a)
{
	uv_run(&a->loop, UV_RUN_DEFAULT);
	notify_stopping();
	deadman_disarm(a);
	agent_emit(a, .kind = "stop", .reason = "the datapath goes on");
}

static void close_handle(uv_handle_t *handle, void *arg)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void stop_services(struct agent *a)
{
	int unsaved = store_begin(a->store);	/* one write to the disk for all */

	for (struct service *s = a->services; s; s = s->next)
		if (s->placed && s->model)
			save_rollout(a, s, true);
	if (!unsaved)
		store_end(a->store, 0);
	while (a->services) {
		struct service *next = a->services->next;

		service_delete(a->services);
		a->services = next;
	}
	leaving_free(a);
}

void agent_stop(struct agent *a)
{
	if (a->events)
		api_events_end(a);
	tracing_end(a);
	webhooks_stop(a);
	fetcher_close(a->fetcher);
	http_stop(a->socket_http);
	http_stop(a->tcp_http);
	health_stop(a);
	uv_walk(&a->loop, close_handle, NULL);
	uv_run(&a->loop, UV_RUN_DEFAULT);
	uv_loop_close(&a->loop);
	stop_services(a);
	tracing_stop(a);
	collect_stop(a);
	routes_close(a->routes);
	pins_stop(a);
	choices_close(a->choices);
	tables_close(a->tables);
	if (a->datapath_open)
		datapath_close(&a->datapath);
	alarms_free(a);
	applied_free(a);
	confirm_free(a);
	watch_free(a);
	interfaces_free(a);
	events_close(a->events);
	store_close(a->store);
	config_free(a->config);
	free(a->by_id);
	free(a->dead);
	pushed_free(&a->pushed);
	findings_free(a);
	free(a->check_of);
	free(a->config_text);
	free(a->config_path);
	if (a->lock_fd >= 0)
		close(a->lock_fd);
}
