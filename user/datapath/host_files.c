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
