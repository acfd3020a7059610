/* SPDX-License-Identifier: BSD-2-Clause */
/* Notes in ELF files: name, type, and a descriptor, each padded to four bytes (System V ABI, chapter 5). */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "vmm/boot/elf.h"

/* Longer names are nobody's that we look for; nor is a note behind so many others. */
enum { NAME_MAX_SIZE = 16, SCAN_MAX = 65536 };

static uint64_t padded(uint32_t size)
{
	return ((uint64_t)size + 3) & ~3ull;
}

/* *same: this is the note. Its header was read; what follows it lies inside the segment. */
static int compare_name(const struct boot_file *file, uint64_t at, const Elf32_Nhdr *note, const char *name, bool *same)
{
	char bytes[NAME_MAX_SIZE];
	int error;

	*same = false;
	if (note->n_namesz != strlen(name) + 1 || note->n_namesz > sizeof(bytes))
		return 0;
	error = boot_file_read(file, at, bytes, note->n_namesz);
	*same = !error && !memcmp(bytes, name, note->n_namesz);
	return error;
}

/* -ENOENT: not in this segment. Padding of the last note may be missing. */
static int find_in_segment(const struct elf_segment *segment, const struct boot_file *file, const char *name,
			   uint32_t type, uint64_t *descriptor, uint32_t *len)
{
	const uint64_t end = segment->offset + (segment->file_size < SCAN_MAX ? segment->file_size : SCAN_MAX);
	uint64_t at = segment->offset;

	while (at < end && end - at >= sizeof(Elf32_Nhdr)) {
		Elf32_Nhdr note;
		bool same;
		int error = boot_file_read(file, at, &note, sizeof(note));

		if (error)
			return error;
		at += sizeof(note);
		if (padded(note.n_namesz) > end - at || note.n_descsz > end - at - padded(note.n_namesz))
			return -ENOENT;
		error = compare_name(file, at, &note, name, &same);
		if (error)
			return error;
		at += padded(note.n_namesz);
		if (same && note.n_type == type) {
			*descriptor = at;
			*len = note.n_descsz;
			return 0;
		}
		at += padded(note.n_descsz);
	}
	return -ENOENT;
}

int elf_find_note(const struct elf *elf, const struct boot_file *file, const char *name, uint32_t type, void *value,
		  uint32_t size, uint32_t *len)
{
	for (unsigned i = 0; i < elf->count; i++) {
		uint64_t at;
		int error;

		if (elf->segments[i].load)
			continue;
		error = find_in_segment(&elf->segments[i], file, name, type, &at, len);
		if (!error)
			return boot_file_read(file, at, value, *len < size ? *len : size);
		if (error != -ENOENT)
			return error;
	}
	return -ENOENT;
}
