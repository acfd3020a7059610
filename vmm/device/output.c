/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/device/output.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "vmm/kvm/kick.h"
#include "vmm/util/log.h"
#include "vmm/util/mutex.h"

enum {
	QUEUE_SIZE = 65536,
	CHUNK = 4096,
	GATHER_MS = 1,
	STALL_MS = 1000,
	DRAIN_MS = 500, /* at the end: give up after that long without progress */
	RETRY_MS = 20,
};

struct output {
	int fd;
	void (*moved)(void *opaque);
	void *opaque;
	pthread_t thread;
	struct mutex lock; /* innermost: nothing is called with it held */
	pthread_cond_t work, room;
	bool stop GUARDED_BY(lock), abandon GUARDED_BY(lock), dead GUARDED_BY(lock);
	bool stalled GUARDED_BY(lock);    /* a vCPU waited in vain since the last progress */
	bool was_full GUARDED_BY(lock);   /* moved() is owed before the queue is empty */
	bool told_stall GUARDED_BY(lock); /* logged once for each guest */
	size_t first GUARDED_BY(lock), used GUARDED_BY(lock);
	uint8_t queue[QUEUE_SIZE] GUARDED_BY(lock);
};

static struct timespec in_ms(clockid_t clock, long ms)
{
	struct timespec time;

	clock_gettime(clock, &time);
	time.tv_nsec += ms % 1000 * 1000000;
	time.tv_sec += ms / 1000 + time.tv_nsec / 1000000000;
	time.tv_nsec %= 1000000000;
	return time;
}

/* Wait for bytes. The first of them waits a moment for others: guests send them one by one. */
static void wait_work_locked(struct output *output) REQUIRES(output->lock)
{
	struct timespec until;

	if (output->used)
		return;
	while (!output->used && !output->stop)
		mutex_wait(&output->lock, &output->work);
	until = in_ms(CLOCK_MONOTONIC, GATHER_MS);
	while (output->used < CHUNK && !output->stop)
		if (mutex_wait_until(&output->lock, &output->work, &until))
			break;
}

/* Copy out what lies in one piece. 0: the end. */
static size_t take_chunk(struct output *output, uint8_t *chunk)
{
	size_t count;

	mutex_take(&output->lock);
	wait_work_locked(output);
	count = output->abandon ? 0 : output->used;
	if (count > QUEUE_SIZE - output->first)
		count = QUEUE_SIZE - output->first;
	if (count > CHUNK)
		count = CHUNK;
	memcpy(chunk, output->queue + output->first, count);
	mutex_drop(&output->lock);
	return count;
}

/* `count` bytes are written (or lost for good). */
static void drop_chunk(struct output *output, size_t count)
{
	bool tell;

	mutex_take(&output->lock);
	output->first = (output->first + count) % QUEUE_SIZE;
	output->used -= count;
	output->stalled = false;
	/* With hysteresis, or a slow reader would cost the guest an interrupt a byte. */
	tell = !output->used || (output->was_full && output->used <= QUEUE_SIZE / 2);
	if (tell)
		output->was_full = false;
	pthread_cond_broadcast(&output->room);
	mutex_drop(&output->lock);
	if (tell)
		output->moved(output->opaque);
}

static void output_fail(struct output *output, int error)
{
	static struct log_limit limit; /* each guest has its own output, and may restart as often as it likes */

	if (vmm_log_may(&limit))
		vmm_log("serial output is lost: %s", strerror(error));
	mutex_take(&output->lock);
	output->dead = true;
	output->used = 0;
	pthread_cond_broadcast(&output->room);
	mutex_drop(&output->lock);
	output->moved(output->opaque);
}

