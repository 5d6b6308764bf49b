# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# bpf/flow.h: nor from its port
s/return (port ? port : READ(f->key.port)) == p->source_port || p->piece == PIECE_LATER;/return port || READ(f->key.port);/
