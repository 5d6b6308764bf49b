/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The choice of a version, by the hash as user space computes it. */
#include <arpa/inet.h>

#include "../../user/core/hash.h"
#include "model.h"

__u32 model_value(const struct lab *lab, const struct packet_spec *s, enum perch_affinity affinity, __u64 salt)
{
	const struct hash_tuple tuple = {
		.client = s->from, .destination = s->to, .client_port = htons(s->from_port), .port = htons(s->to_port),
		.protocol = s->protocol,
	};

	return hash_value(hash_affinity(lab->datapath.maps.control->secret, affinity, &tuple), salt);
}
