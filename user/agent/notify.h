/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the service manager is told (sd_notify(3), without its library). */
#ifndef PERCH_AGENT_NOTIFY_H
#define PERCH_AGENT_NOTIFY_H

void notify_ready(void);
void notify_reloading(void);
void notify_stopping(void);

#endif
