/* SPDX-License-Identifier: BSD-2-Clause */
/* Queue pairs (virtio 1.2, section 5.1.6.5.5): which are in use, and when their bursts run. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "vmm/net/card.h"
#include "vmm/util/log.h"

static uint32_t tap_event(unsigned direction)
{
	return direction == NET_RX ? EPOLLIN : EPOLLOUT;
}

/* Which readiness of the tap is wanted. Level-triggered: what nobody waits for must not wake us. */
static void await_tap(struct net_pair *pair, uint32_t event, bool wanted)
{
	uint32_t events = wanted ? pair->events | event : pair->events & ~event;

	if (events == pair->events || !pair->active || pair->card->tap_gone)
		return;
	pair->events = events;
	loop_modify(pair->card->loop, &pair->watch, events);
}

/* What the chains behind will need, too: all of it comes with one round of asking. The ring stays as it is. */
static void ask_ahead(struct net_pair *pair, unsigned direction, struct viommu_section *section)
{
	const unsigned access = direction == NET_RX ? VIOMMU_WRITE : VIOMMU_READ;
	struct vq_chain *chain = &pair->buffers.chain;
	struct vq *vq = net_vq(pair, direction);
	unsigned count = 0;

	while (count < NET_AHEAD && vq_waiting(vq, section) > 0) {
		int ret = vq_pop(vq, section, chain);

		if (ret == -EAGAIN)
			vq_skip(vq); /* its indirect table has been asked for */
		else if (ret <= 0)
			break;
		count++;
		for (unsigned i = 0; ret > 0 && i < chain->readable + chain->writable; i++)
			pair->card->ops->prefetch(pair->card, section, &chain->segments[i], access);
	}
	while (count-- > 0)
		vq_unpop(vq);
}

/* In a section of its own. As a slice's end. */
static int run_slice(struct net_pair *pair, unsigned direction)
{
	struct net_card *card = pair->card;
	const unsigned queue = net_queue(pair, direction);
	struct viommu_section section;
	int interrupt, end = card->ops->begin(card, queue, &section);

	if (end)
		return end;
	end = direction == NET_RX ? net_rx_slice(pair, &section) : net_tx_slice(pair, &section);
	if (end == NET_ASKED)
		ask_ahead(pair, direction, &section);
	interrupt = vq_wants_interrupt(net_vq(pair, direction), &section);
	card->ops->end(card, queue, &section);
	if (interrupt > 0)
		card->ops->interrupt(card, queue);
	return interrupt < 0 && end >= 0 ? interrupt : end;
}

/* One burst in one direction, and what follows from how it ended. Pollers of the loop wait for no more than a slice. */
static void run_burst(struct net_pair *pair, unsigned direction)
{
	struct net_card *card = pair->card;
	int end = run_slice(pair, direction);

	for (unsigned i = 1; i < NET_SLICES && end == NET_MORE && !loop_polls(card->loop); i++)
		end = run_slice(pair, direction);

	if (end < 0) {
		card->ops->broken(card, net_queue(pair, direction), end);
		end = NET_EMPTY;
	}
	pair->asked[direction] = end == NET_ASKED;
	await_tap(pair, tap_event(direction), end == NET_TAP);
	if (end == NET_MORE)
		loop_post(card->loop, direction == NET_RX ? &pair->rx_work : &pair->tx_work);
}

static void run_rx(void *opaque)
{
	struct net_pair *pair = opaque;

	if (pair->active && !pair->card->tap_gone)
		run_burst(pair, NET_RX);
}

static void run_tx(void *opaque)
{
	run_burst(opaque, NET_TX);
}

void net_pair_kick(struct net_pair *pair, unsigned direction)
{
	if (direction == NET_RX)
		run_rx(pair);
	else
		run_tx(pair);
}

/* The loop asks for all file descriptors at once, more cheaply than a read of the tap that fails. */
static bool look(struct net_pair *pair, unsigned direction)
{
	const struct vq *vq = net_vq(pair, direction);

	if (!(pair->events & tap_event(direction)) && !pair->asked[direction])
		net_pair_kick(pair, direction);
	const bool found = vq->next_used != pair->seen_used[direction];

	pair->seen_used[direction] = vq->next_used;
	return found;
}

bool net_pairs_look(struct net_card *card)
{
	bool found = false;

	for (unsigned i = 0; i < NET_PAIR_QUEUES * card->pair_count; i++)
		found |= look(&card->pairs[i / NET_PAIR_QUEUES], i % NET_PAIR_QUEUES);
	return found;
}

/* A tap has an error state only once the interface is gone; which one, reading tells. */
static void tap_ready(void *opaque, uint32_t events)
{
	struct net_pair *pair = opaque;
	struct net_card *card = pair->card;
	uint8_t byte;

	if (events & pair->events && card->ops->tap_ready)
		card->ops->tap_ready(card);
	if (events & EPOLLIN & pair->events)
		run_rx(pair);
	if (events & EPOLLOUT & pair->events)
		run_tx(pair);
	if ((events & (EPOLLERR | EPOLLHUP)) && !card->tap_gone)
		net_tap_lost(card, read(pair->tap_fd, &byte, 0) < 0 ? errno : EIO);
}

