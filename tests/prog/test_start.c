/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Several at one pin path, and those that did not come to the end: locks,
 * starts at the same time, kills. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../user/datapath/clock.h"
#include "lab.h"
#include "pins.h"

static void nap_ms(unsigned ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}

static void test_second_agent_is_refused_and_a_leaving_one_waited_for(void **state)
{
	struct pins *p = *state;
	struct datapath_options o = pins_options(p);
	struct datapath d, other;
	char holder[32];
	int status;
	pid_t pid;

	pins_open(p, &d);
	snprintf(holder, sizeof(holder), "(pid %d)", getpid());
	assert_int_equal(pins_try(p, &other, &o), -EBUSY);
	assert_non_null(strstr(p->why, holder));
	assert_int_equal(datapath_remove(p->path, p->why), -EBUSY);
	assert_non_null(strstr(p->why, holder));
	assert_non_null(strstr(p->why, "stop it first"));
	assert_true(pins_exists(p, "maps/flows"));
	pid = fork();
	if (!pid) {
		/* a lock is shared with whom it was inherited by */
		close(d.lock_fd);
		_exit(datapath_open(&other, &o, NULL) ? 1 : 0);
	}
	nap_ms(200);
	assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
	datapath_close(&d);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

static void test_unfinished_load_is_begun_anew(void **state)
{
	struct pins *p = *state;
	struct datapath d;
	__u32 id;

	pins_open(p, &d);
	id = pins_map_id(d.maps.flows_fd);
	d.maps.control->abi_version = 0;	/* as a load that was killed leaves it */
	datapath_close(&d);
	pins_open(p, &d);
	assert_false(d.taken_over);
	assert_int_not_equal(pins_map_id(d.maps.flows_fd), id);
	datapath_close(&d);
}

/* Who is refused, because a start takes long on this machine, comes again. */
static int start_in_the_end(struct datapath *d, const struct datapath_options *o)
{
	int err = -EBUSY;

	for (int tries = 0; err && tries < 60; tries++)
		err = datapath_open(d, o, NULL);
	return err;
}

static void test_two_first_starts_at_once_make_one_datapath(void **state)
{
	struct pins *p = *state;
	struct datapath_options o = pins_options(p);
	int status, whole = 0;
	struct datapath d;
	pid_t pid[3];

	for (int i = 0; i < 3; i++) {
		pid[i] = fork();
		if (!pid[i])
			_exit(start_in_the_end(&d, &o) ? 1 : 0);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		whole += WIFEXITED(status) && !WEXITSTATUS(status);
	}
	assert_int_equal(whole, 3);
	pins_open(p, &d);
	assert_int_equal(d.maps.control->generation, 4);
	datapath_close(&d);
}

/* Kill starts at every stage; the next one always finds its way. */
static void test_start_survives_kill_at_any_moment(void **state)
{
	struct pins *p = *state;
	struct datapath_options o = pins_options(p);
	struct datapath d;
	int status, whole = 0;
	__u64 t, took;
	pid_t pid;

	t = clock_ns();
	pins_open(p, &d);
	took = clock_ns() - t;
	datapath_close(&d);
	assert_int_equal(datapath_remove(p->path, p->why), 0);
	for (int i = 0; i < 24; i++) {
		const struct timespec delay = { .tv_nsec = took / 20 * (i % 24) % 1000000000 };

		pid = fork();
		if (!pid)
			_exit(datapath_open(&d, &o, NULL) ? 1 : 0);
		nanosleep(&delay, NULL);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		whole += WIFEXITED(status) && !WEXITSTATUS(status);
		if (i % 3 == 2) {
			pins_open(p, &d);
			assert_int_equal(d.maps.control->timer_generation, d.maps.control->generation);
			datapath_close(&d);
			assert_int_equal(datapath_remove(p->path, p->why), 0);
		}
	}
	print_message("a start takes %llu ms; %d of 24 came to the end before the kill\n",
		      (unsigned long long)took / 1000000, whole);
}

static void test_planner_lock_excludes_and_gives_up_in_time(void **state)
{
	struct pins *p = *state;
	struct datapath d;
	int fd, other;
	__u64 t;

	pins_open(p, &d);
	fd = planner_lock(p->path, 0);
	assert_true(fd >= 0);
	t = clock_ns();
	assert_int_equal(planner_lock(p->path, 50), -ETIMEDOUT);
	t = clock_ns() - t;
	assert_true(t > 40000000 && t < 1000000000);
	close(fd);
	other = planner_lock(p->path, 0);
	assert_true(other >= 0);
	close(other);
	datapath_close(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		pins_test(test_second_agent_is_refused_and_a_leaving_one_waited_for),
		pins_test(test_unfinished_load_is_begun_anew),
		pins_test(test_two_first_starts_at_once_make_one_datapath),
		pins_test(test_start_survives_kill_at_any_moment),
		pins_test(test_planner_lock_excludes_and_gives_up_in_time),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
