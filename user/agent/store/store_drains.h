/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Drains by a person in the store, by service and the backend's address as
 * address_port_format writes it.  0 or -errno, as in store.h. */
#ifndef PERCH_AGENT_STORE_DRAINS_H
#define PERCH_AGENT_STORE_DRAINS_H

#include "store.h"

int store_drain(struct store *s, const char *service, const char *address, __u64 since);
int store_resume(struct store *s, const char *service, const char *address);
int store_resume_all(struct store *s, const char *service);
int store_drains(struct store *s, const char *service, void (*fn)(void *arg, const char *address, __u64 since), void *arg);

#endif
