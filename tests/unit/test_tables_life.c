/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What outlasts an apply: take-over, removal, backends and listeners that
 * left, observed services, filter bits. */
#include "tables_fixture.h"

static void test_take_over_finds_ids_and_clears_what_a_crash_left(void **state)
{
	struct perch_endpoint stale = { address("198.51.100.%d%.0d", 7, 0), htons(80), IPPROTO_TCP, 0 };
	__u32 id, listener, door, dangling = 77;
	struct perch_version *v = &m->versions[2 * PERCH_SLOTS];
	__u64 slice[PERCH_FAMILIES];
	struct place p;

	place_make(&p, 2, 0, 1);
	place_mixed(&p, 0, 2);
	apply_new(&p);
	id = id_of(&p, 0, 2);
	listener = listener_of(&p.listen[0]);
	door = listener_of(&p.door);
	memcpy(slice, v->slice, sizeof(slice));
	assert_true(slice[PERCH_IPV4] && slice[PERCH_IPV6]);
	tables_close(t);
	/* half an apply: an address without its listener, a backend that no
	 * service has, a bit that nobody needs */
	assert_int_equal(bpf_map_update_elem(m->addresses_fd, &stale, &dangling, BPF_ANY), 0);
	m->backends[60] = (struct perch_backend){ .state = PERCH_BACKEND_UP, .service = 5, .version = 40 };
	m->filter->source[5] = 1;

	assert_int_equal(tables_open(&t, &d), 0);
	assert_int_equal(listener_of(&stale), 0);
	assert_int_equal(m->backends[60].state, PERCH_BACKEND_DRAINING);
	assert_int_equal(m->filter->source[5] & 1, 0);
	assert_int_equal(m->backends[id].state, PERCH_BACKEND_UP);
	apply(&p);
	assert_int_equal(id_of(&p, 0, 2), id);
	assert_int_equal(listener_of(&p.listen[0]), listener);
	assert_int_equal(listener_of(&p.door), door);
	assert_memory_equal(v->slice, slice, sizeof(slice));
	assert_int_equal(m->services[2].incarnation, 1);
}

static void test_remove_takes_the_service_away(void **state)
{
	struct place p;
	__u32 id;

	place_make(&p, 1, 2, 1);
	p.s.observed = true;
	apply_new(&p);
	id = id_of(&p, 0, 0);
	assert_int_equal(tables_remove(t, 1), 0);
	assert_int_equal(listener_of(&p.listen[0]), 0);
	assert_int_equal(listener_of(&p.door), 0);
	assert_int_equal(m->services[1].in_use, 0);
	assert_int_equal(m->services[1].observed, 0);
	assert_true(m->versions[PERCH_SLOTS].slice[PERCH_IPV4] == 0);
	assert_true(m->versions[PERCH_SLOTS].sever_before > 0);
	assert_int_equal(m->backends[id].state, PERCH_BACKEND_DRAINING);
	assert_int_equal(m->backends[id].observed, 0);
	/* the replies of its flows are still recognised, to be reset */
	assert_true(filter_has(m->filter->source, &m->backends[id].address));
	/* nobody else gets the id while backends of it are there */
	assert_int_equal(tables_service_id(t), 0);
	m->services[0].in_use = 1;
	assert_int_equal(tables_service_id(t), 2);
	snprintf(m->names[2].name, PERCH_NAME_LEN, "taken");
	assert_int_equal(tables_service_id(t), 3);
}

static __u64 active_flows[BACKENDS];

static __u64 active_of(void *arg, __u32 backend)
{
	return active_flows[backend];
}

static void counters_write(__u32 id, __u64 opened, __u64 ended)
{
	struct perch_counters *c = calloc(cpus, sizeof(*c));

	/* on two CPUs, as flows move */
	c[0].opened = opened;
	c[cpus - 1].ended = ended;
	assert_int_equal(bpf_map_update_elem(m->counters_fd, &id, c, BPF_ANY), 0);
	free(c);
}

static void reap_for(unsigned ms)
{
	for (unsigned i = 0; i <= ms; i += 100) {
		tables_reap(t, active_of, NULL);
		usleep(100000);
	}
}

