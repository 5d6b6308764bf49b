# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/source.h: an established flow loses its port
s/if (class != PERCH_CLOSING \&\& class != PERCH_EMBRYONIC \&\& class != PERCH_UDP_NEW \&\&/if (class == PERCH_TCP \&\&/
