/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many blocks of 4 KiB a second a disk reads one after the other, past the page cache: each costs an interrupt, and
 * nothing else runs meanwhile. read-rate DEVICE COUNT
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 4096, SPAN = 1024 /* blocks that are read, again and again */ };

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	const long count = argc == 3 ? atol(argv[2]) : 0;
	void *block = aligned_alloc(BLOCK, BLOCK);
	const int fd = count > 0 ? open(argv[1], O_RDONLY | O_DIRECT | O_CLOEXEC) : -1;

	if (fd < 0 || !block) {
		fprintf(stderr, "read-rate: DEVICE COUNT\n");
		return 2;
	}
	const double start = now();

	for (long i = 0; i < count; i++) {
		if (pread(fd, block, BLOCK, i % SPAN * BLOCK) != BLOCK) {
			perror(argv[1]);
			return 1;
		}
	}
	printf("read-rate: %.1f a second\n", (double)count / (now() - start));
	return 0;
}
