/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What was before a packet of the tables: a conversation so far. */
#include "packets.h"

bool after_syn(struct trial *t)
{
	return talk_client(&t->talk, TCP_SYN, 0) == TALK_FORWARDED;
}

bool after_syn_ack(struct trial *t)
{
	return after_syn(t) && talk_backend(&t->talk, TCP_SYN | TCP_ACK, 0) == TALK_FORWARDED;
}

bool after_connect(struct trial *t)
{
	return talk_connect(&t->talk) == TALK_FORWARDED;
}

bool after_syn_and_ack(struct trial *t)
{
	return talk_connect_blind(&t->talk) == TALK_FORWARDED;
}

bool after_close(struct trial *t)
{
	return after_connect(t) && talk_client(&t->talk, TCP_FIN | TCP_ACK, 0) == TALK_FORWARDED &&
	       talk_backend(&t->talk, TCP_FIN | TCP_ACK, 0) == TALK_FORWARDED;
}

bool after_request(struct trial *t)
{
	return talk_client(&t->talk, 0, 40) == TALK_FORWARDED;
}

bool after_reply(struct trial *t)
{
	return after_request(t) && talk_backend(&t->talk, 0, 50) == TALK_FORWARDED;
}

#define FIRST_PIECE 1200

/* The first of what the row's piece is another one of. */
bool after_first_piece(struct trial *t)
{
	struct lab_run how = { .hook = t->mode.hook, .ifindex = t->talk.lab->client.ifindex };
	struct packet_spec s = t->talk.client;
	static struct packet whole;

	s.payload = t->row->payload;
	packet_build(&whole, &s);
	packet_fragment(&whole, 0, FIRST_PIECE, &t->in);
	return lab_run(t->talk.lab, &how, &t->in, &t->out) == lab_forward(how.hook);
}

static bool sever(struct trial *t)
{
	lab_sever(t->talk.lab, t->mode.v6, 0);
	return true;
}

bool after_sever(struct trial *t)
{
	return after_connect(t) && sever(t);
}

bool after_sever_udp(struct trial *t)
{
	return after_reply(t) && sever(t);
}
