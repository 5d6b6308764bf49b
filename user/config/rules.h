/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The rules of a service, while they are read, and in order. */
#ifndef PERCH_CONFIG_RULES_H
#define PERCH_CONFIG_RULES_H

#include "../core/address.h"
#include "reader.h"

/* Add a rule; room doubles.  The rule's texts come from rules_text.  0 or -errno, said. */
int rules_add(struct reader *r, struct model_service *s, const struct model_rule *rule);
/* The service's own copy of a text that rules share; NULL: no memory, said. */
const char *rules_text(struct reader *r, struct model_service *s, const char *text);

/* "10.9.0.0/16" into the rule; what is wrong with it and would be right into
 * `why` otherwise, and -EINVAL. */
#define RULES_WHY 192
int rules_source(const char *text, struct model_rule *rule, char why[RULES_WHY]);

/* Which comes first; 0 when both look at the same. */
int rules_compare(const struct model_rule *x, const struct model_rule *y);
/* All of a service's in that order, to be freed; NULL: no memory. */
const struct model_rule **rules_sorted(const struct model_service *s);
/* "10.9.0.0/16", "dscp 10" */
const char *rules_format(const struct model_rule *rule, char out[ADDRESS_TEXT]);

/* rules_file.c: each line of a sourceFile as a rule like `like`. */
int rules_read_file(struct reader *r, yaml_node_t *node, struct model_service *s, const struct model_rule *like);

#endif
