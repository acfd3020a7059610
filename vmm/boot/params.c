/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/params.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/facts.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout.h"

enum {
	LOADER_UNDEFINED = 0xff, /* type_of_loader of those without a number */
	VIDEO_NORMAL = 0xffff,
};

int params_write(struct ram *ram, const struct setup_header *header, const struct boot_facts *facts)
{
	struct boot_params *params = ram_at(ram, LAYOUT_BOOT_PARAMS, sizeof(*params));

	if (!params)
		return -EFBIG;
	memset(params, 0, sizeof(*params));
	params->hdr = *header;
	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.vid_mode = VIDEO_NORMAL;
	params->hdr.cmd_line_ptr = (uint32_t)LAYOUT_CMDLINE;
	params->hdr.ramdisk_image = (uint32_t)facts->initrd;
	params->hdr.ramdisk_size = (uint32_t)facts->initrd_size;
	params->hdr.setup_data = 0;
	params->acpi_rsdp_addr = facts->acpi_rsdp;
	params->e820_entries = (uint8_t)facts->map_count;
	for (unsigned i = 0; i < facts->map_count; i++) {
		const struct boot_map_entry *entry = &facts->map[i];

		params->e820_table[i] = (struct boot_e820_entry){entry->address, entry->size, entry->type};
	}
	return 0;
}
