/* SPDX-License-Identifier: BSD-2-Clause */
#include "fuzz/kernels.h"

#include <asm/bootparam.h>
#include <elf.h>

enum { KERNEL = 0x100000, CODE = 512, SETUP_HEADER = 0x1f1 };

static void put(struct kernel_file *file, size_t at, const void *bytes, size_t size)
{
	memcpy(file->bytes + at, bytes, size);
	if (at + size > file->size)
		file->size = at + size;
}

/* Notes of Xen's: the system, and the entry point of PVH. */
static void put_notes(struct kernel_file *file, size_t at)
{
	static const struct {
		Elf32_Nhdr header;
		char name[4];
		uint32_t value[2];
	} notes[] = {{{4, 8, 6}, "Xen", {0x756e696c, 'x'}}, {{4, 8, 18}, "Xen", {KERNEL + 4, 0}}};

	put(file, at, notes, sizeof(notes));
}

static void make_elf32(struct kernel_file *file)
{
	static const uint32_t multiboot[] = {0x1badb002, 3, -(0x1badb002u + 3)};
	const Elf32_Phdr load = {PT_LOAD, CODE, KERNEL, KERNEL, 64, 128, PF_X, 0}, note = {PT_NOTE, 256, 0, 0, 48};
	const Elf32_Ehdr header = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = KERNEL,
		.e_phoff = 64,
		.e_phentsize = sizeof(load),
		.e_phnum = 2,
	};

	put(file, 0, &header, sizeof(header));
	put(file, 64, &load, sizeof(load));
	put(file, 64 + sizeof(load), &note, sizeof(note));
	put(file, 192, multiboot, sizeof(multiboot));
	put_notes(file, 256);
	file->size = CODE + 64;
}

static void make_elf64(struct kernel_file *file)
{
	const Elf64_Phdr load = {PT_LOAD, PF_X, CODE, KERNEL, KERNEL, 64, 128, 0}, note = {PT_NOTE, 0, 256, 0, 0, 48};
	const Elf64_Ehdr header = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = KERNEL,
		.e_phoff = 64,
		.e_phentsize = sizeof(load),
		.e_phnum = 2,
	};

	put(file, 0, &header, sizeof(header));
	put(file, 64, &load, sizeof(load));
	put(file, 64 + sizeof(load), &note, sizeof(note));
	put_notes(file, 256);
	file->size = CODE + 64;
}

static void make_bzimage(struct kernel_file *file)
{
	const struct setup_header header = {
		.setup_sects = 4,
		.syssize = 64,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.cmdline_size = 255,
		.xloadflags = XLF_KERNEL_64,
		.pref_address = KERNEL,
		.init_size = 4096,
	};

	put(file, SETUP_HEADER, &header, sizeof(header));
	file->size = 5 * 512 + 1024;
}

void kernel_file_draw(struct tape *tape, struct kernel_file *file)
{
	static void (*const kinds[])(struct kernel_file *) = {make_elf32, make_elf64, make_bzimage};
	const unsigned kind = tape_below(tape, 4);

	memset(file, 0, sizeof(*file));
	if (kind == 3) {
		file->size = tape->left < KERNEL_FILE_MAX ? tape->left : KERNEL_FILE_MAX;
		tape_copy(tape, file->bytes, file->size);
		return;
	}
	kinds[kind](file);
	while (tape->left) {
		const size_t at = tape_u16(tape) % KERNEL_FILE_MAX, len = 1u << tape_below(tape, 4);

		tape_copy(tape, file->bytes + at, at + len <= KERNEL_FILE_MAX ? len : 1);
	}
}
