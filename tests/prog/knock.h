/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the tests of listeners share: who knocks at a port, and an agent that
 * comes after another one. */
#ifndef PERCH_TEST_KNOCK_H
#define PERCH_TEST_KNOCK_H

#include "prog.h"

static inline __u8 first_flags(__u8 protocol)
{
	return protocol == IPPROTO_TCP ? TCP_SYN : 0;
}

/* The fate of the first packet of a new connection to a port, of a client that
 * no test has by its number. */
static inline int knock(struct talk *t, struct lab *lab, struct mode m, __u8 protocol, __u16 port)
{
	static __u32 n = 20000;

	mode_talk(t, lab, m, protocol, n++);
	t->client.to_port = port;
	return talk_client(t, first_flags(protocol), 0);
}

static inline void assert_knock(struct lab *lab, __u16 port, int want)
{
	static const __u8 protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	static struct talk t;

	for_each_mode(m)
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(knock(&t, lab, m, protocols[i], port), want);
}

/* As another agent finds them. */
static inline void reopen(struct lab *lab)
{
	tables_close(lab->tables);
	assert_int_equal(tables_open(&lab->tables, &lab->datapath), 0);
}

static inline void close_both(struct talk *t)
{
	assert_int_equal(talk_client(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_backend(t, TCP_FIN | TCP_ACK, 0), TALK_FORWARDED);
	assert_int_equal(talk_client(t, TCP_ACK, 0), TALK_FORWARDED);
}

#endif