static void test_reap_frees_a_backend_only_after_its_last_flow(void **state)
{
	__u32 told, counted, outside;
	struct place p;

	place_make(&p, 0, 4, 1);
	apply_new(&p);
	told = id_of(&p, 0, 1);
	counted = id_of(&p, 0, 2);
	outside = id_of(&p, 0, 3);
	place_backends(&p, 0, 1);
	apply(&p);
	active_flows[told] = 1;
	/* samples have not told yet, or before our time: the kernel knows */
	counters_write(counted, 5, 4);
	counters_write(outside, 5, 4);
	m->backends[outside].ended_outside = 1;
	reap_for(2300);
	assert_int_equal(m->backends[told].state, PERCH_BACKEND_DRAINING);
	assert_int_equal(m->backends[counted].state, PERCH_BACKEND_DRAINING);
	assert_int_equal(m->backends[outside].state, PERCH_BACKEND_NONE);
	assert_int_equal(m->backends[id_of(&p, 0, 0)].state, PERCH_BACKEND_UP);
	assert_false(tables_version_empty(t, 0, 0));
	active_flows[told] = 0;
	counters_write(counted, 5, 5);
	tables_reap(t, active_of, NULL);
	assert_int_equal(m->backends[counted].state, PERCH_BACKEND_DRAINING);
	reap_for(2300);
	assert_int_equal(m->backends[told].state, PERCH_BACKEND_NONE);
	assert_int_equal(m->backends[counted].state, PERCH_BACKEND_NONE);
	assert_int_equal(filter_weight(m->filter->source), 2);
}

static void test_backend_element_is_reused_last_and_counts_from_0(void **state)
{
	__u32 first, id = 0;
	struct place p;

	place_make(&p, 0, 1, 1);
	apply_new(&p);
	first = id_of(&p, 0, 0);
	counters_write(first, 7, 7);
	m->backends[first].via = 99;
	m->backends[first].ended_outside = 3;
	m->backends[first].state = PERCH_BACKEND_NONE;
	p.s.id = 1;
	for (__u32 i = 0; i < BACKENDS - 2; i++) {
		struct model_backend b = { .address = address("10.9.%d.%d", 1, i), .weight = 1 };

		assert_int_equal(backends_place(t, &p.s, 0, &b, false, &id), 0);
		assert_true((id == first) == (i == BACKENDS - 3));
	}
	assert_int_equal(id, first);
	assert_int_equal(m->backends[id].incarnation, 2);
	assert_true(m->backends[id].via == 0);
	assert_true(m->backends[id].ended_outside == 0);
	struct perch_counters *c = calloc(cpus, sizeof(*c));
	assert_int_equal(bpf_map_lookup_elem(m->counters_fd, &id, c), 0);
	assert_int_equal(c[0].opened, 0);
	free(c);
	struct model_backend b = { .address = address("10.9.%d.%d", 2, 1), .weight = 1 };
	assert_int_equal(backends_place(t, &p.s, 0, &b, false, &id), -ENOSPC);
}

static void test_observed_element_has_limits_before_it_is_named(void **state)
{
	struct perch_votes *v = calloc(cpus, sizeof(*v));
	struct perch_observed *o;
	struct place p;
	__u32 key = 1 * PERCH_SLOTS;

	v[0].connects = 12;
	assert_int_equal(bpf_map_update_elem(m->votes_fd, &key, v, BPF_ANY), 0);
	place_make(&p, 0, 1, 1);
	p.s.observed = true;
	p.s.reflex_limit = 10;
	p.s.limits = 2;
	p.s.limit_us[0] = 500000;
	p.s.limit_us[1] = 900000;
	apply_new(&p);
	assert_int_equal(m->services[0].observed, 1);
	assert_int_equal(m->backends[id_of(&p, 1, 0)].observed, 1);
	o = &m->observed[1];
	assert_int_equal(o->service, 0);
	assert_int_equal(o->reflex_limit, 10);
	assert_int_equal(o->limits, 2);
	assert_int_equal(o->limit_us[1], 900000);
	assert_int_equal(bpf_map_lookup_elem(m->votes_fd, &key, v), 0);
	assert_int_equal(v[0].connects, 0);
	free(v);

	o->reflex = 7;
	tables_compare(t, 0, &(struct comparison){ .since_epoch = 42 });
	assert_int_equal(o->since_epoch, 42);
	assert_true(o->reflex == 0);
	/* a backend that comes later is observed too; the epoch stays */
	place_backends(&p, 0, 2);
	apply(&p);
	assert_int_equal(m->backends[id_of(&p, 0, 1)].observed, 1);
	assert_int_equal(o->since_epoch, 42);
	p.s.observed = false;
	apply(&p);
	assert_int_equal(m->services[0].observed, 0);
	assert_int_equal(m->backends[id_of(&p, 0, 1)].observed, 0);
}

static void votes_write(__u32 key, __u64 connects)
{
	struct perch_votes *v = calloc(cpus, sizeof(*v));

	/* on two CPUs, as packets come */
	v[0].connects = connects;
	v[cpus - 1].response_time[9] += connects;
	assert_int_equal(bpf_map_update_elem(m->votes_fd, &key, v, BPF_ANY), 0);
	free(v);
}

