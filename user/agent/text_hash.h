/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The hash by which names are found (Bernstein's).  Not keyed: only who may
 * configure this host gives names. */
#ifndef PERCH_AGENT_TEXT_HASH_H
#define PERCH_AGENT_TEXT_HASH_H

#define TEXT_HASH 5381u		/* of no text */

/* `text` behind what h is of. */
static inline unsigned text_hash(unsigned h, const char *text)
{
	while (*text)
		h = h * 33 ^ (unsigned char)*text++;
	return h;
}

#endif
