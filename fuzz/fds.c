/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/fds.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { WAITS = 5000, PAGE = 4096, LARGE = 64 * PAGE };

static int kinds[FDS_KINDS];

static int memory(off_t size, int seals)
{
	const int fd = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	CHECK(fd >= 0 && !ftruncate(fd, size) && !fcntl(fd, F_ADD_SEALS, seals), "no file");
	return fd;
}

static void open_all(void)
{
	int pair[2];

	kinds[0] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	kinds[1] = eventfd(0, EFD_CLOEXEC);
	kinds[2] = memory(LARGE, F_SEAL_SHRINK | F_SEAL_GROW);
	kinds[3] = memory(LARGE, 0);
	kinds[4] = memory(PAGE, F_SEAL_SHRINK);
	kinds[5] = open("/dev/null", O_RDWR | O_CLOEXEC);
	CHECK(!pipe2(pair, O_CLOEXEC), "no pipe");
	kinds[6] = pair[1];
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "no socket");
	kinds[7] = pair[1];
	for (unsigned i = 0; i < FDS_KINDS; i++)
		CHECK(kinds[i] >= 0, "kind %u", i);
}

int fds_of_kind(unsigned kind)
{
	if (!kinds[0])
		open_all();
	return kinds[kind % FDS_KINDS];
}

unsigned fds_open(void)
{
	unsigned count = 0;
	DIR *dir = opendir("/proc/self/fd");

	CHECK(dir, "no /proc");
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

void fds_wait(unsigned wanted)
{
	unsigned waits = 0;

	while (fds_open() > wanted) {
		CHECK(++waits < WAITS, "%u descriptors are open, and not %u", fds_open(), wanted);
		usleep(waits < 100 ? 20 : 1000);
	}
}