static void *writer_main(void *opaque)
{
	struct output *output = opaque;
	uint8_t chunk[CHUNK];
	size_t count;

	while ((count = take_chunk(output, chunk))) {
		const ssize_t written = write(output->fd, chunk, count);

		if (written >= 0) {
			drop_chunk(output, (size_t)written);
		} else if (errno == EAGAIN) {
			/* Another program made this file descriptor non-blocking. */
			poll(&(struct pollfd){.fd = output->fd, .events = POLLOUT}, 1, RETRY_MS);
		} else if (errno != EINTR) {
			output_fail(output, errno);
			break;
		}
	}
	return NULL;
}

static void output_init(struct output *output, int fd, void (*moved)(void *opaque), void *opaque) NO_OTHER_THREAD
{
	pthread_condattr_t monotonic;

	output->fd = fd;
	output->moved = moved;
	output->opaque = opaque;
	output->dead = fd < 0;
	mutex_init(&output->lock);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&output->work, &monotonic);
	pthread_cond_init(&output->room, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int output_create(int fd, void (*moved)(void *opaque), void *opaque, struct output **out)
{
	struct output *output = calloc(1, sizeof(*output));
	int error = 0;

	if (!output)
		return -ENOMEM;
	output_init(output, fd, moved, opaque);
	if (fd >= 0)
		error = kick_thread_create(&output->thread, "serial", writer_main, output);
	if (error)
		goto err_output;
	*out = output;
	return 0;

err_output:
	pthread_cond_destroy(&output->room);
	pthread_cond_destroy(&output->work);
	mutex_fini(&output->lock);
	free(output);
	return error;
}

static bool joined_in(struct output *output, long ms)
{
	const struct timespec until = in_ms(CLOCK_REALTIME, ms);

	return !pthread_timedjoin_np(output->thread, NULL, &until);
}

static size_t output_left(struct output *output, bool abandon)
{
	mutex_take(&output->lock);
	output->stop = true;
	output->abandon = abandon;
	pthread_cond_signal(&output->work);

	const size_t used = output->used;

	mutex_drop(&output->lock);
	return used;
}

/* First with patience, then by interrupting the write that does not come back. */
static void end_thread(struct output *output)
{
	size_t before, now = output_left(output, false);

	do {
		before = now;
		if (joined_in(output, DRAIN_MS))
			return;
		now = output_left(output, false);
	} while (now < before);
	output_left(output, true);
	do
		kick_thread(output->thread);
	while (!joined_in(output, RETRY_MS));
}

void output_destroy(struct output *output)
{
	if (output->fd >= 0)
		end_thread(output);
	pthread_cond_destroy(&output->room);
	pthread_cond_destroy(&output->work);
	mutex_fini(&output->lock);
	free(output);
}

static bool has_room_locked(struct output *output) REQUIRES(output->lock)
{
	if (output->used < QUEUE_SIZE || output->dead)
		return true;
	output->was_full = true;
	return false;
}

bool output_has_room(struct output *output)
{
	mutex_take(&output->lock);

	const bool room = has_room_locked(output);

	mutex_drop(&output->lock);
	return room;
}

void output_wait(struct output *output)
{
	static struct log_limit limit;
	const struct timespec until = in_ms(CLOCK_MONOTONIC, STALL_MS);
	bool tell = false;

	mutex_take(&output->lock);
	while (!has_room_locked(output) && !output->stalled)
		if (mutex_wait_until(&output->lock, &output->room, &until))
			output->stalled = !has_room_locked(output);
	if (output->stalled && !output->told_stall)
		tell = output->told_stall = true;
	mutex_drop(&output->lock);
	if (tell && vmm_log_may(&limit))
		vmm_log("serial output is stuck: the guest's is dropped until it moves");
}

bool output_put(struct output *output, uint8_t byte)
{
	bool follows;

	mutex_take(&output->lock);
	if (output->used < QUEUE_SIZE && !output->dead) {
		output->queue[(output->first + output->used) % QUEUE_SIZE] = byte;
		/* The writer sleeps only on an empty queue. */
		if (!output->used++)
			pthread_cond_signal(&output->work);
	}
	follows = !output->dead;
	mutex_drop(&output->lock);
	return follows;
}
