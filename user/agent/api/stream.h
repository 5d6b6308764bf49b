/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Answers that go on: documents, one a line (application/x-ndjson), to a
 * client that reads them as they come.  While there is nothing to send the
 * connection is suspended and costs nothing; empty lines show either end that
 * the other one is still there.
 */
#ifndef PERCH_AGENT_STREAM_H
#define PERCH_AGENT_STREAM_H

#include "api.h"

struct stream {
	struct http *http;
	struct MHD_Connection *connection;
	void (*gone)(struct stream *s);
	char *buffer;
	size_t at, length;
	unsigned idle_s;
	bool suspended, ended;
};

/* Answer q by s, which lies in memory that `gone` frees when the connection is
 * over.  -ENOMEM after answering 503; `gone` is not called then. */
int stream_open(struct stream *s, struct request *q, void (*gone)(struct stream *s));
/* 0, or -ENOBUFS: the reader is too far behind, nothing was appended; or
 * -ENOMEM. */
int stream_send(struct stream *s, const json_t *doc);
/* Every second: an empty line after so many of silence. */
void stream_beat(struct stream *s, unsigned silence);
/* What was sent is still delivered, then the answer ends. */
void stream_end(struct stream *s);

#endif
