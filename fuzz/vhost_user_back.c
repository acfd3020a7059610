/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A front end that sends the library's back end any messages, with any descriptors. The back end translates nothing
 * that it was not told since it last acknowledged to have forgotten it; while memory is as it was at first, to the
 * right page. No descriptor stays open.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fds.h"
#include "fuzz/messages.h"
#include "lib/vhost_user/table/layout.h"
#include "tests/support/front.h"

enum { STEPS = 300, FDS_MAX = 10, MISS_MS = 60000 };

/* What the back end may know. */
struct told {
	bool any[MESSAGES_PAGES];
	uint64_t user[MESSAGES_PAGES]; /* where it was told last; 0: in more places than one */
	bool same_memory, translates;
};

static struct front front;

static uint64_t page_iova(unsigned page)
{
	return MESSAGES_IOVA + page * (uint64_t)FRONT_PAGE;
}

static bool covers(const struct vhu_iotlb *iotlb, unsigned page)
{
	const uint64_t iova = page_iova(page), last = iotlb->iova + (iotlb->size - 1);

	/* What wraps, and what is no whole page, counts where it helps the back end. */
	return last < iotlb->iova || (iotlb->iova <= iova + FRONT_PAGE - 1 && last >= iova);
}

static void note_update(struct told *told, const struct vhu_iotlb *iotlb)
{
	for (unsigned i = 0; i < MESSAGES_PAGES; i++) {
		if (!covers(iotlb, i))
			continue;
		const uint64_t user = iotlb->user_address + (page_iova(i) - iotlb->iova);

		told->user[i] = told->any[i] && told->user[i] != user ? 0 : user;
		told->any[i] = true;
	}
}

/* It must not be found any more, by the next access at the latest. */
static void note_forgotten(struct told *told, const struct vhu_iotlb *iotlb)
{
	const uint64_t last = iotlb->iova + (iotlb->size - 1);

	for (unsigned i = 0; i < MESSAGES_PAGES; i++) {
		const uint64_t iova = page_iova(i);

		if (!told->any[i] || !iotlb->size || last < iotlb->iova || iotlb->iova > iova ||
		    last < iova + FRONT_PAGE - 1)
			continue;
		told->any[i] = false;
		CHECK(!told->translates || front_touch(&front, iova, VIOMMU_READ, NULL), "page %u is known", i);
	}
}

static void note(struct told *told, uint32_t request, const uint8_t *payload, bool acknowledged)
{
	struct vhu_iotlb iotlb;

	memcpy(&iotlb, payload, sizeof(iotlb));
	if (request == VHU_IOTLB_MSG && iotlb.type == VHU_IOTLB_INVALIDATE && acknowledged)
		note_forgotten(told, &iotlb);
	if (request == VHU_IOTLB_MSG && iotlb.type == VHU_IOTLB_UPDATE)
		note_update(told, &iotlb);
	if (request == VHU_SET_FEATURES)
		told->translates = false;
	if (request == VHU_SET_MEM_TABLE || request == VHU_ADD_MEM_REG || request == VHU_REM_MEM_REG)
		told->same_memory = false;
}

