/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The rings: samples (cumulative evidence) and events.  One descriptor to
 * poll; reading calls back once per record. */
#ifndef PERCH_SAMPLES_H
#define PERCH_SAMPLES_H

#include "datapath.h"

struct sample_handlers {
	void (*backend)(void *arg, const struct perch_sample_backend *s);
	void (*version)(void *arg, const struct perch_sample_version *s);
	void (*service)(void *arg, const struct perch_sample_service *s);
	void (*host)(void *arg, const struct perch_sample_host *s);
	void (*event)(void *arg, const struct perch_event *e);
};

struct samples;
int samples_open(struct samples **ret, const struct maps *m, const struct sample_handlers *h, void *arg);
void samples_close(struct samples *s);
int samples_fd(const struct samples *s);
/* Read all that is there; number of records or -errno. */
int samples_read(struct samples *s);

#endif
