/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/params.h"

#include <errno.h>
#include <string.h>

#include "vmm/kvm/ram.h"
#include "vmm/layout.h"
#include "vmm/util/log.h"

enum {
	LOADER_UNDEFINED = 0xff, /* type_of_loader of those without a number */
	VIDEO_NORMAL = 0xffff,
};

static int write_cmdline(struct ram *ram, const struct boot_facts *facts)
{
	const size_t len = strlen(facts->cmdline);
	char *target = ram_at(ram, LAYOUT_CMDLINE, LAYOUT_CMDLINE_MAX);
	size_t limit = LAYOUT_CMDLINE_MAX - 1;

	/* The kernel's own limit does not count the terminating zero either. */
	if (facts->header->cmdline_size < limit)
		limit = facts->header->cmdline_size;
	if (!target || len > limit) {
		vmm_log("the command line is longer than %zu characters", limit);
		return -EFBIG;
	}
	memcpy(target, facts->cmdline, len + 1);
	return 0;
}

int params_write(struct ram *ram, const struct boot_facts *facts)
{
	struct boot_params *params = ram_at(ram, LAYOUT_BOOT_PARAMS, sizeof(*params));
	const int error = write_cmdline(ram, facts);

	if (error || !params)
		return error ? error : -EFBIG;
	memset(params, 0, sizeof(*params));
	params->hdr = *facts->header;
	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.vid_mode = VIDEO_NORMAL;
	params->hdr.cmd_line_ptr = (uint32_t)LAYOUT_CMDLINE;
	params->hdr.ramdisk_image = (uint32_t)facts->initrd;
	params->hdr.ramdisk_size = (uint32_t)facts->initrd_size;
	params->hdr.setup_data = 0;
	params->acpi_rsdp_addr = facts->acpi_rsdp;
	e820_fill(params, ram);
	return 0;
}
