/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What choices.c, choice_rules.c and choice_pins.c share.  Private to them. */
#ifndef PERCH_CHOICES_INSIDE_H
#define PERCH_CHOICES_INSIDE_H

#include "choices.h"

/* Pins are counted by what they lead to: slots, roles, nothing. */
#define CHOICE_COUNTS (PERCH_SLOTS + PERCH_ROLE_RETIRING + 2)

struct choice_service {
	struct choice_rule *rule;	/* in the kernel now, by choice_rule_order */
	size_t n_rules;
	__u32 pins, pins_to[CHOICE_COUNTS];
};

struct choices {
	const struct maps *m;
	struct choice_service *service;	/* by element of `services` */
	__u32 services;
	size_t rules, rules_room;
	size_t timed, pins_room;
};

/* Keep the bit as `on` says. */
void choices_bit(const struct choices *c, unsigned service, enum perch_chooser bit, bool on);

int choice_rules_read(struct choices *c);
int choice_rules_void(struct choices *c, unsigned service, __u32 target);

int choice_pins_read(struct choices *c);
int choice_pins_void(struct choices *c, unsigned service, __u8 target);

#endif
