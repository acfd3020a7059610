/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Eventfds that a peer has, too, signalled and taken without waiting. A request of the kernel's asynchronous I/O can
 * name an eventfd that is signalled at its end; that never waits. The request is to poll the eventfd itself: its
 * counter is not empty or not full, so it ends at once.
 */
#include <viommu/event.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/util/lock.h"

enum { REQUESTS = 128 };

/* The process's: a context is a mapping in its memory, and any thread can use it. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct lock lock = LOCK_INITIALIZER; /* one thread makes the context; its users take no lock */
static _Atomic aio_context_t context;       /* 0: there is none */

/* It is not the child's, and neither is the thread that may have held the lock. */
static void event_forget(void)
{
	lock_init(&lock);
	atomic_store(&context, 0);
}

static void event_watch_forks(void)
{
	pthread_atfork(NULL, NULL, event_forget);
}

int viommu_event_setup(void)
{
	aio_context_t made = 0;
	int err = 0;

	pthread_once(&once, event_watch_forks);
	lock_take(&lock);
	if (!atomic_load(&context))
		err = syscall(SYS_io_setup, REQUESTS, &made) ? -errno : 0;
	if (made)
		atomic_store(&context, made);
	lock_drop(&lock);
	return err;
}

static int event_submit(int fd)
{
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = POLLIN | POLLOUT,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	struct iocb *requests[] = {&request};

	return syscall(SYS_io_submit, atomic_load(&context), 1, requests) == 1 ? 0 : -errno;
}

/* The other side shares the descriptor: it can make it blocking again in between. */
static int event_write(int fd)
{
	const uint64_t one = 1;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	return write(fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN ? 0 : -errno;
}

int viommu_event_signal(int fd)
{
	struct io_event ended[REQUESTS];
	int err = -EAGAIN;

	if (!atomic_load_explicit(&context, memory_order_relaxed) && viommu_event_setup())
		return event_write(fd);
	for (unsigned i = 0; i < 2 && err == -EAGAIN; i++) {
		err = event_submit(fd);
		/* What has ended takes room until somebody asks for it. */
		if (err == -EAGAIN)
			syscall(SYS_io_getevents, atomic_load(&context), 0, REQUESTS, ended, NULL);
	}
	return err == -EAGAIN ? event_write(fd) : err;
}

int viommu_event_take(int fd)
{
	uint64_t count;
	struct iovec to = {&count, sizeof(count)};
	ssize_t got = preadv2(fd, &to, 1, -1, RWF_NOWAIT);

	if (got < 0)
		return -errno;
	return got == sizeof(count) ? 0 : -EINVAL;
}
