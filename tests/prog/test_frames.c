/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Frames as devices hand them to TC, which BPF_PROG_TEST_RUN does not make:
 * in pieces, or with the VLAN tag beside them. */
#include "../../user/datapath/attach.h"
#include "prog.h"

#include <net/if.h>
#include <poll.h>
#include <unistd.h>

#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define FRAME 2048
#define PATIENCE_MS 2000

static int setup(void **state)
{
	enum attach_mode mode;
	struct lab *lab;
	char why[WHY] = "";

	prog_setup_web(state);
	lab = *state;
	if (attach_interface(&lab->datapath, "c0", ATTACH_TC, ATTACH_REFUSE, &mode, why))
		fail_msg("%s", why);
	return 0;
}

#define frames_test(f) cmocka_unit_test_setup_teardown(f, setup, prog_teardown)

/* A SYN of a client for the listener. */
static void build_syn(struct lab *lab, bool v6, __u32 n, struct packet *p)
{
	static struct talk t;

	mode_talk(&t, lab, (struct mode){ LAB_TC, v6 }, IPPROTO_TCP, n);
	t.client.flags = TCP_SYN;
	packet_build(p, &t.client);
}

static int socket_on(const char *device)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(device) };
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	return fd;
}

/* From a ring: of such a frame only the Ethernet header is in one piece. */
static void send_in_pieces(const struct packet *p)
{
	struct tpacket_req ring = { .tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = FRAME, .tp_frame_nr = 2 };
	int fd = socket_on("c1");
	struct tpacket_hdr *h;

	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &ring, sizeof(ring)), 0);
	h = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(h, MAP_FAILED);
	memcpy((__u8 *)h + TPACKET_HDRLEN - sizeof(struct sockaddr_ll), p->byte, p->length);
	h->tp_len = p->length;
	__atomic_store_n(&h->tp_status, TP_STATUS_SEND_REQUEST, __ATOMIC_RELEASE);
	assert_int_equal(send(fd, "", 0, 0), p->length);
	munmap(h, 4096);
	close(fd);
}

static void send_whole(const struct packet *p)
{
	int fd = socket_on("c1");

	assert_int_equal(send(fd, p->byte, p->length, 0), p->length);
	close(fd);
}

/* A reason of TC that grows to this count soon. */
static void assert_counts(const struct lab *lab, enum perch_reason reason, __u64 count)
{
	for (int ms = 0; ms < PATIENCE_MS && lab_reason(lab, PERCH_HOOK_TC_IN, reason) < count; ms++)
		poll(NULL, 0, 1);
	assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, reason), count);
}

static void test_frames_in_pieces_are_steered(void **state)
{
	struct lab *lab = *state;
	static struct packet p;

	for (unsigned v6 = 0; v6 < 2; v6++) {
		build_syn(lab, v6, v6, &p);
		send_in_pieces(&p);
		assert_counts(lab, PERCH_R_NEW, v6 + 1);
	}
	assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_MALFORMED), 0);
}

static void insert_tag(struct packet *p, __u8 vlan)
{
	const __u8 tag[4] = { 0x81, 0x00, 0x00, vlan };

	memmove(p->byte + 16, p->byte + 12, p->length - 12);
	memcpy(p->byte + 12, tag, sizeof(tag));
	p->length += sizeof(tag);
}

/* A socket that is told of tags beside the frames that b1 gets. */
static int listen_behind(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)), on = 1;
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("b1"),
				  .sll_protocol = htons(ETH_P_ALL) };
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

/* The next frame to port 8080, however long it takes; *ret_tag: one is beside it. */
static void hear(int fd, struct packet *p, bool *ret_tag)
{
	char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	struct packet_spec s;

	do {
		struct iovec part = { p->byte, sizeof(p->byte) };
		struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
				    .msg_controllen = sizeof(control) };
		ssize_t n = recvmsg(fd, &m, 0);

		assert_true(n > 0);
		p->length = n;
		*ret_tag = CMSG_FIRSTHDR(&m) &&
			   ((struct tpacket_auxdata *)CMSG_DATA(CMSG_FIRSTHDR(&m)))->tp_status & TP_STATUS_VLAN_VALID;
	} while (packet_read(p, &s) || s.to_port != LAB_BACKEND_PORT);
}

/* The device, or the stack before TC, takes a tag out of the frame and lays it
 * beside; of two it leaves one. */
static void test_frames_with_a_stripped_vlan_tag_leave_without_any(void **state)
{
	struct lab *lab = *state;
	static struct packet p, out;
	struct packet_layout l;
	int fd = listen_behind();
	bool tag;

	for (unsigned i = 0; i < 4; i++) {
		build_syn(lab, i & 1, 2 + i, &p);
		insert_tag(&p, 5);
		if (i & 2)
			insert_tag(&p, 6);
		send_whole(&p);
		hear(fd, &out, &tag);
		assert_false(tag);
		assert_null(packet_lay_out(&out, &l));
		assert_int_equal(l.ip, ETH_HLEN);
		assert_counts(lab, PERCH_R_NEW, i + 1);
	}
	close(fd);
}

static void test_frames_with_three_vlan_tags_pass(void **state)
{
	struct lab *lab = *state;
	static struct packet p;
	__u64 before = lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_NOT_IP);

	for (unsigned v6 = 0; v6 < 2; v6++) {
		build_syn(lab, v6, 9, &p);
		for (unsigned i = 0; i < 3; i++)
			insert_tag(&p, i);
		send_whole(&p);
		assert_counts(lab, PERCH_R_NOT_IP, before + v6 + 1);
	}
	assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_NEW), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		frames_test(test_frames_in_pieces_are_steered),
		frames_test(test_frames_with_a_stripped_vlan_tag_leave_without_any),
		frames_test(test_frames_with_three_vlan_tags_pass),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
