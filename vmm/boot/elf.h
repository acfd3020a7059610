/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside vmm/boot: executables in ELF (System V ABI, chapters 4 and 5), of 32 or 64 bits, for x86. A file is decoded as
 * a whole before anything of it reaches guest memory.
 */
#ifndef VMM_ELF_H
#define VMM_ELF_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/boot/file.h"

struct ram;

enum { ELF_SEGMENTS_MAX = 64 };

/* Part of the file. Ranges do not wrap, and the file part lies inside the file. */
struct elf_segment {
	bool load;                  /* goes to memory; else it is notes */
	uint64_t offset, file_size; /* in the file */
	uint64_t vaddr, address;    /* where the code thinks it is, and where it goes */
	uint64_t size;              /* in memory; at least file_size, the rest is zero */
};

struct elf {
	bool is64;
	uint64_t entry; /* as the header has it */
	unsigned count;
	struct elf_segment segments[ELF_SEGMENTS_MAX];
};

/* *is_elf: the file begins like ELF. Errors: those of boot_file_read(). */
int elf_recognise(const struct boot_file *file, bool *is_elf);

/* Read and check the headers. Errors: -ENOEXEC (logged), those of boot_file_read(). */
int elf_decode(struct elf *elf, const struct boot_file *file);

/* Where the entry point lies in memory: some files state it as code thinks it is. false: in no segment. */
bool elf_physical_entry(const struct elf *elf, uint64_t *entry);

/* The first address behind all segments. */
uint64_t elf_end(const struct elf *elf);

/* Put the segments into RAM. Errors: -EFBIG (no RAM there; logged; nothing changed), those of boot_file_read(). */
int elf_load(const struct elf *elf, const struct boot_file *file, struct ram *ram);

/* The descriptor of a note, up to size bytes of it in value and its whole length in len. -ENOENT: no such note. */
int elf_find_note(const struct elf *elf, const struct boot_file *file, const char *name, uint32_t type, void *value,
		  uint32_t size, uint32_t *len);

#endif
