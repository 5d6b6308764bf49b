/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* HTTP servers in the agent's loop: one on the unix socket, one read-only on
 * TCP.  What is asked and answered is in api.h. */
#ifndef PERCH_AGENT_HTTP_H
#define PERCH_AGENT_HTTP_H

#include <microhttpd.h>
#include <stdbool.h>

struct agent;
struct http;

/* A server on a unix socket (path) or on TCP (host and port).  Refuses
 * (-EADDRINUSE) a path where another process answers. */
int http_start_unix(struct agent *a, const char *path, struct http **ret);
int http_start_tcp(struct agent *a, const char *host, int port, struct http **ret);
/* Connections that are suspended must have been resumed. */
void http_stop(struct http *h);
/* Something changed outside of the server (a connection was resumed). */
void http_kick(struct http *h);

#endif
