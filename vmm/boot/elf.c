/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

int elf_recognise(const struct boot_file *file, bool *is_elf)
{
	char magic[SELFMAG];
	int error;

	*is_elf = false;
	if (file->size < sizeof(magic))
		return 0;
	error = boot_file_read(file, 0, magic, sizeof(magic));
	*is_elf = !error && !memcmp(magic, ELFMAG, SELFMAG);
	return error;
}

static void widen_header(const Elf32_Ehdr *from, Elf64_Ehdr *to)
{
	*to = (Elf64_Ehdr){
		.e_type = from->e_type,
		.e_machine = from->e_machine,
		.e_version = from->e_version,
		.e_entry = from->e_entry,
		.e_phoff = from->e_phoff,
		.e_phentsize = from->e_phentsize,
		.e_phnum = from->e_phnum,
	};
	memcpy(to->e_ident, from->e_ident, sizeof(to->e_ident));
}

/* The header in its wide form, whatever class it has. */
static int read_header(const struct boot_file *file, Elf64_Ehdr *header)
{
	union {
		Elf32_Ehdr narrow;
		Elf64_Ehdr wide;
	} read;
	const size_t size = file->size < sizeof(read) ? sizeof(read.narrow) : sizeof(read);
	int error;

	*header = (Elf64_Ehdr){0};
	if (file->size < sizeof(read.narrow))
		return boot_file_refuse(file, "it is cut off");
	memset(&read, 0, sizeof(read));
	error = boot_file_read(file, 0, &read, size);
	if (error)
		return error;
	if (read.narrow.e_ident[EI_CLASS] == ELFCLASS64)
		*header = read.wide;
	else
		widen_header(&read.narrow, header);
	return 0;
}

static const char *check_header(const Elf64_Ehdr *header)
{
	const bool is64 = header->e_ident[EI_CLASS] == ELFCLASS64;

	if ((!is64 && header->e_ident[EI_CLASS] != ELFCLASS32) || header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_ident[EI_VERSION] != EV_CURRENT || header->e_version != EV_CURRENT)
		return "it is a kind of ELF that is unknown here";
	if (header->e_machine != (is64 ? EM_X86_64 : EM_386))
		return "it is not for x86";
	if (header->e_type != ET_EXEC)
		return "it is ELF, but not an executable that is linked to a fixed address";
	if (!header->e_phnum || header->e_phentsize != (is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return "it has no program headers that make sense";
	if (header->e_phnum > ELF_SEGMENTS_MAX)
		return "it has more than 64 program headers";
	return NULL;
}

static Elf64_Phdr widen_segment(const Elf32_Phdr *from)
{
	return (Elf64_Phdr){
		.p_type = from->p_type,
		.p_offset = from->p_offset,
		.p_vaddr = from->p_vaddr,
		.p_paddr = from->p_paddr,
		.p_filesz = from->p_filesz,
		.p_memsz = from->p_memsz,
	};
}

/* Segments of other types, and empty ones, are nothing to us. */
static const char *add_segment(struct elf *elf, const Elf64_Phdr *header, uint64_t file_size)
{
	const bool load = header->p_type == PT_LOAD;
	uint64_t end;

	if ((!load && header->p_type != PT_NOTE) || (load ? !header->p_memsz : !header->p_filesz))
		return NULL;
	if (header->p_offset > file_size || header->p_filesz > file_size - header->p_offset)
		return "a segment is not in the file: is it cut off?";
	if (load &&
	    (header->p_filesz > header->p_memsz || __builtin_add_overflow(header->p_paddr, header->p_memsz, &end)))
		return "a segment makes no sense";
	/* ACPI tables and the like lie there; all else is placed around the kernel. */
	if (load && header->p_paddr < LAYOUT_LOW_END && header->p_paddr + (header->p_memsz - 1) >= LAYOUT_EBDA)
		return "a segment lies between 639 KiB and 1 MiB, where there is no RAM for it";
	elf->segments[elf->count++] = (struct elf_segment){
		.load = load,
		.offset = header->p_offset,
		.file_size = header->p_filesz,
		.vaddr = header->p_vaddr,
		.address = header->p_paddr,
		.size = header->p_memsz,
	};
	return NULL;
}

static int read_segment(const struct boot_file *file, const Elf64_Ehdr *header, unsigned index, Elf64_Phdr *segment)
{
	const uint64_t at = header->e_phoff + (uint64_t)index * header->e_phentsize;
	Elf32_Phdr narrow;
	int error;

	if (header->e_ident[EI_CLASS] == ELFCLASS64)
		return boot_file_read(file, at, segment, sizeof(*segment));
	error = boot_file_read(file, at, &narrow, sizeof(narrow));
	if (!error)
		*segment = widen_segment(&narrow);
	return error;
}

static int decode_segments(struct elf *elf, const struct boot_file *file, const Elf64_Ehdr *header)
{
	const uint64_t table = (uint64_t)header->e_phnum * header->e_phentsize;

	if (header->e_phoff > file->size || table > file->size - header->e_phoff)
		return boot_file_refuse(file, "its program headers are not in the file: is it cut off?");
	for (unsigned i = 0; i < header->e_phnum; i++) {
		Elf64_Phdr segment;
		int error = read_segment(file, header, i, &segment);
		const char *wrong = error ? NULL : add_segment(elf, &segment, file->size);

		if (error || wrong)
			return error ? error : boot_file_refuse(file, wrong);
	}
	return 0;
}

int elf_decode(struct elf *elf, const struct boot_file *file)
{
	Elf64_Ehdr header;
	const char *wrong;
	int error;

	memset(elf, 0, sizeof(*elf));
	error = read_header(file, &header);
	if (error)
		return error;
	wrong = check_header(&header);
	if (wrong)
		return boot_file_refuse(file, wrong);
	elf->is64 = header.e_ident[EI_CLASS] == ELFCLASS64;
	elf->entry = header.e_entry;
	error = decode_segments(elf, file, &header);
	if (!error && !elf_end(elf))
		return boot_file_refuse(file, "nothing of it goes to memory");
	return error;
}

bool elf_physical_entry(const struct elf *elf, uint64_t *entry)
{
	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		if (!segment->load || elf->entry < segment->vaddr || elf->entry - segment->vaddr >= segment->size)
			continue;
		*entry = segment->address + (elf->entry - segment->vaddr);
		return true;
	}
	return false;
}

uint64_t elf_end(const struct elf *elf)
{
	uint64_t end = 0;

	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		if (segment->load && segment->address + segment->size > end)
			end = segment->address + segment->size;
	}
	return end;
}

int elf_load(const struct elf *elf, const struct boot_file *file, struct ram *ram)
{
	int error = 0;

	for (unsigned i = 0; i < elf->count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		/* 32-bit code reaches low RAM only. */
		if (segment->load &&
		    (segment->address >= ram->low_size || !ram_at(ram, segment->address, segment->size)))
			return boot_file_too_big(file, segment->address, segment->size);
	}
	for (unsigned i = 0; i < elf->count && !error; i++) {
		const struct elf_segment *segment = &elf->segments[i];
		uint8_t *target = ram_at(ram, segment->address, segment->size);

		if (!segment->load)
			continue;
		error = boot_file_read(file, segment->offset, target, segment->file_size);
		/* After a reboot the RAM is not zero any more. */
		memset(target + segment->file_size, 0, segment->size - segment->file_size);
	}
	return error;
}
