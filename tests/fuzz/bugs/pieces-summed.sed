# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/rewrite.h: a later fragment is changed where a checksum would be
s/return later || !bpf_l4_csum_replace/return !bpf_l4_csum_replace/
