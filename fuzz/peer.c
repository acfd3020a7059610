/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/peer.h"

#include <sys/socket.h>

#include "fuzz/fds.h"

enum { FDS_MAX = 9 };

struct peer_page peer_pages[PEER_PAGES];
struct tape *peer_script;
bool peer_honest;
unsigned peer_losses;

/* Anything in place of an answer. */
void peer_rubbish(struct back *back, struct channel *channel, const struct channel_message *request)
{
	struct channel_message reply = {.header = request->header};
	const uint8_t shape = tape_u8(peer_script);

	reply.header.flags = shape & 1 ? VHU_REPLY : tape_u8(peer_script);
	reply.header.size = shape & 2 ? 8 : shape & 4 ? request->header.size : tape_below(peer_script, 64);
	if (reply.header.size > sizeof(reply.payload))
		reply.header.size = 8;
	if (shape & 8)
		reply.header.request = tape_u8(peer_script);
	memcpy(reply.payload, request->payload, sizeof(reply.payload));
	tape_copy(peer_script, reply.payload, shape & 16 ? 8 : tape_below(peer_script, 32));
	reply.fd_count = shape & 32 ? tape_below(peer_script, FDS_MAX) : request->header.request == VHU_GET_INFLIGHT_FD;
	for (unsigned i = 0; i < reply.fd_count; i++)
		reply.fds[i] = fds_of_kind(tape_u8(peer_script));
	channel_send(channel, &reply);
	if (shape & 64)
		send(back->channel.fd, reply.payload, tape_u8(peer_script), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void note_update(const struct vhu_iotlb *iotlb)
{
	for (unsigned i = 0; i < PEER_PAGES; i++) {
		const uint64_t iova = PEER_FIRST + i * (uint64_t)VHU_PAGE;
		struct peer_page *page = &peer_pages[i];

		if (iova < iotlb->iova || iova - iotlb->iova >= iotlb->size)
			continue;
		CHECK(page->mapped || page->leaving, "page %u is not mapped", i);
		CHECK(!(iotlb->access & ~page->access), "access %u, but page %u has %u", iotlb->access, i,
		      page->access);
		CHECK(iotlb->user_address + (iova - iotlb->iova) == page->gpa, "page %u is at another place", i);
		page->told = true;
	}
}

static void note_invalidate(const struct vhu_iotlb *iotlb)
{
	for (unsigned i = 0; i < PEER_PAGES; i++) {
		const uint64_t iova = PEER_FIRST + i * (uint64_t)VHU_PAGE;

		if (iova >= iotlb->iova && iova - iotlb->iova < iotlb->size)
			peer_pages[i].told = false;
	}
}

static void note_iotlb(const struct vhu_iotlb *iotlb)
{
	if (iotlb->type == VHU_IOTLB_UPDATE)
		note_update(iotlb);
	else
		note_invalidate(iotlb);
}

bool peer_hook(struct back *back, struct channel_message *message)
{
	const struct front *f = back->opaque;
	const uint8_t choice = tape_u8(peer_script);

	if (f->lost != peer_losses)
		peer_honest = false;
	if (message->header.request == VHU_IOTLB_MSG && peer_honest)
		note_iotlb(&message->iotlb);
	if (choice < 248)
		return false;
	peer_honest = false;
	if (choice < 254)
		peer_rubbish(back, &back->channel, message);
	return true;
}
