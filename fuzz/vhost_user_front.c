/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A back end that answers the library's front end with what the input says, and asks for what it likes, while a guest
 * maps and unmaps. Translations that it is sent are those of the guest; an unmap completes only when a back end that
 * kept to the protocol has forgotten; and no descriptor stays open.
 */
#include <errno.h>

#include "fuzz/fds.h"
#include "fuzz/peer.h"

enum { STEPS = 200 };

static void connect_back(struct front *f)
{
	viommu_vhu_disconnect(f->vhu);
	peer_honest = false; /* until it is connected again: it may be too crowded for that now */
	if (viommu_vhu_stuck(f->vhu))
		viommu_vhu_stop(f->vhu);
	if (viommu_vhu_stuck(f->vhu) || viommu_vhu_crowded(f->vhu))
		return;
	front_connect(f);
	for (unsigned i = 0; i < PEER_PAGES; i++)
		peer_pages[i].told = false;
	peer_honest = true;
	peer_losses = f->lost;
	if (tape_u8(peer_script) >= 240) {
		f->back.features = tape_u64(peer_script);
		f->back.protocol = tape_u64(peer_script);
		f->back.queues = tape_u8(peer_script);
	}
}

/* The guest's unmaps are complete: nobody may know them any more. */
static bool settle(struct front *f)
{
	if (viommu_inval_poll(f->inval))
		return false;
	if (f->lost != peer_losses)
		peer_honest = false;
	for (unsigned i = 0; i < PEER_PAGES; i++) {
		CHECK(!peer_pages[i].leaving || !peer_pages[i].told || !peer_honest, "page %u is unmapped, but known",
		      i);
		peer_pages[i].leaving = false;
	}
	return true;
}

static void map(struct front *f, struct tape *tape)
{
	const unsigned first = tape_below(tape, PEER_PAGES), wanted = 1 + tape_below(tape, 8),
		       access = 1 + tape_below(tape, 3);
	const unsigned last = first + wanted - 1 < PEER_PAGES ? first + wanted - 1 : PEER_PAGES - 1;
	const uint64_t iova = PEER_FIRST + first * (uint64_t)VHU_PAGE, gpa = tape_u8(tape) * (uint64_t)VHU_PAGE;

	for (unsigned i = first; i <= last; i++)
		if (peer_pages[i].mapped || peer_pages[i].leaving)
			return;
	for (unsigned i = first; i <= last; i++)
		peer_pages[i] = (struct peer_page){gpa + (i - first) * (uint64_t)VHU_PAGE, access, true,
						   peer_pages[i].told, false};
	front_map(f, iova, (last - first + 1) * (uint64_t)VHU_PAGE, gpa, access);
}

/* All of it: mappings cannot be cut. */
static void unmap(struct front *f)
{
	if (!settle(f))
		return;
	for (unsigned i = 0; i < PEER_PAGES; i++) {
		peer_pages[i].leaving = peer_pages[i].mapped;
		peer_pages[i].mapped = false;
	}
	front_unmap(f, PEER_FIRST, PEER_PAGES * (uint64_t)VHU_PAGE);
	settle(f);
}

static void ask(struct front *f, struct tape *tape)
{
	const uint8_t kind = tape_u8(tape);
	struct channel_message message = {.header = {VHU_BACKEND_IOTLB_MSG, kind & 1 ? VHU_NEED_REPLY : 0, 32}};

	if (!f->back.requests_open)
		return;
	message.iotlb = (struct vhu_iotlb){.iova = PEER_FIRST + tape_below(tape, PEER_PAGES) * (uint64_t)VHU_PAGE,
					   .access = 1 + tape_below(tape, 3),
					   .type = kind & 2 ? VHU_IOTLB_MISS : tape_below(tape, 6)};
	if (kind >= 224) {
		peer_rubbish(&f->back, &f->back.requests, &message);
		peer_honest = false; /* the connection may be lost by it */
	} else {
		message.header.request = kind < 208 ? VHU_BACKEND_IOTLB_MSG : tape_u8(tape);
		channel_send(&f->back.requests, &message);
	}
}

static void step(struct front *f, struct tape *tape)
{
	const uint8_t choice = tape_u8(tape);
	uint8_t bytes[64];

	if (choice < 50) {
		map(f, tape);
	} else if (choice < 80) {
		unmap(f);
	} else if (choice < 140) {
		ask(f, tape);
	} else if (choice < 220) {
		front_pump(f);
	} else if (choice < 230) {
		front_start(f, 1 + tape_below(tape, 2));
	} else if (choice < 235) {
		viommu_vhu_stop(f->vhu);
	} else if (choice < 240) {
		viommu_vhu_enable(f->vhu, tape_below(tape, 3), tape_u8(tape) & 1);
	} else if (choice < 244) {
		tape_copy(tape, bytes, sizeof(bytes));
		viommu_vhu_config_write(f->vhu, tape_u8(tape), bytes, tape_below(tape, 17));
		viommu_vhu_config_read(f->vhu, tape_u8(tape), bytes, tape_below(tape, 17));
	} else if (choice < 248) {
		viommu_vhu_flush(f->vhu);
	} else if (choice < 252) {
		connect_back(f);
	} else {
		viommu_vhu_disconnect(f->vhu);
		peer_honest = false;
	}
}

/* Where most of a life goes on: two rings, mapped one to one. */
static void begin(struct front *f)
{
	for (unsigned i = 0; i < 6; i++)
		peer_pages[i] = (struct peer_page){PEER_FIRST + i * (uint64_t)VHU_PAGE, 3, true, false, false};
	front_map(f, PEER_FIRST, 6 * VHU_PAGE, PEER_FIRST, 3);
	front_start(f, 2);
	front_pump(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct tape tape = {bytes, size};
	const uint8_t kind = tape_u8(&tape);
	void *state;

	fds_of_kind(0);

	const unsigned open = fds_open();

	front_setup(&state);

	struct front *f = state;

	peer_script = &tape;
	memset(peer_pages, 0, sizeof(peer_pages));
	f->config.config_size = kind & 1 ? 16 : 0;
	f->config.exact = kind & 2;
	f->config.push_maps = kind & 4;
	f->config.shared_table = kind & 8;
	f->config.pairs = !(kind & 2);
	f->back.hook = peer_hook;
	f->config.mtu = kind & 32 ? 1500 : 0;
	front_recreate(f);
	connect_back(f);
	front_pump(f);
	if (kind & 16)
		begin(f);
	for (unsigned i = 0; tape.left && i < STEPS; i++)
		step(f, &tape);
	viommu_vhu_disconnect(f->vhu);
	viommu_vhu_serve(f->vhu);
	CHECK(!viommu_inval_poll(f->inval), "nobody is there, and an unmap is pending");
	front_teardown(&state);
	fds_wait(open);
	return 0;
}
