/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A request of the kernel's asynchronous I/O can name an eventfd that is signalled at its end; that never waits. The request is to poll
 * the eventfd itself: its counter is not empty or not full, so it ends at once.
 */
#include <viommu/event.h>

#include <errno.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { REQUESTS = 128 };

/* The process's: a context is a mapping in its memory, and who has none of his own can use it from any thread. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static aio_context_t context; /* 0: there is none */

static void setup(void)
{
	if (syscall(SYS_io_setup, REQUESTS, &context))
		context = 0;
}

static int submit(int fd)
{
	struct iocb request = {
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_fildes = (uint32_t)fd,
		.aio_buf = POLLIN | POLLOUT,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	struct iocb *requests[] = {&request};

	return syscall(SYS_io_submit, context, 1, requests) == 1 ? 0 : -errno;
}

/* What has ended takes room until somebody asks for it. */
static void forget_ended(void)
{
	struct io_event events[REQUESTS];

	syscall(SYS_io_getevents, context, 0, REQUESTS, events, NULL);
}

static int write_if_it_can(int fd)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
	uint64_t one = 1;

	if (poll(&poll_fd, 1, 0) != 1 || !(poll_fd.revents & POLLOUT))
		return poll_fd.revents & POLLNVAL ? -EBADF : 0;
	return write(fd, &one, sizeof(one)) == sizeof(one) || errno == EAGAIN ? 0 : -errno;
}

int viommu_event_signal(int fd)
{
	int err = -EAGAIN;

	pthread_once(&once, setup);
	for (unsigned i = 0; i < 2 && context && err == -EAGAIN; i++) {
		err = submit(fd);
		if (err == -EAGAIN)
			forget_ended();
	}
	return err == -EAGAIN ? write_if_it_can(fd) : err;
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
