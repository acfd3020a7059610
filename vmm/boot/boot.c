/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of things: kernel, initrd, boot parameters, entry state. */
#include "vmm/boot/boot.h"

#include <errno.h>

#include "vmm/boot/bzimage.h"
#include "vmm/boot/entry.h"
#include "vmm/boot/file.h"
#include "vmm/boot/params.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout.h"
#include "vmm/util/log.h"

enum { PAGE_SIZE = 4096 };

/* The highest page-aligned place below both the kernel's limit and the end of low RAM, above the kernel. 0: none. */
static uint64_t place_initrd(const struct bzimage *image, const struct ram *ram, uint64_t size)
{
	uint64_t end = (uint64_t)image->header.initrd_addr_max + 1;

	if (end > ram->low_size)
		end = ram->low_size;
	if (size > end)
		return 0;

	const uint64_t address = (end - size) / PAGE_SIZE * PAGE_SIZE;

	return address >= image->address + image->run_size ? address : 0;
}

static int load_initrd(struct ram *ram, const struct bzimage *image, const char *path, struct boot_facts *facts)
{
	struct boot_file file;
	int error = boot_file_open(&file, path);

	if (error)
		return error;
	facts->initrd_size = file.size;
	facts->initrd = file.size ? place_initrd(image, ram, file.size) : 0;
	if (file.size && !facts->initrd) {
		vmm_log("%s (%llu MiB) does not fit beside the kernel: give the guest more memory", path,
			(unsigned long long)(file.size >> 20) + 1);
		error = -EFBIG;
	} else if (file.size) {
		error = boot_file_read(&file, 0, ram_at(ram, facts->initrd, file.size), file.size);
	}
	boot_file_close(&file);
	return error;
}

static int load_kernel(struct ram *ram, const char *path, struct bzimage *image)
{
	struct boot_file file;
	int error = boot_file_open(&file, path);

	if (error)
		return error;
	error = bzimage_decode(image, &file);
	if (!error)
		error = bzimage_load(image, &file, ram);
	boot_file_close(&file);
	return error;
}

int boot_load(struct ram *ram, const struct boot_config *config, struct vcpu_entry *entry)
{
	struct bzimage image;
	struct boot_facts facts = {
		.header = &image.header,
		.cmdline = config->cmdline,
		.acpi_rsdp = config->acpi_rsdp,
	};
	int error = load_kernel(ram, config->kernel, &image);

	if (!error && config->initrd)
		error = load_initrd(ram, &image, config->initrd, &facts);
	if (!error)
		error = params_write(ram, &facts);
	if (!error)
		error = entry_prepare(ram, entry);
	if (!error)
		error = entry_add_reset_vector(ram);
	if (error)
		return error;
	entry->rip = image.entry;
	entry->rsi = LAYOUT_BOOT_PARAMS;
	return 0;
}
