/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/params.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/facts.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

enum {
	LOADER_UNDEFINED = 0xff, /* type_of_loader of those without a number */
	VIDEO_NORMAL = 0xffff,
};

int params_write(struct ram *ram, const struct bzimage *image, const struct boot_facts *facts)
{
	const struct boot_module *initrd = facts->module_count ? &facts->modules[0] : NULL;
	struct boot_params *params = ram_at(ram, LAYOUT_BOOT_PARAMS, sizeof(*params));

	if (!params)
		return -EFBIG;
	memset(params, 0, sizeof(*params));
	params->hdr = image->header;
	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.vid_mode = VIDEO_NORMAL;
	params->hdr.cmd_line_ptr = (uint32_t)LAYOUT_CMDLINE;
	params->hdr.code32_start = (uint32_t)image->address;
	params->hdr.setup_data = 0;
	if (initrd) {
		params->hdr.ramdisk_image = (uint32_t)initrd->address;
		params->hdr.ramdisk_size = (uint32_t)initrd->size;
		params->ext_ramdisk_image = (uint32_t)(initrd->address >> 32);
		params->ext_ramdisk_size = (uint32_t)(initrd->size >> 32);
	}
	params->acpi_rsdp_addr = facts->acpi_rsdp;
	params->e820_entries = (uint8_t)facts->map_count;
	for (unsigned i = 0; i < facts->map_count; i++) {
		const struct boot_map_entry *entry = &facts->map[i];

		params->e820_table[i] = (struct boot_e820_entry){entry->address, entry->size, entry->type};
	}
	return 0;
}
