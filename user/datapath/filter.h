/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The bits that say "may be ours": set before a listener or a backend is
 * entered, cleared after it has gone, when nobody else needs them. */
#ifndef PERCH_FILTER_H
#define PERCH_FILTER_H

#include "datapath.h"

void filter_set_destination(const struct maps *m, const struct perch_address *a);
void filter_set_source(const struct maps *m, const struct perch_address *a);
/* Clear every bit that no listener and no backend has. */
void filter_sweep(const struct maps *m);

#endif
