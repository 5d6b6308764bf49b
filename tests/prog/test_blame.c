/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Blame: whose the canary's bad votes are. */
#include <string.h>

#include "prog.h"

/* Bad votes of the canary are its backend's; stable's are nobody's. */
static void test_the_canarys_bad_votes_are_of_a_backend(void **state)
{
	struct lab *lab = *state;
	static struct talk t;

	for_each_mode(m) {
		for (unsigned canary = 0; canary < 2; canary++) {
			struct comparison c = { .since_epoch = lab_epoch(lab, m), .canary = canary, .on = true };
			struct perch_blame seen;
			unsigned of = 0, sum = 0;

			memset(c.edge, PERCH_NO_EDGE, sizeof(c.edge));
			c.edge[1][PERCH_WAIT_RESPONSE][0] = 0;
			tables_compare(lab->tables, m.v6, &c);
			lab_next_moment();
			mode_talk(&t, lab, m, IPPROTO_TCP, 170 + canary);
			assert_int_equal(talk_connect(&t), TALK_FORWARDED);
			of = talk_entry(&t)->backend % PERCH_BLAMED;
			assert_int_equal(talk_client(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, TCP_ACK | TCP_PSH, 100), TALK_FORWARDED);
			assert_int_equal(talk_backend(&t, TCP_RST | TCP_ACK, 0), TALK_FORWARDED);
			assert_int_equal(tables_blame(lab->tables, m.v6, &seen), 0);
			for (unsigned i = 0; i < PERCH_BLAMED; i++)
				for (unsigned k = 0; k < PERCH_BLAME_KINDS; k++)
					sum += seen.bad[i][k];
			/* all go to slot 0: it is the canary, or stable */
			assert_int_equal(seen.bad[of][PERCH_RESET], !canary);
			assert_int_equal(seen.bad[of][PERCH_OUTCOMES + PERCH_WAIT_RESPONSE], !canary);
			assert_int_equal(sum, canary ? 0 : 2);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		prog_test(test_the_canarys_bad_votes_are_of_a_backend),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
