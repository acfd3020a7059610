/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A network card whose back end means harm (tests/host/hostile), at slot 3, and an edu device at slot 2 that has
 * nothing to do with it. Memory is full of a pattern that nobody was sent. mode=ways: until the back end is at its end
 * and the card works again, edu has to work all the time; the driver starts the card anew whenever it stands still.
 * mode=secrets: a few frames.
 */
#include "dma.h"
#include "payload.h"
#include "request.h"

enum {
	EDU_SLOT = 2,
	NET_SLOT = 3,
	FRAMES = 20,
	ROUNDS_MAX = 4000,
	RX_BUFFERS = 4,
	RX_SIZE = 1600,
	PAGE = 4096,
	SECRETS = 32
};
enum { FRAME_AT = 1000, FRAME_SIZE = 12 + 60 };

static const char secret[] = "the guest's own affair";
static uint8_t secrets[SECRETS][PAGE] __attribute__((aligned(4096)));
static uint8_t frame[PAGE] __attribute__((aligned(4096)));
static uint8_t received[RX_BUFFERS][2048] __attribute__((aligned(4096)));
static volatile uint64_t landing __attribute__((aligned(8)));

static void fill(uint8_t *page)
{
	for (unsigned i = 0; i < PAGE; i++)
		*(volatile uint8_t *)(page + i) = (uint8_t)secret[i % (sizeof(secret) - 1)];
}

static bool edu_works(void)
{
	return dma_lands((uint32_t)&landing, &landing);
}

/* A frame in the middle of a page of secrets; no byte of it is one. */
static void make_frame(void)
{
	fill(frame);
	for (unsigned i = 0; i < FRAME_SIZE; i++)
		*(volatile uint8_t *)(frame + FRAME_AT + i) = 0;
}

static bool start(struct virtio *dev, struct queue *rx, struct queue *tx)
{
	if (!virtio_open(dev, NET_SLOT) || !virtio_begin(dev, 0))
		return false;
	queue_prepare(rx, dev, 0, QUEUE_SIZE, 0);
	queue_enable(rx);
	queue_prepare(tx, dev, 1, QUEUE_SIZE, 1);
	queue_enable(tx);
	virtio_run(dev);
	for (unsigned i = 0; i < RX_BUFFERS; i++) {
		queue_desc(rx, i, (uint32_t)received[i], RX_SIZE, DESC_WRITE, 0);
		queue_offer(rx, (uint16_t)i);
	}
	return true;
}

/* Waits far less than queue_wait(): what the back end does not do now it does not do. */
static bool send(struct queue *tx)
{
	queue_desc(tx, 0, (uint32_t)frame + FRAME_AT, FRAME_SIZE, 0, 0);
	queue_offer(tx, 0);
	for (unsigned i = 0; i < 100; i++) {
		breathe(1);
		if (queue_back(tx, 0))
			return true;
	}
	return false;
}

/* So many frames in a row, or the rounds are over: starts the card anew each time that one gets stuck. */
static unsigned drive(unsigned *edu, unsigned *rounds)
{
	unsigned good = 0;
	bool running = false;
	struct virtio dev;
	struct queue rx, tx;

	for (*rounds = 0; good < FRAMES && *rounds < ROUNDS_MAX; ++*rounds) {
		*edu += edu_works();
		if (!running)
			running = start(&dev, &rx, &tx);
		if (running && send(&tx)) {
			good++;
			continue;
		}
		good = 0;
		if (running && virtio_status(&dev) & STATUS_NEEDS_RESET)
			running = false;
		else if (*rounds % 8 == 7) /* what was taken away comes back, as a driver's watchdog would have it */
			running = false;
	}
	return good;
}

void payload(void)
{
	unsigned edu = 0, rounds, good;

	for (unsigned i = 0; i < SECRETS; i++)
		fill(secrets[i]);
	make_frame();
	check("edu is there", dma_open(EDU_SLOT));
	good = drive(&edu, &rounds);
	check_equal("the card works in the end", good, FRAMES);
	check_equal("the other device works all the time", edu, rounds);
	if (has_parameter("mode", "ways"))
		check("that was not at once", rounds > FRAMES);
}
