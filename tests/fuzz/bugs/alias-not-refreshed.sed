# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/steer.h: an alias grows old while its flow lives
s/^\tif (unlikely(p->alias_tag))$/\tif (unlikely(p->alias_tag == 1))/
