/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The fixture's house: namespaces, devices, bpffs, the datapath's life. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "lab.h"

/* In a mount namespace of our own: nothing is left, however we end. */
static const char bpffs[] = "/sys/fs/bpf";
static unsigned opened;

static int say(const char *what, int err)
{
	fprintf(stderr, "lab: %s: %s\n", what, strerror(-err));
	return err;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return say(path, -errno);
	if (write(fd, text, strlen(text)) < 0)
		err = say(path, -errno);
	close(fd);
	return err;
}

/* iproute2 and ethtool, once: what they do is not what is tested here. */
static const char hosts[] =
	"i=2; while [ $i -le 17 ]; do x=$(printf %02x $i);"
	"ip neigh replace 10.2.0.$i lladdr 02:00:00:00:02:$x dev b0 nud permanent;"
	"ip neigh replace fd02::$x lladdr 02:00:00:00:02:$x dev b0 nud permanent;"
	"i=$((i+1)); done";
static const char *const devices[] = {
	"ip link add c0 address 02:00:00:00:01:00 type veth peer name c1",
	"ip link add b0 address 02:00:00:00:02:00 type veth peer name b1",
	/* a veth takes redirected frames only while its peer does GRO */
	"ethtool -K c1 gro on",
	"ethtool -K b1 gro on",
	"for d in lo c0 c1 b0 b1; do ip link set $d up; done",
	"ip addr add 10.1.0.1/24 dev c0",
	"ip addr add 10.2.0.1/24 dev b0",
	"ip addr add fd01::1/64 dev c0 nodad",
	"ip addr add fd02::1/64 dev b0 nodad",
	"ip neigh replace 10.1.0.254 lladdr 02:00:00:00:01:fe dev c0 nud permanent",
	"ip neigh replace fd01::fe lladdr 02:00:00:00:01:fe dev c0 nud permanent",
	"ip route add 10.100.0.0/14 via 10.1.0.254",
	"ip route add fd0c::/16 via fd01::fe",
	hosts,
};

static int make_devices(void)
{
	for (unsigned i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		int status = system(devices[i]);

		if (!WIFEXITED(status) || WEXITSTATUS(status))
			return say(devices[i], -EIO);
	}
	return write_file("/proc/sys/net/ipv4/ip_forward", "1") ?:
	       write_file("/proc/sys/net/ipv6/conf/all/forwarding", "1");
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	if (level > LIBBPF_WARN || !getenv("LAB_VERBOSE"))
		return 0;
	return vfprintf(stderr, format, args);
}

int lab_enter(void)
{
	libbpf_set_print(quiet);
	if (unshare(CLONE_NEWNET | CLONE_NEWNS))
		return say("unshare", -errno);
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return say("private mounts", -errno);
	if (mount("bpf", bpffs, "bpf", 0, NULL))
		return say("mount bpffs", -errno);
	return make_devices();
}

static void port_open(struct lab_port *port, const char *name, __u8 side)
{
	const __u8 mac[6] = { 2, 0, 0, 0, side, 0 };

	port->ifindex = if_nametoindex(name);
	memcpy(port->mac, mac, sizeof(mac));
}

void lab_take_redirects(struct lab *lab)
{
	for (unsigned i = 0; i < PERCH_DEVICES; i++)
		if (lab->datapath.maps.devices[i].in_use)
			lab->datapath.maps.devices[i].xmit = PERCH_XMIT | PERCH_XMIT_SCATTERED;
}

int lab_open(struct lab *lab, const struct lab_options *o)
{
	static const __u8 secret[32] = "The lab's hashes are repeatable";
	struct datapath_options options = {
		.pin_path = lab->pin_path,
		.flow_entries = o && o->flow_entries ? o->flow_entries : 8192,
		.services = o && o->services ? o->services : 64,
		.backends = o && o->backends ? o->backends : 256,
		.listeners = 256 + (o ? o->services : 0),
		.slice_words = o && o->slice_words ? o->slice_words : 4096,
		.pins = 16384,
		.secret = secret,
	};
	char why[WHY] = "";
	int err, wait_ms;

	memset(lab, 0, sizeof(*lab));
	snprintf(lab->pin_path, sizeof(lab->pin_path), "%s/%u", bpffs, opened++);
	lab->cpus = libbpf_num_possible_cpus();
	port_open(&lab->client, "c0", 1);
	port_open(&lab->backend, "b0", 2);
	err = datapath_open(&lab->datapath, &options, why);
	if (err) {
		fprintf(stderr, "lab: datapath: %s\n", why);
		return say("datapath", err);
	}
	err = tables_open(&lab->tables, &lab->datapath);
	if (!err)
		err = routes_open(&lab->routes, &lab->datapath.maps, why);
	if (!err)
		err = routes_read(lab->routes, &wait_ms);
	/* the programs are run, not attached, and to think that they are */
	if (!err)
		routes_attached(lab->routes, "c0", true), routes_attached(lab->routes, "b0", true);
	if (err) {
		lab_close(lab);
		return say("tables and routes", err);
	}
	lab_take_redirects(lab);
	return 0;
}

void lab_close(struct lab *lab)
{
	char why[WHY];

	if (lab->routes)
		routes_close(lab->routes);
	if (lab->tables)
		tables_close(lab->tables);
	datapath_close(&lab->datapath);
	datapath_remove(lab->pin_path, why);
	memset(lab, 0, sizeof(*lab));
}
