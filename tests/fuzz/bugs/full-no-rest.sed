# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/source.h: a port is taken away before it has rested
s/if (!free \&\& s.rest < SOURCE_REST)/if (!free \&\& !s.rest)/
