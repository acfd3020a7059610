/* SPDX-License-Identifier: BSD-2-Clause */
/* The order of things: kernel, initrd, what the kernel is told, entry state. */
#include "vmm/boot/boot.h"

#include <errno.h>

#include "vmm/boot/entry.h"
#include "vmm/boot/facts.h"
#include "vmm/boot/file.h"
#include "vmm/boot/kernel.h"
#include "vmm/boot/multiboot.h"
#include "vmm/boot/params.h"
#include "vmm/boot/pvh.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout.h"
#include "vmm/util/log.h"

enum { PAGE_SIZE = 4096 };

#define LOWEST_INITRD 0x100000ull /* what is below is full of other things */

/* The highest page-aligned place below both the kernel's limit and the end of low RAM, above the kernel. 0: none. */
static uint64_t place_initrd(const struct kernel *kernel, const struct ram *ram, uint64_t size)
{
	const uint64_t floor = kernel->end > LOWEST_INITRD ? kernel->end : LOWEST_INITRD;
	uint64_t end = kernel->initrd_last + 1;

	if (end > ram->low_size)
		end = ram->low_size;
	if (size > end)
		return 0;

	const uint64_t address = (end - size) / PAGE_SIZE * PAGE_SIZE;

	return address >= floor ? address : 0;
}

static int load_initrd(struct ram *ram, const struct kernel *kernel, const char *path, struct boot_facts *facts)
{
	struct boot_file file;
	int error = boot_file_open(&file, path);

	if (error)
		return error;
	facts->initrd_size = file.size;
	facts->initrd = file.size ? place_initrd(kernel, ram, file.size) : 0;
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

/* What it is told, and the registers that say where that lies. */
static int write_facts(struct ram *ram, const struct kernel *kernel, const struct boot_facts *facts,
		       struct vcpu_entry *entry)
{
	switch (kernel->kind) {
	case KERNEL_BZIMAGE:
		entry->rsi = LAYOUT_BOOT_PARAMS;
		return params_write(ram, &kernel->bzimage.header, facts);
	case KERNEL_MULTIBOOT:
		entry->rax = MULTIBOOT_BOOTED;
		entry->rbx = LAYOUT_BOOT_PARAMS;
		return multiboot_write(ram, facts);
	case KERNEL_PVH:
		entry->rbx = LAYOUT_BOOT_PARAMS;
		return pvh_write(ram, facts);
	}
	return -EINVAL;
}

int boot_check(const char *kernel_path, const char *initrd_path, bool *is_linux)
{
	struct kernel kernel;
	struct boot_file file;
	int error = boot_file_open(&file, kernel_path);

	if (error)
		return error;
	error = kernel_decode(&kernel, &file);
	boot_file_close(&file);
	if (error)
		return error;
	*is_linux = kernel.is_linux;
	if (!initrd_path)
		return 0;
	error = boot_file_open(&file, initrd_path);
	if (!error)
		boot_file_close(&file);
	return error;
}

int boot_load(struct ram *ram, const struct boot_config *config, struct vcpu_entry *entry)
{
	struct kernel kernel;
	struct boot_facts facts = {.cmdline = config->cmdline, .acpi_rsdp = config->acpi_rsdp};
	int error = load_kernel(ram, config->kernel, &kernel);

	if (!error && config->initrd)
		error = load_initrd(ram, &kernel, config->initrd, &facts);
	if (!error)
		error = facts_write_cmdline(&facts, ram, kernel.cmdline_max);
	if (!error)
		error = kernel.kind == KERNEL_BZIMAGE ? entry_prepare(ram, entry) : entry_prepare_flat(ram, entry);
	if (!error)
		error = entry_add_reset_vector(ram);
	if (error)
		return error;
	facts_fill_map(&facts, ram);
	entry->rip = kernel.entry;
	return write_facts(ram, &kernel, &facts, entry);
}
