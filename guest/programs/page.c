/* SPDX-License-Identifier: BSD-2-Clause */
#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGEMAP_PRESENT (1ull << 63)
#define PAGEMAP_FRAME ((1ull << 55) - 1)

uint8_t *page_alloc(void)
{
	void *page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);

	return page == MAP_FAILED ? NULL : page;
}

static uint8_t byte_at(uint8_t seed, uint32_t i)
{
	return (uint8_t)(seed + 31 * i + (i >> 8));
}

void page_fill(uint8_t *page, uint8_t seed)
{
	for (uint32_t i = 0; i < PAGE_BYTES; i++)
		page[i] = byte_at(seed, i);
}

/* The device writes behind the compiler's back. */
bool page_is(const uint8_t *page, uint8_t seed, uint32_t size)
{
	const volatile uint8_t *bytes = page;

	for (uint32_t i = 0; i < size; i++) {
		if (bytes[i] != byte_at(seed, i))
			return false;
	}
	return true;
}

int page_physical(const uint8_t *page, uint64_t *out)
{
	uint64_t entry = 0;
	ssize_t got;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	got = pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)page / PAGE_BYTES * sizeof(entry)));
	close(fd);
	if (got != sizeof(entry))
		return -EIO;
	/* Without the right to know it the frame reads as 0. */
	if (!(entry & PAGEMAP_PRESENT) || !(entry & PAGEMAP_FRAME))
		return -EPERM;
	*out = (entry & PAGEMAP_FRAME) * PAGE_BYTES;
	return 0;
}
