/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The choice of a version for a packet, computed in user space. */
#ifndef PERCH_TEST_MODEL_H
#define PERCH_TEST_MODEL_H

#include "lab.h"

/* Place in the hash range of this packet's connection, 0 .. PERCH_SHARE_ALL - 1. */
__u32 model_value(const struct lab *lab, const struct packet_spec *s, enum perch_affinity affinity, __u64 salt);

#endif