/* Read what the back end says; the answer to the request, if it is one number. */
static bool hear(uint32_t request, uint64_t *value)
{
	uint8_t bytes[4096];
	const ssize_t got = recv(front.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	struct vhu_header header;

	while (front.back_fd >= 0 && recv(front.back_fd, bytes + 32, sizeof(bytes) - 32, MSG_DONTWAIT) > 0)
		;
	if (got != sizeof(header) + sizeof(*value))
		return false;
	memcpy(&header, bytes, sizeof(header));
	memcpy(value, bytes + sizeof(header), sizeof(*value));
	return header.request == request;
}

static void send_message(struct tape *tape, struct told *told)
{
	uint8_t payload[MESSAGES_PAYLOAD] = {0};
	const uint32_t request = messages_request(tape), size = messages_payload(tape, request, payload);
	const uint8_t shape = tape_u8(tape);
	const uint32_t flags = shape & 0x80 ? VHU_NEED_REPLY : shape == 0x7f ? tape_u32(tape) : 0;
	const bool takes_one = request >= VHU_SET_LOG_BASE && request <= VHU_SET_BACKEND_REQ_FD;
	unsigned count = (shape & 0x60) == 0x60 ? shape % FDS_MAX : takes_one;
	int fds[FDS_MAX];
	uint64_t value = 1;

	if (request == VHU_SET_MEM_TABLE && count < 2)
		count = payload[0] % FDS_MAX;
	for (unsigned i = 0; i < count; i++) {
		const uint8_t kind = tape_u8(tape);

		/* Whoever logs writes into the file: not the memory whose content says which page it is. */
		fds[i] = kind >= 128 || request == VHU_SET_LOG_BASE ? fds_of_kind(kind) : front.memory_fd;
	}
	front_send(&front, request, flags, payload, size, fds, count);
	front_serve(&front);
	note(told, request, payload, hear(request, &value) && !value && flags == VHU_NEED_REPLY);
}

enum { TABLE = 4 * SHARED_NODE, TABLE_SLOTS = 4 };

static struct shared_header *table;
static int table_fds[2]; /* the table's file, and the epochs' */

/* They stay open. */
static void make_table(void)
{
	for (unsigned i = 0; i < 2; i++) {
		table_fds[i] = memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
		CHECK(table_fds[i] >= 0 && !ftruncate(table_fds[i], i ? SHARED_NODE : TABLE) &&
			      !fcntl(table_fds[i], F_ADD_SEALS, F_SEAL_SHRINK),
		      "no file");
	}
	table = mmap(NULL, TABLE, PROT_READ | PROT_WRITE, MAP_SHARED, table_fds[0], 0);
	CHECK(table != MAP_FAILED, "no memory");
}

/* A table that is well-formed on the outside; its nodes are what the input says. */
static void share_table(struct tape *tape, struct told *told)
{
	const struct vhu_shared_table what = {TABLE, SHARED_NODE, TABLE_SLOTS, 0};
	uint64_t *words = (uint64_t *)table;

	memset(table, 0, TABLE);
	*table = (struct shared_header){.magic = shared_magic,
					.version = SHARED_VERSION,
					.node_bytes = SHARED_NODE,
					.table_bytes = TABLE,
					.epochs_bytes = SHARED_NODE,
					.epochs = TABLE_SLOTS,
					.epoch_bytes = SHARED_EPOCH,
					.page_shift = SHARED_PAGE_SHIFT,
					.bits = SHARED_BITS,
					.generation = 1};
	table->root = SHARED_NODE;
	for (unsigned i = tape_below(tape, 16); i; i--) {
		const unsigned page = (unsigned)(MESSAGES_IOVA / FRONT_PAGE) + tape_below(tape, MESSAGES_PAGES);
		const uint8_t kind = tape_u8(tape);

		words[SHARED_ENTRIES + page] =
			kind < 240 ? (FRONT_GPA + tape_below(tape, FRONT_PAGES) * (uint64_t)FRONT_PAGE) | SHARED_LEAF |
					     (kind & SHARED_ACCESS)
				   : tape_u64(tape);
	}
	front_send(&front, VHU_SET_SHARED_TABLE, VHU_NEED_REPLY, &what, sizeof(what), table_fds,
		   tape_u8(tape) & 31 ? 2 : 0);
	front_serve(&front);
	told->translates = false; /* what the table says is not told in messages */
}

/* What a front end answers to a question of the back end. */
static void answer_back(struct tape *tape)
{
	const struct {
		struct vhu_header header;
		uint64_t value;
	} __attribute__((packed)) reply = {{VHU_BACKEND_IOTLB_MSG, VHU_VERSION | VHU_REPLY, sizeof(reply.value)},
					   tape_u8(tape) & 3};
	uint8_t bytes[256];

	if (front.back_fd < 0)
		return;
	while (recv(front.back_fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	if (send(front.back_fd, &reply, sizeof(reply), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
	front_serve(&front);
}

/* Ask ahead, for what may be missing. */
static void prefetch(struct tape *tape)
{
	const uint64_t iova = messages_page(tape, MESSAGES_IOVA), len = 1 + tape_u16(tape) * 16ull;
	struct viommu_backend_stats stats = {.size = sizeof(stats)};
	struct viommu_section section;

	if (!viommu_backend_begin(front.backend, &section)) {
		viommu_backend_prefetch(front.backend, &section, (struct viommu_iova){iova}, len,
					1 + tape_below(tape, 3));
		viommu_backend_end(front.backend, &section);
	}
	CHECK(!viommu_backend_stats_get(front.backend, &stats) && viommu_backend_endpoint(front.backend),
	      "no counters");
}

static void touch(struct tape *tape, const struct told *told)
{
	const unsigned page = tape_below(tape, MESSAGES_PAGES), access = 1 + tape_below(tape, 3);
	void *host = NULL;

	if (front_touch(&front, page_iova(page), access, &host) || !told->translates)
		return;
	CHECK(told->any[page], "page %u", page);
	if (told->same_memory && told->user[page] >= FRONT_USER && told->user[page] < FRONT_USER + FRONT_SIZE)
		CHECK(*(uint8_t *)host == (told->user[page] - FRONT_USER) / FRONT_PAGE, "page %u is page %u", page,
		      *(uint8_t *)host);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	const uint8_t kind = tape_u8(&tape);
	struct told told = {.same_memory = !(kind & 2), .translates = !(kind & 3)};

	fds_of_kind(0);
	if (!table)
		make_table();

	const unsigned open = fds_open();

	const int fd = front_connect(&front);

	front.miss_ms = MISS_MS;
	front.shared_table = kind & 8;
	CHECK(!front_create(&front, fd, NULL), "no back end");
	if (!(kind & 2))
		front_setup(&front, kind & 1 ? FRONT_PLATFORM & ~(1ull << 33) : FRONT_PLATFORM);
	if ((kind & 6) == 4)
		front_start_queue(&front, 0, kind & 1 ? FRONT_USER : MESSAGES_IOVA);
	for (unsigned i = 0; tape.left && !front.served && i < STEPS; i++) {
		const uint8_t choice = tape_u8(&tape);

		if (choice < 190)
			send_message(&tape, &told);
		else if (choice < 194)
			share_table(&tape, &told);
		else if (choice < 198)
			answer_back(&tape);
		else if (choice < 203)
			prefetch(&tape);
		else if (choice < 240)
			touch(&tape, &told);
		else if (choice < 248)
			viommu_backend_interrupt(front.backend, choice & 3);
		else
			viommu_backend_error(front.backend, choice & 3);
	}
	front_close(&front);
	fds_wait(open);
	return 0;
}
