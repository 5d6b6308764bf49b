/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * perch.yaml read and checked: one schema table says what may stand where;
 * what is unknown, missing, double, out of range, contradictory or not built
 * yet is refused with file, line, key and what would be right.
 */
#ifndef PERCH_CONFIG_H
#define PERCH_CONFIG_H

#include "../core/model.h"

#define CONFIG_ERROR 512

/* 0 and *ret, or -EINVAL (and -errno of reading) with one line in error:
 * "perch.yaml:31: services[0].versions: no version has role stable". */
int config_load(const char *path, struct model_config **ret, char error[CONFIG_ERROR]);
/* The same from memory; `name` stands for the file in errors. */
int config_parse(const char *name, const char *text, size_t length, struct model_config **ret,
		 char error[CONFIG_ERROR]);
void config_free(struct model_config *c);

/* A service that state and kernel do not know must name exactly one stable
 * version; one they know need not.  -EINVAL with the line in error. */
int config_check_new_service(const struct model_config *c, const struct model_service *s, char error[CONFIG_ERROR]);

/* Values as text, for the API and the CLI too: "30s" and "5m" to ns, "12.5"
 * percent to 0.01 %.  0 or -EINVAL. */
int config_duration(const char *text, __u64 *ret_ns);
int config_percent(const char *text, __u32 *ret_share);

#endif
