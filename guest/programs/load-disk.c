/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads of a disk by the kernel's asynchronous I/O, for which the C library has no functions. */
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"

enum { BLOCK = 4096, DEPTH_MAX = 32 };

static int fd = -1;
static uint64_t blocks;
static aio_context_t context;
static struct iocb requests[DEPTH_MAX];
static uint64_t state = 88172645463325252u;

static int disk_open(const char *target)
{
	char *buffers = aligned_alloc(BLOCK, (size_t)DEPTH_MAX * BLOCK);
	off_t size;

	fd = open(target, O_RDONLY | O_DIRECT | O_CLOEXEC);
	size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
	if (size < BLOCK || !buffers)
		return load_failed(target);
	blocks = (uint64_t)size / BLOCK;
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		requests[i] = (struct iocb){
			.aio_fildes = (uint32_t)fd,
			.aio_lio_opcode = IOCB_CMD_PREAD,
			.aio_buf = (uintptr_t)buffers + (uint64_t)i * BLOCK,
			.aio_nbytes = BLOCK,
			.aio_data = i,
		};
	return syscall(SYS_io_setup, DEPTH_MAX, &context) ? load_failed("io_setup") : 0;
}

/* The same places in each run of the program: xorshift64. */
static int64_t next_offset(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (int64_t)(state % blocks * BLOCK);
}

static int submit(struct iocb **list, long count)
{
	for (long i = 0; i < count; i++)
		list[i]->aio_offset = next_offset();
	for (long done = 0; done < count;) {
		const long n = syscall(SYS_io_submit, context, count - done, list + done);

		if (n <= 0)
			return load_failed("io_submit");
		done += n;
	}
	return 0;
}

/* Waits for one read at least; those that have ended are the first of LIST. */
static long reap(struct iocb **list)
{
	struct io_event events[DEPTH_MAX];
	const long n = syscall(SYS_io_getevents, context, 1, DEPTH_MAX, events, NULL);

	for (long i = 0; i < n; i++) {
		if (events[i].res != BLOCK) {
			errno = EIO;
			return load_failed("a read");
		}
		list[i] = &requests[events[i].data];
	}
	return n > 0 ? n : load_failed("io_getevents");
}

/* FINISH: until the last read has ended. */
static int read_run(long depth, unsigned milliseconds, bool finish, struct load_result *result)
{
	const double start = load_now(), end = start + milliseconds / 1e3;
	struct iocb *list[DEPTH_MAX];
	long pending = depth;

	for (long i = 0; i < depth; i++)
		list[i] = &requests[i];
	if (submit(list, depth))
		return -1;
	result->count = 0;
	for (bool again = true; finish ? pending : again;) {
		const long n = reap(list);

		again = load_now() < end;
		if (n < 0 || (again && submit(list, n)))
			return -1;
		result->count += (uint64_t)n;
		if (!again)
			pending -= n;
	}
	result->seconds = load_now() - start;
	return 0;
}

static int warm_1(unsigned milliseconds, struct load_result *result)
{
	return read_run(1, milliseconds, true, result);
}

static int measure_1(unsigned milliseconds, struct load_result *result)
{
	return read_run(1, milliseconds, false, result);
}

static int warm_32(unsigned milliseconds, struct load_result *result)
{
	return read_run(DEPTH_MAX, milliseconds, true, result);
}

static int measure_32(unsigned milliseconds, struct load_result *result)
{
	return read_run(DEPTH_MAX, milliseconds, false, result);
}

const struct load_ops load_read_1 = {disk_open, warm_1, measure_1};
const struct load_ops load_read_32 = {disk_open, warm_32, measure_32};