/* A pair that could not be filled while it was not in use may have buffers by now. */
static int pairs_activate(struct net_pair *pair)
{
	struct net_card *card = pair->card;
	int ret = tap_attach(pair->tap_fd, true);

	if (!ret)
		ret = loop_add(card->loop, &pair->watch, 0);
	if (ret)
		return ret;
	pair->active = true;
	loop_post(card->loop, &pair->rx_work);
	return 0;
}

void net_pair_forget_frame(struct net_pair *pair)
{
	if (pair->late)
		net_rx_buffers_undo(&pair->buffers, net_vq(pair, NET_RX), pair->buffers.count);
	pair->late = false;
}

void net_pair_stop(struct net_pair *pair, unsigned direction)
{
	loop_cancel(pair->card->loop, direction == NET_RX ? &pair->rx_work : &pair->tx_work);
	pair->asked[direction] = false;
	await_tap(pair, tap_event(direction), false);
	if (direction == NET_RX)
		net_pair_forget_frame(pair);
}

void net_pairs_retry(struct net_card *card)
{
	for (unsigned i = 0; i < NET_PAIR_QUEUES * card->pair_count; i++)
		if (card->pairs[i / NET_PAIR_QUEUES].asked[i % NET_PAIR_QUEUES])
			net_pair_kick(&card->pairs[i / NET_PAIR_QUEUES], i % NET_PAIR_QUEUES);
}

static void pairs_forget(struct net_pair *pair)
{
	loop_cancel(pair->card->loop, &pair->rx_work);
	loop_cancel(pair->card->loop, &pair->tx_work);
	net_pair_forget_frame(pair);
	pair->asked[NET_RX] = pair->asked[NET_TX] = false;
	pair->likely = 1;
}

/* What the driver left in the transmit queue still goes out. */
static void pairs_deactivate(struct net_pair *pair)
{
	struct net_card *card = pair->card;

	if (!card->tap_gone)
		loop_remove(card->loop, &pair->watch);
	tap_attach(pair->tap_fd, false);
	pairs_forget(pair);
	pair->events = 0;
	pair->active = false;
	loop_post(card->loop, &pair->tx_work);
}

int net_pair_use(struct net_pair *pair, bool use)
{
	if (!pair->index || pair->active == use)
		return 0;
	if (use)
		return pair->card->tap_gone ? -ENODEV : pairs_activate(pair);
	pairs_deactivate(pair);
	return 0;
}

int net_pairs_use(struct net_card *card, unsigned count)
{
	int ret = 0;

	for (unsigned i = 1; i < card->pair_count; i++) {
		int err = i < count && ret ? 0 : net_pair_use(&card->pairs[i], i < count);

		ret = ret ? ret : err;
	}
	return ret;
}

void net_pairs_stop(struct net_card *card)
{
	net_pairs_use(card, 1);
	for (unsigned i = 0; i < card->pair_count; i++) {
		pairs_forget(&card->pairs[i]);
		await_tap(&card->pairs[i], EPOLLIN | EPOLLOUT, false);
	}
}

static void init_pair(struct net_card *card, unsigned index, int fd)
{
	struct net_pair *pair = &card->pairs[index];

	pair->card = card;
	pair->index = index;
	pair->tap_fd = fd;
	pair->likely = 1;
	pair->rx_work = (struct loop_work){.run = run_rx, .opaque = pair};
	pair->tx_work = (struct loop_work){.run = run_tx, .opaque = pair};
	pair->watch = (struct loop_watch){.fd = fd, .ready = tap_ready, .opaque = pair};
}

int net_pairs_init(struct net_card *card, const char *tap)
{
	int fds[NET_MAX_PAIRS], ret = tap_open(tap, card->pair_count, fds);

	if (ret)
		return ret;
	for (unsigned i = 0; i < card->pair_count && !ret; i++) {
		init_pair(card, i, fds[i]);
		if (i)
			ret = tap_attach(fds[i], false);
	}
	if (!ret)
		ret = loop_add(card->loop, &card->pairs[0].watch, 0);
	if (ret) {
		tap_close(fds, card->pair_count);
		vmm_log("net %s: %s", tap, strerror(-ret));
	}
	card->pairs[0].active = !ret;
	card->tap_features = ret ? 0 : tap_offloads(fds[0]);
	card->mtu = tap_mtu(tap);
	if (ret)
		return ret;
	net_card_watch_tap(card, tap, fds[0]);
	return 0;
}

void net_pairs_fini(struct net_card *card)
{
	net_pairs_stop(card);
	tap_watch_fini(&card->tap_watch);
	if (!card->tap_gone)
		loop_remove(card->loop, &card->pairs[0].watch);
	for (unsigned i = 0; i < card->pair_count; i++)
		tap_close(&card->pairs[i].tap_fd, 1);
}
