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
 * "perch.yaml:31: services[0].versions: no version has role stable".  What it
 * includes is read too: paths in the file are relative to its folder. */
int config_load(const char *path, struct model_config **ret, char error[CONFIG_ERROR]);
/* The same with the text of the file from memory; `name` is its path, and
 * stands for it in errors. */
int config_parse(const char *name, const char *text, size_t length, struct model_config **ret,
		 char error[CONFIG_ERROR]);
void config_free(struct model_config *c);

/*
 * A service of its own, outside any file: one mapping, YAML or JSON, as a
 * file has it in its list of services.  `name` stands for the text in errors
 * ("NAME:3: versions[0].backends: ..."), and nothing in it may refer to a file.
 */
struct config_text {
	const char *name;
	const char *text;
	size_t length;
};

/* The file and texts beside it as one configuration, with the checks between
 * all services; those of texts come last, in their order, with file NULL.  They
 * begin with the file's defaults. */
int config_load_with(const char *path, const struct config_text *texts, size_t n_texts, struct model_config **ret,
		     char error[CONFIG_ERROR]);
int config_parse_with(const char *name, const char *text, size_t length, const struct config_text *texts,
		      size_t n_texts, struct model_config **ret, char error[CONFIG_ERROR]);

/* One such text alone: a configuration of this one service, checked for what
 * can be seen without the others.  It begins with the defaults of
 * `defaults_from`, NULL without. */
int config_parse_service(const char *name, const char *text, size_t length, const struct model_config *defaults_from,
			 struct model_config **ret, char error[CONFIG_ERROR]);

/* The name in such a text, without a look at the rest. */
int config_service_name(const char *name, const char *text, size_t length, char ret[PERCH_NAME_LEN],
			char error[CONFIG_ERROR]);

/* A service that state and kernel do not know must name exactly one stable
 * version; one they know need not.  -EINVAL with the line in error. */
int config_check_new_service(const struct model_service *s, char error[CONFIG_ERROR]);

/* Tells what differs: "services.web.versions.v2.backends", with both values as
 * they would be written, NULL on the side where there is none.  What is secret
 * is in no configuration.  0 or -ENOMEM. */
typedef void config_differs(void *arg, const char *path, const char *from, const char *to);
int config_diff(const struct model_config *from, const struct model_config *to, config_differs *fn, void *arg);

/* The word of a way to forward. */
const char *config_forward(enum perch_forward forward);

/* A name: letters, digits, '.', '_', '-', the first a letter or digit, at most 63. */
bool config_is_name(const char *text);

/* The name of an interface that stands for many. */
bool config_is_pattern(const char *name);

/* Values as text, for the API and the CLI too: "30s" and "5m" to ns, "12.5"
 * percent to 0.01 %.  0 or -EINVAL. */
int config_duration(const char *text, __u64 *ret_ns);
int config_percent(const char *text, __u32 *ret_share);

#endif
