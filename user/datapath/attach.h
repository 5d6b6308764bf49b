/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Programs on interfaces: XDP by link, TC by TCX where the kernel has it
 * (6.6) and clsact before; perch_tc_in and perch_tc_out go wherever perch_xdp
 * is.  Links are pinned; an attached interface is found again by its pins. */
#ifndef PERCH_ATTACH_H
#define PERCH_ATTACH_H

#include "datapath.h"

enum attach_mode { ATTACH_AUTO, ATTACH_XDP, ATTACH_XDP_GENERIC, ATTACH_TC };
const char *attach_mode_name(enum attach_mode m);	/* "xdp-generic" */

/* What becomes of another XDP program that is there when ours is to go there:
 * it stays and nothing is attached, it stays and ours are by TC, or it goes. */
enum attach_foreign { ATTACH_REFUSE, ATTACH_BESIDE, ATTACH_REPLACE };

/* `auto` is XDP where the driver has it native and the device is no veth or
 * other virtual one, else TC.  *ret_mode is what it came to.  Idempotent; a
 * changed mode is changed without a gap.  -EBUSY when another XDP program is
 * there and stays (why names it, and the remedy).  With 0, why is empty or
 * tells what became of another program. */
int attach_interface(struct datapath *d, const char *ifname, enum attach_mode mode, enum attach_foreign foreign,
		     enum attach_mode *ret_mode, char why[WHY]);
/* Nothing of others is touched. */
int attach_remove(const char *pin_path, const char *ifname);

struct attach_info {
	char ifname[32];
	enum attach_mode mode;
	__u32 xdp_id, tc_in_id, tc_out_id;	/* program ids, 0: none */
};
/* Up to n of what is attached; returns how many there are, or -errno. */
int attach_list(const char *pin_path, struct attach_info *out, size_t n);

#endif
