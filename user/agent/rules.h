/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The rules of a service's configuration, and where names of versions lead. */
#ifndef PERCH_AGENT_RULES_H
#define PERCH_AGENT_RULES_H

#include "agent.h"

/* Name or role as the kernel's target: by name the slot, CHOICE_VOID when no
 * such version is loaded; by role the role. */
__u8 rules_target(const struct service *s, const char *version);
/* And back: name of the slot or word of the role; NULL: it leads nowhere. */
const char *rules_target_name(const struct service *s, __u8 target);

/*
 * Before the names of s are written anywhere: what led to a version that is no
 * longer in its slot leads nowhere.  Then the file's rules, by the slots as
 * they are; nothing is done when neither moved.  0, or -errno with a sentence:
 * the rules are those of before then.
 */
int rules_place(struct agent *a, struct service *s, char why[AGENT_WHY]);
/* The rule of the file that a source, or a DSCP, meets; NULL: none. */
const struct model_rule *rules_match(const struct service *s, const struct perch_address *source);
const struct model_rule *rules_match_dscp(const struct service *s, __u8 dscp);

#endif
