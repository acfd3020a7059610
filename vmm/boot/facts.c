/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/facts.h"

#include <errno.h>
#include <string.h>

#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"
#include "vmm/util/log.h"

/* The range is [first, end). */
static void add(struct boot_facts *facts, uint64_t first, uint64_t end, uint32_t type)
{
	if (first < end)
		facts->map[facts->map_count++] = (struct boot_map_entry){first, end - first, type};
}

void facts_fill_map(struct boot_facts *facts, const struct ram *ram)
{
	facts->map_count = 0;
	add(facts, 0, LAYOUT_EBDA, BOOT_MAP_RAM);
	/* EBDA, video memory, ROMs: the ACPI tables are among them. */
	add(facts, LAYOUT_EBDA, LAYOUT_LOW_END, BOOT_MAP_RESERVED);
	add(facts, LAYOUT_LOW_END, ram->low_size, BOOT_MAP_RAM);
	add(facts, LAYOUT_ECAM, LAYOUT_ECAM + LAYOUT_ECAM_SIZE, BOOT_MAP_RESERVED);
	add(facts, LAYOUT_HIGH_RAM, LAYOUT_HIGH_RAM + ram->high_size, BOOT_MAP_RAM);
}

int facts_check_cmdline(const struct boot_facts *facts, size_t limit)
{
	if (strlen(facts->cmdline) <= limit)
		return 0;
	vmm_log("the command line is longer than %zu characters", limit);
	return -EFBIG;
}
