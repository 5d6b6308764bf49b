// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The table of PERCH_REASONS, verdicts in words. */
#include "reasons.h"

#define WORD_PASS "pass"
#define WORD_FORWARD "forward"
#define WORD_DROP "drop"
#define WORD_ANSWER "answer"
#define WORD_NOTE "note"

static const struct reason_text reasons[PERCH_REASON_COUNT] = {
#define X(name, verdict, word, text) { word, WORD_##verdict, text },
	PERCH_REASONS(X)
#undef X
};

const struct reason_text *reason_find(unsigned reason)
{
	static const struct reason_text unknown = { "unknown", WORD_NOTE, "a reason this perchd does not know" };

	return reason < PERCH_REASON_COUNT ? &reasons[reason] : &unknown;
}
