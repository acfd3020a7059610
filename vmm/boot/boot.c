/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of things: kernel, initrds, what the kernel is told, entry state. */
#include "vmm/boot/boot.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/area.h"
#include "vmm/boot/entry.h"
#include "vmm/boot/facts.h"
#include "vmm/boot/file.h"
#include "vmm/boot/initrd.h"
#include "vmm/boot/kernel.h"
#include "vmm/boot/multiboot.h"
#include "vmm/boot/params.h"
#include "vmm/boot/pvh.h"
#include "vmm/boot/room.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

static int load_kernel(struct ram *ram, const char *path, struct kernel *kernel)
{
	struct boot_file file;
	int error = boot_file_open(&file, path);

	if (error)
		return error;
	error = kernel_decode(kernel, &file);
	if (!error)
		error = kernel_load(kernel, &file, ram);
	boot_file_close(&file);
	return error;
}

/* By the Linux boot protocol: everything has its place below the kernel. */
static int tell_linux(const struct kernel *kernel, const struct boot_facts *facts, struct ram *ram,
		      struct vcpu_entry *entry)
{
	const struct bzimage *image = &kernel->bzimage;
	void *gdt = ram_at(ram, LAYOUT_GDT, ENTRY_FLAT_GDT_SIZE);
	char *cmdline = ram_at(ram, LAYOUT_CMDLINE, LAYOUT_CMDLINE_MAX);
	int error = cmdline && gdt ? 0 : -EFBIG;

	if (!error && image->is64)
		error = entry_prepare(ram, entry);
	else if (!error)
		entry_prepare_flat(gdt, LAYOUT_GDT, entry);
	if (error)
		return error;
	memcpy(cmdline, facts->cmdline, strlen(facts->cmdline) + 1);
	entry->rsi = LAYOUT_BOOT_PARAMS;
	return params_write(ram, image, facts);
}

/* By Multiboot or PVH: where the kernel leaves room. */
static int tell_flat(const struct kernel *kernel, const struct boot_facts *facts, struct ram *ram,
		     struct boot_room *room, struct vcpu_entry *entry)
{
	const bool multiboot = kernel->kind == KERNEL_MULTIBOOT;
	const size_t size = multiboot ? multiboot_size(facts) : pvh_size(facts);
	struct boot_area area;
	uint64_t gdt_address;
	const int error = area_init(&area, ram, room, area_item_size(ENTRY_FLAT_GDT_SIZE) + size);

	if (error)
		return error;
	void *gdt = area_add(&area, ENTRY_FLAT_GDT_SIZE, &gdt_address);

	entry_prepare_flat(gdt, gdt_address, entry);
	if (multiboot)
		entry->rax = MULTIBOOT_BOOTED;
	entry->rbx = multiboot ? multiboot_write(&area, facts, ram) : pvh_write(&area, facts);
	return 0;
}

int boot_check(const struct boot_config *config, bool *is_linux)
{
	struct kernel kernel;
	struct boot_file file;
	int error = boot_file_open(&file, config->kernel);

	if (error)
		return error;
	error = kernel_decode(&kernel, &file);
	boot_file_close(&file);
	if (error)
		return error;
	*is_linux = kernel.is_linux;
	return initrd_check(&kernel, config);
}

int boot_load(struct ram *ram, const struct boot_config *config, struct vcpu_entry *entry)
{
	struct kernel kernel;
	struct boot_room room;
	struct boot_facts facts = {config->kernel, config->cmdline, config->acpi_rsdp, {{0}}, 0, {{0}}, 0};
	int error = load_kernel(ram, config->kernel, &kernel);

	if (!error)
		error = facts_check_cmdline(&facts, kernel.cmdline_max);
	if (error)
		return error;
	room_init(&room, ram);
	kernel_take_room(&kernel, &room);
	facts_fill_map(&facts, ram);
	error = initrd_load(&kernel, config, ram, &room, &facts);
	if (!error)
		error = kernel.kind == KERNEL_BZIMAGE ? tell_linux(&kernel, &facts, ram, entry)
						      : tell_flat(&kernel, &facts, ram, &room, entry);
	if (!error)
		error = entry_add_reset_vector(ram);
	entry->rip = kernel.entry;
	return error;
}
