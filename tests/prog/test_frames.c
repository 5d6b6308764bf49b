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

static void insert_tag(struct packet *p)
{
	const __u8 tag[4] = { 0x81, 0x00, 0x00, 0x05 };

	memmove(p->byte + 16, p->byte + 12, p->length - 12);
	memcpy(p->byte + 12, tag, sizeof(tag));
	p->length += sizeof(tag);
}

/* The device, or the stack before TC, takes the tag out of the frame: what is
 * left looks as if it were ours, but came by another network. */
static void test_frames_with_a_stripped_vlan_tag_pass(void **state)
{
	struct lab *lab = *state;
	static struct packet p;
	__u64 before;

	before = lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_NOT_IP);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		build_syn(lab, v6, 2 + v6, &p);
		insert_tag(&p);
		send_whole(&p);
		assert_counts(lab, PERCH_R_NOT_IP, before + v6 + 1);
	}
	assert_int_equal(lab_reason(lab, PERCH_HOOK_TC_IN, PERCH_R_NEW), 0);
	build_syn(lab, true, 3, &p);
	send_whole(&p);
	assert_counts(lab, PERCH_R_NEW, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		frames_test(test_frames_in_pieces_are_steered),
		frames_test(test_frames_with_a_stripped_vlan_tag_pass),
	};

	if (lab_enter())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
