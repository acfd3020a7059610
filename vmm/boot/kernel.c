/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/kernel.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/multiboot.h"
#include "vmm/boot/pvh.h"
#include "vmm/layout/layout.h"

static int decode_bzimage(struct kernel *kernel, const struct boot_file *file)
{
	const int error = bzimage_decode(&kernel->bzimage, file);

	if (error)
		return error;
	kernel->kind = KERNEL_BZIMAGE;
	kernel->is_linux = true;
	kernel->entry = kernel->bzimage.entry;
	kernel->end = kernel->bzimage.address + kernel->bzimage.run_size;
	kernel->initrd_last = kernel->bzimage.header.initrd_addr_max;
	/* Where the kernel says so: the limit is for the sake of old loaders, and the protocol has 64 bits. */
	kernel->initrd_anywhere =
		kernel->bzimage.is64 && kernel->bzimage.header.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G;
	kernel->cmdline_max = LAYOUT_CMDLINE_MAX - 1;
	if (kernel->bzimage.header.cmdline_size < kernel->cmdline_max)
		kernel->cmdline_max = kernel->bzimage.header.cmdline_size;
	return 0;
}

static int decode_multiboot(struct kernel *kernel, const struct boot_file *file, uint32_t flags)
{
	const char *wrong = multiboot_check(flags);

	if (!wrong && kernel->elf.is64)
		wrong = "it is a 64-bit ELF file, and Multiboot takes 32-bit ones";
	if (!wrong && !elf_physical_entry(&kernel->elf, &kernel->entry))
		wrong = "its entry point is in no segment";
	kernel->kind = KERNEL_MULTIBOOT;
	return wrong ? boot_file_refuse(file, wrong) : 0;
}

static bool in_segment(const struct elf *elf, uint64_t address)
{
	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		if (segment->load && address >= segment->address && address - segment->address < segment->size)
			return true;
	}
	return false;
}

static int decode_pvh(struct kernel *kernel, const struct boot_file *file, enum multiboot_header multiboot)
{
	const int error = pvh_find_entry(&kernel->elf, file, &kernel->entry);

	if (error == -ENOENT && multiboot == MULTIBOOT_DAMAGED)
		return boot_file_refuse(file, "its Multiboot header has a wrong checksum");
	if (error == -ENOENT)
		return boot_file_refuse(file, "it is an ELF file with neither a Multiboot header nor a PVH note");
	if (error)
		return error;
	if (!in_segment(&kernel->elf, kernel->entry))
		return boot_file_refuse(file, "its PVH entry point is in no segment");
	kernel->kind = KERNEL_PVH;
	kernel->is_linux = pvh_is_linux(&kernel->elf, file);
	/* It cuts off what is longer. */
	if (kernel->is_linux)
		kernel->cmdline_max = LAYOUT_CMDLINE_MAX - 1;
	return 0;
}

static int decode_elf(struct kernel *kernel, const struct boot_file *file)
{
	enum multiboot_header multiboot;
	uint32_t flags;
	int error = elf_decode(&kernel->elf, file);

	if (!error)
		error = multiboot_find(file, &multiboot, &flags);
	if (error)
		return error;
	kernel->end = elf_end(&kernel->elf);
	/*
	 * Module addresses have 32 bits in Multiboot. PVH has 64, but 32-bit code runs first, and Linux cuts them
	 * off.
	 */
	kernel->initrd_last = UINT32_MAX;
	kernel->cmdline_max = SIZE_MAX;
	if (multiboot == MULTIBOOT_FOUND)
		return decode_multiboot(kernel, file, flags);
	return decode_pvh(kernel, file, multiboot);
}

int kernel_decode(struct kernel *kernel, const struct boot_file *file)
{
	bool is_elf;
	int error;

	memset(kernel, 0, sizeof(*kernel));
	error = elf_recognise(file, &is_elf);
	if (error)
		return error;
	return is_elf ? decode_elf(kernel, file) : decode_bzimage(kernel, file);
}

int kernel_load(const struct kernel *kernel, const struct boot_file *file, struct ram *ram)
{
	return kernel->kind == KERNEL_BZIMAGE ? bzimage_load(&kernel->bzimage, file, ram)
					      : elf_load(&kernel->elf, file, ram);
}

void kernel_take_room(const struct kernel *kernel, struct boot_room *room)
{
	if (kernel->kind == KERNEL_BZIMAGE) {
		room_take(room, kernel->bzimage.address, kernel->bzimage.run_size);
		return;
	}
	for (unsigned i = 0; i < kernel->elf.count; i++)
		if (kernel->elf.segments[i].load)
			room_take(room, kernel->elf.segments[i].address, kernel->elf.segments[i].size);
}
