/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The choice of a version, computed a second time: SipHash-1-3 of the
 * affinity tuple (Aumasson and Bernstein, 2012), turned by the salt. */
#ifndef PERCH_TEST_MODEL_H
#define PERCH_TEST_MODEL_H

#include "lab.h"

__u64 model_siphash(int rounds, int final_rounds, const __u64 key[2], const __u64 *words, unsigned n);
/* Place in the hash range of this packet's connection, 0 .. PERCH_SHARE_ALL - 1. */
__u32 model_value(const struct lab *lab, const struct packet_spec *s, enum perch_affinity affinity, __u64 salt);

#endif
