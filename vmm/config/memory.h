/* SPDX-License-Identifier: BSD-2-Clause */
/* What --memory asks for. */
#ifndef VMM_CONFIG_MEMORY_H
#define VMM_CONFIG_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

struct ram_config {
	uint64_t size;
	bool hugepages;
	uint64_t hugepage_size; /* RAM_HUGE_2M, RAM_HUGE_1G, or 0: what the file's hugetlbfs has, else 2 MiB */
	char *file;             /* NULL: a memfd */
};

#define RAM_HUGE_2M (2ull << 20)
#define RAM_HUGE_1G (1ull << 30)

#endif
