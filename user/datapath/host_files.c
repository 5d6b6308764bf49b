// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Questions about this host that take no netlink: to files and to bpf().  perch
 * asks them itself, and is linked without libmnl. */
#include <stdio.h>
#include <unistd.h>

#include <linux/bpf.h>

#include "host.h"
#include "internal.h"

int host_sysctl(const char *path, int missing)
{
	int value = missing;
	FILE *f = fopen(path, "re");

	if (!f)
		return missing;
	if (fscanf(f, "%d", &value) != 1)
		value = missing;
	fclose(f);
	return value;
}

void host_ephemeral(__u16 *ret_first, __u16 *ret_last)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned first, last;

	*ret_first = 32768;	/* the kernel's own default */
	*ret_last = 60999;
	if (f && fscanf(f, "%u %u", &first, &last) == 2) {
		*ret_first = first;
		*ret_last = last;
	}
	if (f)
		fclose(f);
}

bool host_ephemeral_has(__u16 first, __u16 last)
{
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_reserved_ports", "re");
	unsigned from, to, low = first, high = last;
	__u16 mine_first, mine_last;

	host_ephemeral(&mine_first, &mine_last);
	low = low > mine_first ? low : mine_first;
	high = high < mine_last ? high : mine_last;
	/* the list is sorted: "80,8000-8100" */
	while (f && low <= high && fscanf(f, "%u", &from) == 1) {
		to = from;
		if (fscanf(f, "-%u", &to) == EOF || from > low)
			break;
		if (to >= low)
			low = to + 1;
		if (fscanf(f, ",") == EOF)
			break;
	}
	if (f)
		fclose(f);
	return low <= high;
}

int host_try_load(void)
{
	static const struct bpf_insn program[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "perch_try", "Dual BSD/GPL", program,
			       sizeof(program) / sizeof(program[0]), NULL);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

bool host_is_bpffs(const char *path)
{
	return bpffs_holds(path);
}
