# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/commit.h: an alias grows old while its flow lives
s/if (unlikely(p->alias_tag || p->closed))/if (unlikely(p->closed))/
