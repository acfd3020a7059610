/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux bzImage files (Linux 6.12, Documentation/arch/x86/boot.rst). The file is not trusted. */
#include "vmm/boot/bzimage.h"

#include <errno.h>
#include <string.h>

#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

enum {
	HEADER_OFFSET = 0x1f1,
	HEADER_JUMP = 0x201,      /* the byte that tells where the header ends */
	HEADER_JUMP_FROM = 0x202, /* counted from here */
	BOOT_FLAG = 0xaa55,
	VERSION_MIN = 0x020c, /* the first with xloadflags */
	SETUP_SECTORS_DEFAULT = 4,
	SECTOR = 512,
	PARAGRAPH = 16,
	ENTRY_64 = 0x200,
};

#define HEADER_MAGIC 0x53726448u /* "HdrS" */
#define LOWEST_ADDRESS 0x100000ull

/* The header is as long as its kernel says; what is beyond stays zero, as the protocol asks. */
static void cut_header(struct setup_header *header)
{
	const uint8_t jump = (uint8_t)(header->jump >> 8);
	const size_t used = HEADER_JUMP_FROM - HEADER_OFFSET + (size_t)jump;

	if (used < sizeof(*header))
		memset((uint8_t *)header + used, 0, sizeof(*header) - used);
}

static const char *check_header(const struct setup_header *header)
{
	if (header->boot_flag != BOOT_FLAG || header->header != HEADER_MAGIC)
		return "it is neither a Linux bzImage nor an ELF file";
	if (header->version < VERSION_MIN)
		return "its boot protocol is older than 2.12 (Linux 3.8)";
	if (!(header->loadflags & LOADED_HIGH))
		return "it wants to run below 1 MiB";
	if (header->pref_address % 4096 || header->pref_address < LOWEST_ADDRESS)
		return "its preferred address makes no sense";
	return NULL;
}

/* Where the kernel lies in the file; signatures may follow it, and the last paragraph may be incomplete. */
static const char *find_payload(struct bzimage *image, uint64_t file_size)
{
	const unsigned sectors = image->header.setup_sects ? image->header.setup_sects : SETUP_SECTORS_DEFAULT;
	const uint64_t stated = (uint64_t)image->header.syssize * PARAGRAPH;

	image->offset = (sectors + 1ull) * SECTOR;
	if (image->offset >= file_size || stated > file_size - image->offset + (PARAGRAPH - 1))
		return "it is cut off";
	image->size = file_size - image->offset;
	if (stated < image->size)
		image->size = stated;
	return image->size > ENTRY_64 ? NULL : "it is empty";
}

int bzimage_decode(struct bzimage *image, const struct boot_file *file)
{
	const char *wrong;
	int error;

	memset(image, 0, sizeof(*image));
	if (file->size < HEADER_OFFSET + sizeof(image->header))
		return boot_file_refuse(file, "it is too short for a kernel");
	error = boot_file_read(file, HEADER_OFFSET, &image->header, sizeof(image->header));
	if (error)
		return error;
	cut_header(&image->header);
	wrong = check_header(&image->header);
	if (!wrong)
		wrong = find_payload(image, file->size);
	if (wrong)
		return boot_file_refuse(file, wrong);
	image->address = image->header.pref_address;
	image->run_size = image->header.init_size > image->size ? image->header.init_size : image->size;
	image->is64 = image->header.xloadflags & XLF_KERNEL_64;
	image->entry = image->address + (image->is64 ? ENTRY_64 : 0);
	return 0;
}

int bzimage_load(const struct bzimage *image, const struct boot_file *file, struct ram *ram)
{
	uint8_t *target = NULL;

	if (image->address < ram->low_size)
		target = ram_at(ram, image->address, image->run_size);
	if (!target)
		return boot_file_too_big(file, image->address, image->run_size);
	return boot_file_read(file, image->offset, target, image->size);
}
