/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/hugepages.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "vmm/kvm/ram.h"
#include "vmm/util/log.h"

static const char *size_name(uint64_t page)
{
	return page == RAM_HUGE_1G ? "1G" : "2M";
}

int hugepages_open(uint64_t page)
{
	/* memfd_create() and mmap() write the page's size the same way. */
	const unsigned order = (unsigned)__builtin_ctzll(page) << MAP_HUGE_SHIFT;
	const int fd = memfd_create("viommu-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | order);

	if (fd >= 0)
		return fd;

	const int error = errno;

	vmm_log("--memory: this machine has no huge pages of %s: %s", size_name(page), strerror(error));
	return -error;
}

/* A number of a pool, 0 where there is no such pool. */
static unsigned long long pool(uint64_t page, const char *what)
{
	unsigned long long value = 0;
	char path[96];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%llukB/%s", (unsigned long long)page >> 10,
		 what);
	FILE *file = fopen(path, "re");

	if (!file)
		return 0;
	if (fscanf(file, "%llu", &value) != 1)
		value = 0;
	fclose(file);
	return value;
}

/* True: this is the size that vm.nr_hugepages counts. */
static bool is_default(uint64_t page)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *file = fopen("/proc/meminfo", "re");

	while (file && !kib && fgets(line, sizeof(line), file))
		if (sscanf(line, "Hugepagesize: %llu kB", &kib) != 1)
			kib = 0;
	if (file)
		fclose(file);
	return kib == page >> 10;
}

void hugepages_complain(uint64_t size, uint64_t page, int error)
{
	const unsigned long long wanted = size / page, free_pages = pool(page, "free_hugepages");
	const unsigned long long reserved = pool(page, "resv_hugepages");
	const unsigned long long usable = free_pages > reserved ? free_pages - reserved : 0;
	const char *name = size_name(page);

	if (usable >= wanted) {
		vmm_log("--memory: %llu huge pages of %s are free, but cannot be had: %s", usable, name,
			strerror(error));
		return;
	}

	const unsigned long long total = pool(page, "nr_hugepages") + wanted - usable;

	if (is_default(page))
		vmm_log("--memory: %llu of %llu huge pages of %s are missing; as root: sysctl vm.nr_hugepages=%llu",
			wanted - usable, wanted, name, total);
	else
		vmm_log("--memory: %llu of %llu huge pages of %s are missing; as root: echo %llu "
			">/sys/kernel/mm/hugepages/hugepages-%llukB/nr_hugepages",
			wanted - usable, wanted, name, total, (unsigned long long)page >> 10);
}
