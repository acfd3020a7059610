/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network card: queue pairs between rings and a tap. pairs.c runs them, over rx.c and tx.c, the two directions, and
 * over card.c, what the pairs have in common. struct net_card_ops says whose rings these are, and how their driver is
 * interrupted: the monitor's device (vmm/virtio/net.c), or a vhost-user back end (net-backend/). I/O thread only.
 */
#ifndef VMM_NET_CARD_H
#define VMM_NET_CARD_H

#include "vmm/net/filter.h"
#include "vmm/net/header.h"
#include "vmm/net/rx_buffers.h"
#include "vmm/net/tap.h"
#include "vmm/net/tap_watch.h"
#include "vmm/util/loop.h"

enum { NET_RX = 0, NET_TX = 1, NET_PAIR_QUEUES = 2, NET_MAX_PAIRS = 8 };
/*
 * So many slices of a burst follow each other, each in a section of its own: what the guest takes away waits for the
 * slice at hand. A slice ends after so many frames, or with the frame that makes it so long.
 */
enum { NET_SLICES = 4, NET_SLICE = 16, NET_SLICE_BYTES = 16 << 10, NET_AHEAD = 32 };

struct net_card;

/* Queues are numbered 2 * pair + direction. */
struct net_card_ops {
	/*
	 * Open a section for a burst of a queue. 0; or, with none open, an enum net_end or -errno (the ring is broken).
	 */
	int (*begin)(struct net_card *card, unsigned queue, struct viommu_section *section);
	void (*end)(struct net_card *card, unsigned queue, struct viommu_section *section);
	void (*interrupt)(struct net_card *card, unsigned queue);
	/* The ring is broken; outside of sections. */
	void (*broken)(struct net_card *card, unsigned queue, int error);
	/* The tap has told that it has something, or takes something. May be NULL. */
	void (*tap_ready)(struct net_card *card);
	/* Ask for translations that a later burst will need. NULL: translations never come late. */
	void (*prefetch)(struct net_card *card, struct viommu_section *section, const struct vq_segment *segment,
			 unsigned access);
};

/* A frame on its way from the tap. */
struct net_frame {
	struct virtio_net_hdr_mrg_rxbuf header;
	size_t len;
	size_t direct; /* how much of it is in the guest's buffers; the rest is in the pair's `spill`, at its offset */
	size_t first;  /* where in the frame the places in `buffers` begin */
	uint8_t start[NET_FILTER_BYTES]; /* our own copy */
	size_t start_len;
};

/* A receive and a transmit queue, and their queue of the tap. */
struct net_pair {
	struct net_card *card;
	unsigned index;
	int tap_fd;
	bool active;     /* attached to the tap and watched; the first one always is */
	uint32_t events; /* what watch waits for now */
	struct loop_watch watch;
	struct loop_work rx_work, tx_work;
	struct vq *vqs[NET_PAIR_QUEUES];
	bool asked[NET_PAIR_QUEUES];         /* waits for translations */
	uint16_t seen_used[NET_PAIR_QUEUES]; /* of the vqs' next_used, at the last net_pairs_look() */
	unsigned likely; /* how many chains the last frame took: the next one likely takes as many */
	bool late;       /* the frame waits for more buffers than it has */
	struct net_frame frame;
	struct net_rx_buffers buffers;
	/* What does not fit into the buffers. The last byte tells a frame that is too long. */
	uint8_t spill[NET_FRAME_MAX + 1];
};

/* What the pairs share. */
struct net_card {
	const struct net_card_ops *ops;
	const char *name; /* in lines of the log */
	struct loop *loop;
	bool tap_gone;
	bool polled; /* by net_pairs_look(): drivers are not asked to tell of anything */
	struct tap_watch tap_watch;
	unsigned tap_features; /* TUN_F_... */
	unsigned mtu;          /* 0: not known */
	uint64_t features;     /* in use */
	uint64_t rx_features;  /* the same, with the offloads that are switched on now */
	bool filtered;         /* frames pass the filter first */
	struct net_filter filter;
	uint8_t mac[MAC_SIZE];
	unsigned pair_count;
	struct net_pair *pairs;
};

/* What a burst ended with, other than an error. */
enum net_end {
	NET_EMPTY = 1, /* the driver's ring has nothing more: it will kick */
	NET_TAP,       /* the tap has nothing, or takes nothing: wait for it */
	NET_MORE,      /* the burst was long enough */
	NET_ASKED,     /* a translation comes later: net_pairs_retry() */
};

static inline unsigned net_queue(const struct net_pair *pair, unsigned direction)
{
	return NET_PAIR_QUEUES * pair->index + direction;
}

static inline struct vq *net_vq(struct net_pair *pair, unsigned direction)
{
	return pair->vqs[direction];
}

/* One burst in a section. An enum net_end; -errno: the ring is broken. */
int net_rx_slice(struct net_pair *pair, struct viommu_section *section);
int net_tx_slice(struct net_pair *pair, struct viommu_section *section);

/* A ring has nothing more: ask for kicks, and look again, for some chains may have come meanwhile. As a burst's end. */
int net_ring_empty(struct vq *vq, struct viommu_section *section);

/* Look out for the tap's end. `tap` is its name, and not copied; `fd` one of its queues, which stays attached. */
void net_card_watch_tap(struct net_card *card, const char *tap, int fd);

/* The tap gave an error that is not about one packet: it is used no more. */
void net_tap_lost(struct net_card *card, int error);

/*
 * Open the tap, whose name is not copied, for every pair, the first one active; ops, loop, pair_count and pairs are
 * there already, vqs come before the first burst. What the tap offers is known then. 0, or -errno after a line in the
 * log.
 */
int net_pairs_init(struct net_card *card, const char *tap);
void net_pairs_fini(struct net_card *card);

/*
 * The first `count` pairs are in use from now on, the others are not: they receive nothing. -errno: some that should
 * are not.
 */
int net_pairs_use(struct net_card *card, unsigned count);

/* A pair but the first is in use from now on, or no more. -errno: it is not. */
int net_pair_use(struct net_pair *pair, bool use);

/* Forget what waits for the loop, the tap, or buffers. */
void net_pairs_stop(struct net_card *card);

/* A queue is not to be run any more. */
void net_pair_stop(struct net_pair *pair, unsigned direction);

/* Forget the frame that waits for buffers; those that it has go back. */
void net_pair_forget_frame(struct net_pair *pair);

/* Chains wait in a queue of the pair. */
void net_pair_kick(struct net_pair *pair, unsigned direction);

/*
 * Chains may wait in any queue that does not wait for the tap. True: some chains were given back since the last look. A
 * card that is not polled any more is kicked in all queues.
 */
bool net_pairs_look(struct net_card *card);

/* Translations may have come. */
void net_pairs_retry(struct net_card *card);

/* Put offloads of the receiving side, a part of card->features, to use. -errno of the tap. */
int net_set_offloads(struct net_card *card, uint64_t offloads);

#endif
