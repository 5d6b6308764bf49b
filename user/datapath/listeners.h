/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Listeners handed back: no new connections through them, those that are
 * there go on.  For whoever has the maps; tables.h has the rest. */
#ifndef PERCH_LISTENERS_H
#define PERCH_LISTENERS_H

#include "datapath.h"

/* From now on packets without a flow pass to the stack at the listeners of a
 * service (leave), or are taken again (!leave).  How many listeners. */
size_t listeners_leave(const struct maps *m, unsigned service, bool leave);
/* The same for every service; taken again are only those of services that do
 * not leave for themselves (leaving_until). */
size_t listeners_leave_all(const struct maps *m, bool leave);

#endif