static void tally_write(__u32 key, __u32 epoch, __u64 bad, int cpu)
{
	struct perch_tallies *v = calloc(cpus, sizeof(*v));

	assert_int_equal(bpf_map_lookup_elem(m->tallies_fd, &key, v), 0);
	v[cpu].cell[epoch / 2 % PERCH_EPOCHS].epoch = epoch;
	v[cpu].cell[epoch / 2 % PERCH_EPOCHS].outcome[PERCH_RESET].bad = bad;
	assert_int_equal(bpf_map_update_elem(m->tallies_fd, &key, v, BPF_ANY), 0);
	free(v);
}

/* Of each place the newest epoch, over those CPUs that have it. */
static void test_tallies_are_of_one_epoch_over_all_cpus(void **state)
{
	struct perch_tallies v;
	struct place p;

	place_make(&p, 0, 1, 1);
	assert_int_equal(tables_tallies(t, 0, 1, &v), -ENOENT);
	p.s.observed = true;
	apply_new(&p);
	tally_write(PERCH_SLOTS + 1, 4, 3, 0);
	tally_write(PERCH_SLOTS + 1, 4, 5, cpus - 1);
	tally_write(PERCH_SLOTS + 1, 6, 7, 0);
	tally_write(PERCH_SLOTS + 1, 6 + 2 * PERCH_EPOCHS, 2, cpus - 1);
	assert_int_equal(tables_tallies(t, 0, 1, &v), 0);
	assert_int_equal(v.cell[2].epoch, 4);
	assert_int_equal(v.cell[2].outcome[PERCH_RESET].bad, cpus > 1 ? 8 : 5);
	assert_int_equal(v.cell[3].epoch, 6 + 2 * PERCH_EPOCHS);
	assert_int_equal(v.cell[3].outcome[PERCH_RESET].bad, 2);
}

/* Nothing of the service before: votes, tallies, caps. */
static void test_an_element_begins_anew_with_its_next_service(void **state)
{
	static struct perch_caps caps;
	struct perch_tallies v;
	__u32 id = 1;
	struct place p;

	memset(&caps, 0xff, sizeof(caps));
	assert_int_equal(bpf_map_update_elem(m->caps_fd, &id, &caps, BPF_ANY), 0);
	tally_write(PERCH_SLOTS + 1, 4, 3, 0);
	place_make(&p, 0, 1, 1);
	p.s.observed = true;
	apply_new(&p);
	assert_int_equal(m->services[0].observed, id);
	assert_int_equal(bpf_map_lookup_elem(m->caps_fd, &id, &caps), 0);
	for (unsigned i = 0; i < PERCH_CAP_WORDS; i++)
		assert_int_equal(caps.word[i], 0);
	assert_int_equal(tables_tallies(t, 0, 1, &v), 0);
	assert_int_equal(v.cell[2].epoch, 0);
}

static void test_votes_of_a_slot_begin_anew_with_its_next_version(void **state)
{
	struct perch_votes v;
	struct place p;

	place_make(&p, 0, 1, 1);
	p.s.observed = true;
	apply_new(&p);
	votes_write(PERCH_SLOTS, 12);
	votes_write(PERCH_SLOTS + 1, 34);
	apply(&p);
	assert_int_equal(tables_votes(t, 0, 1, &v), 0);
	assert_int_equal(v.connects, 34);
	assert_int_equal(v.response_time[9], 34);
	p.s.n_versions = 1;
	apply(&p);
	/* its last packets are counted while it goes */
	votes_write(PERCH_SLOTS + 1, 56);
	p.s.n_versions = 2;
	p.s.version[1].name = "v3";
	apply(&p);
	assert_int_equal(tables_votes(t, 0, 1, &v), 0);
	assert_int_equal(v.connects, 0);
	assert_int_equal(v.response_time[9], 0);
	assert_int_equal(tables_votes(t, 0, 0, &v), 0);
	assert_int_equal(v.connects, 12);
	p.s.observed = false;
	apply(&p);
	assert_int_equal(tables_votes(t, 0, 0, &v), -ENOENT);
}

static void test_observed_pool_runs_out_with_an_error(void **state)
{
	char why[WHY] = "";
	struct place p;

	for (unsigned i = 0; i < PERCH_OBSERVED - 1; i++) {
		m->services[i].in_use = 1;
		m->services[i].observed = i + 1;
	}
	place_make(&p, 70, 1, 1);
	p.s.observed = true;
	assert_int_equal(tables_apply(t, &p.s, NULL, NULL, why), -ENOSPC);
	assert_non_null(strstr(why, "observed"));
	m->services[9].in_use = 0;
	apply_new(&p);
	assert_int_equal(m->services[70].observed, 10);
}

