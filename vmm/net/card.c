/* SPDX-License-Identifier: BSD-2-Clause */
/* What all pairs of a card have in common: their tap, which may be deleted, and its offloads. */
#include <errno.h>

#include "vmm/net/card.h"

static void card_lose_tap(struct net_card *card)
{
	card->tap_gone = true;
	for (unsigned i = 0; i < card->pair_count; i++) {
		struct net_pair *pair = &card->pairs[i];

		if (pair->active)
			loop_remove(card->loop, &pair->watch);
		/* Frames that wait for room in the tap: nothing else would see to them any more. */
		loop_post(card->loop, &pair->tx_work);
	}
	tap_watch_fini(&card->tap_watch);
}

void net_tap_lost(struct net_card *card, int error)
{
	if (card->tap_gone)
		return;
	card_lose_tap(card);
	tap_log_lost(card->tap_watch.name, error);
}

static void tap_deleted_cb(void *opaque, int error)
{
	(void)error;
	card_lose_tap(opaque);
}

void net_card_watch_tap(struct net_card *card, const char *tap, int fd)
{
	card->tap_watch = (struct tap_watch){
		.name = tap, .tap_fd = fd, .loop = card->loop, .lost = tap_deleted_cb, .opaque = card};
	tap_watch_init(&card->tap_watch);
}

int net_set_offloads(struct net_card *card, uint64_t offloads)
{
	uint64_t features = net_settled((card->features & ~net_guest_offloads(card->features)) | offloads);
	int ret = card->tap_gone ? 0 : tap_set_offloads(card->pairs[0].tap_fd, net_tap_offloads(features));

	if (!ret)
		card->rx_features = features;
	return ret;
}

int net_ring_empty(struct vq *vq, struct viommu_section *section)
{
	const int ret = vq_idle(vq, section);

	return ret > 0 ? NET_MORE : ret < 0 ? ret : NET_EMPTY;
}
