/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The choosers of services as a whole: opening, the bits that tell packets to
 * ask, marks, and what goes with a version or a service. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "choices_inside.h"
#include "internal.h"

void choices_bit(const struct choices *c, unsigned service, enum perch_chooser bit, bool on)
{
	struct perch_service *s = &c->m->services[service];
	__u8 bits = on ? s->choosers | bit : s->choosers & ~bit;

	if (bits != s->choosers)
		__atomic_store_n(&s->choosers, bits, __ATOMIC_RELEASE);
}

static int map_entries(int fd, size_t *ret)
{
	struct bpf_map_info info = { 0 };
	__u32 length = sizeof(info);
	int err = bpf_obj_get_info_by_fd(fd, &info, &length);

	*ret = info.max_entries;
	return err;
}

/* What a process that was killed has left to a service that is none. */
static void clear_strays(struct choices *c)
{
	for (unsigned i = 0; i < c->services; i++)
		if (!c->m->services[i].in_use)
			choices_clear(c, i);
}

int choices_open(struct choices **ret, const struct maps *m)
{
	struct choices *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->m = m;
	c->services = m->control->services;
	c->service = calloc(c->services, sizeof(*c->service));
	err = c->service ? map_entries(m->rules_fd, &c->rules_room) : -ENOMEM;
	err = err ?: map_entries(m->pins_fd, &c->pins_room);
	err = err ?: choice_rules_read(c);
	err = err ?: choice_pins_read(c);
	if (err) {
		choices_close(c);
		return err;
	}
	clear_strays(c);
	*ret = c;
	return 0;
}

void choices_close(struct choices *c)
{
	if (!c)
		return;
	for (unsigned i = 0; c->service && i < c->services; i++)
		free(c->service[i].rule);
	free(c->service);
	free(c);
}

void choices_marks(struct choices *c, unsigned service, const __u8 target[CHOICE_MARKS])
{
	static const __u8 none[CHOICE_MARKS];
	struct perch_mark *m = &c->m->marks[service];
	bool any = memcmp(target, none, sizeof(none));

	for (unsigned i = 0; i < CHOICE_MARKS; i++)
		if (m->target[i] != target[i])
			__atomic_store_n(&m->target[i], target[i], __ATOMIC_RELAXED);
	choices_bit(c, service, PERCH_CHOOSE_MARKS, any);
}

void choices_clear(struct choices *c, unsigned service)
{
	static const __u8 none[CHOICE_MARKS];
	char why[WHY];

	choices_marks(c, service, none);
	choices_rules(c, service, NULL, 0, why);
	choices_pins_clear(c, service);
}

bool choices_lead_to(const struct choices *c, unsigned service, __u8 target)
{
	const struct choice_service *s = &c->service[service];

	if (choices_pins_to(c, service, target) || memchr(c->m->marks[service].target, target, CHOICE_MARKS))
		return true;
	for (size_t i = 0; i < s->n_rules; i++)
		if (s->rule[i].target == target)
			return true;
	return false;
}

int choices_void_slot(struct choices *c, unsigned service, unsigned slot)
{
	const __u8 target = PERCH_TARGET_SLOT | slot;
	struct perch_mark *m = &c->m->marks[service];
	int rules, pins;

	for (unsigned i = 0; i < CHOICE_MARKS; i++)
		if (m->target[i] == target)
			__atomic_store_n(&m->target[i], CHOICE_VOID, __ATOMIC_RELAXED);
	rules = choice_rules_void(c, service, target);
	pins = choice_pins_void(c, service, target);
	return rules ?: pins;
}