static void flow_enter(__u16 listener, const struct perch_endpoint *e)
{
	m->flows[3].flow[5] = (struct perch_flow){
		.key = { .client = address("10.0.0.%d%.0d", 1, 0), .port = e->port, .listener = listener },
	};
	m->flows[3].tag[5] = perch_tag(77, 1, PERCH_TCP, 0);
}

static void test_listener_rests_until_no_flow_names_it(void **state)
{
	struct perch_endpoint gone;
	struct place p;
	__u32 id;

	place_make(&p, 1, 1, 1);
	p.listen[1] = p.listen[0];
	p.listen[1].address = address("192.0.2.%d%.0d", 99, 0);
	gone = p.listen[1];
	p.s.n_listen = 2;
	apply_new(&p);
	id = listener_of(&gone);
	flow_enter(id, &gone);
	p.s.n_listen = 1;
	apply(&p);
	assert_int_equal(listener_of(&gone), 0);
	assert_int_equal(m->listeners[id].in_use, 0);
	assert_memory_equal(&m->listeners[id].address, &gone.address, sizeof(gone.address));
	assert_true(filter_has(m->filter->destination, &gone.address));
	assert_false(listeners_free(t, true));
	/* it comes back as what it was */
	p.s.n_listen = 2;
	apply(&p);
	assert_int_equal(listener_of(&gone), id);
	p.s.n_listen = 1;
	apply(&p);
	m->flows[3].tag[5] = perch_tag(77, 1, PERCH_FREE, 0);
	t->listeners_freed = 0;
	tables_reap(t, active_of, NULL);
	assert_int_equal(m->listeners[id].protocol, 0);
	assert_false(filter_has(m->filter->destination, &gone.address));
	assert_true(filter_has(m->filter->destination, &p.listen[0].address));
}

static void test_listener_ids_run_out_only_for_those_in_use(void **state)
{
	struct perch_endpoint many[LISTENERS];
	struct place p;
	char why[WHY];

	place_make(&p, 0, 1, 1);
	p.s.listen = many;
	p.s.n_listen = LISTENERS - 2;
	p.s.version[1].n_doors = 0;
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < LISTENERS; i++)
			many[i] = (struct perch_endpoint){ address("198.18.%d.%d", turn, i), htons(80), IPPROTO_UDP, 0 };
		if (turn) {
			p.s.n_listen = 0;
			apply(&p);
			p.s.n_listen = LISTENERS - 2;
			apply(&p);
		} else {
			apply_new(&p);
		}
		for (int i = 0; i < LISTENERS - 2; i++)
			assert_true(listener_of(&many[i]));
	}
	p.s.n_listen = LISTENERS;
	assert_int_equal(tables_apply(t, &p.s, NULL, NULL, why), -ENOSPC);
	assert_int_equal(listener_of(&many[LISTENERS - 2]), 0);
	assert_true(listener_of(&many[0]));
}

static void test_filter_bit_stays_until_its_last_user_went(void **state)
{
	struct place a, b;

	place_make(&a, 1, 1, 1);
	place_make(&b, 2, 1, 1);
	b.listen[0] = a.listen[0];
	b.listen[0].port = htons(443);
	b.s.version[1].n_doors = 0;
	apply_new(&a);
	apply_new(&b);
	assert_int_equal(filter_weight(m->filter->destination), 1);
	tables_remove(t, 1);
	assert_true(listeners_free(t, true));
	apply(&b);
	assert_true(filter_has(m->filter->destination, &b.listen[0].address));
	tables_remove(t, 2);
	assert_true(listeners_free(t, true));
	tables_remove(t, 2);
	assert_int_equal(filter_weight(m->filter->destination), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_take_over_finds_ids_and_clears_what_a_crash_left),
		TEST(test_remove_takes_the_service_away),
		TEST(test_reap_frees_a_backend_only_after_its_last_flow),
		TEST(test_backend_element_is_reused_last_and_counts_from_0),
		TEST(test_observed_element_has_limits_before_it_is_named),
		TEST(test_votes_of_a_slot_begin_anew_with_its_next_version),
		TEST(test_tallies_are_of_one_epoch_over_all_cpus),
		TEST(test_an_element_begins_anew_with_its_next_service),
		TEST(test_observed_pool_runs_out_with_an_error),
		TEST(test_listener_rests_until_no_flow_names_it),
		TEST(test_listener_ids_run_out_only_for_those_in_use),
		TEST(test_filter_bit_stays_until_its_last_user_went),
	};

	return cmocka_run_group_tests_name("tables_life", tests, NULL, NULL);
}
