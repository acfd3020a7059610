/* SPDX-License-Identifier: BSD-2-Clause */
#include "load-tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

int tcp_write(int fd, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		const ssize_t n = write(fd, (const char *)data + done, size - done);

		if (n < 0)
			return load_failed("write to the peer");
		done += (size_t)n;
	}
	return 0;
}

int tcp_read(int fd, void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		const ssize_t n = read(fd, (char *)data + done, size - done);

		if (n == 0)
			errno = ECONNRESET;
		if (n <= 0)
			return load_failed("read from the peer");
		done += (size_t)n;
	}
	return 0;
}

int tcp_no_delay(int fd)
{
	const int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ? load_failed("TCP_NODELAY") : 0;
}

int tcp_stream_out(int fd, unsigned milliseconds, uint64_t *bytes)
{
	static char block[TCP_BLOCK];
	const double end = load_now() + milliseconds / 1e3;

	*bytes = 0;
	do {
		block[0] = load_now() < end;
		if (tcp_write(fd, block, sizeof(block)))
			return -1;
		*bytes += sizeof(block);
	} while (block[0]);
	return 0;
}

/* Takes what there is, as others do: a block's first byte may come anywhere in the buffer. */
int tcp_stream_in(int fd, double end, uint64_t *bytes)
{
	static char buffer[TCP_BLOCK];
	bool last = false;

	*bytes = 0;
	while ((!last || *bytes % TCP_BLOCK) && load_now() < end) {
		const ssize_t n = read(fd, buffer, sizeof(buffer));
		const size_t first = (size_t)((TCP_BLOCK - *bytes % TCP_BLOCK) % TCP_BLOCK);

		if (n == 0)
			errno = ECONNRESET;
		if (n <= 0)
			return load_failed("read from the peer");
		if (first < (size_t)n)
			last = !buffer[first];
		*bytes += (uint64_t)n;
	}
	return 0;
}
