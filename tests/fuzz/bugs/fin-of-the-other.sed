# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/track.h: the backend's FIN is noted as the client's
s/track_flag(f, have, PERCH_FLOW_FIN_BACKEND);/track_flag(f, have, PERCH_FLOW_FIN_CLIENT);/
