/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the tests of choosers share: pins, rules and marks for the lab's
 * services, and clients of their own. */
#ifndef PERCH_TEST_CHOOSERS_H
#define PERCH_TEST_CHOOSERS_H

#include <arpa/inet.h>

#include "../../user/core/hash.h"
#include "../../user/datapath/choices.h"
#include "../../user/datapath/explain.h"
#include "prog.h"

#define STABLE (PERCH_TARGET_SLOT | 0)
#define CANARY (PERCH_TARGET_SLOT | 1)

static struct choices *choices;

static inline int choosers_setup(void **state)
{
	struct lab *lab;

	prog_setup_web(state);
	lab = *state;
	assert_int_equal(choices_open(&choices, &lab->datapath.maps), 0);
	return 0;
}

static inline int choosers_teardown(void **state)
{
	choices_close(choices);
	return prog_teardown(state);
}

/* A client of its own: of IPv6 a /64 of its own, too. */
static inline void talk_new(struct talk *t, struct lab *lab, struct mode m, __u8 protocol, __u32 n)
{
	mode_talk(t, lab, m, protocol, n);
	if (m.v6)
		t->client.from.word[1] = htonl(n * MODES + mode_number(m) + 1);
}

static inline void pin(struct mode m, const struct talk *t, __u8 target, __u64 until)
{
	const struct perch_pin pin = { .target = target, .until = until };
	const struct perch_address client = hash_client(&t->client.from);

	assert_int_equal(choices_pin(choices, m.v6, &client, &pin), 0);
}

/* One rule of a service, or none. */
static inline void rule(struct mode m, const struct perch_address *source, __u32 bits, __u8 target)
{
	struct choice_rule r = { .source = *source, .prefix = bits + (m.v6 ? 0 : 96), .target = target };
	char why[WHY];

	for (__u32 bit = r.prefix; bit < 128; bit++)
		((__u8 *)&r.source)[bit / 8] &= ~(0x80 >> bit % 8);
	assert_int_equal(choices_rules(choices, m.v6, &r, target ? 1 : 0, why), 0);
}

static inline void mark(struct mode m, __u8 dscp, __u8 target)
{
	__u8 marks[CHOICE_MARKS] = { 0 };

	marks[dscp] = target;
	choices_marks(choices, m.v6, marks);
}

static inline unsigned slot_of_new(struct talk *t)
{
	t->known = false;
	assert_int_equal(talk_client(t, t->client.protocol == IPPROTO_TCP ? TCP_SYN : 0, 4), TALK_FORWARDED);
	return talk_slot(t);
}

static inline struct hash_tuple tuple_of(const struct talk *t)
{
	return (struct hash_tuple){ t->client.from, t->client.to, htons(t->client.from_port), htons(t->client.to_port),
				    t->client.protocol };
}

#define chooser_test(f) cmocka_unit_test_setup_teardown(f, choosers_setup, choosers_teardown)

#endif
