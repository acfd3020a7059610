/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/boot/initrd.h"

#include <errno.h>
#include <string.h>

#include "vmm/boot/file.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"
#include "vmm/util/log.h"

/* Linux finds archives that follow one another at such a boundary. */
enum { ALIGN = 4 };

int initrd_check(const struct kernel *kernel, const struct boot_config *config)
{
	for (unsigned i = 0; i < config->initrd_count; i++) {
		const struct boot_initrd *initrd = &config->initrds[i];
		struct boot_file file;
		int error;

		if (kernel->is_linux && initrd->arguments) {
			vmm_log("--initrd %s: '%s' would be arguments of a module, and Linux has no modules here",
				initrd->file, initrd->arguments);
			return -EINVAL;
		}
		error = boot_file_open(&file, initrd->file);
		if (error)
			return error;
		boot_file_close(&file);
	}
	return 0;
}

static uint64_t lowest_of(const struct kernel *kernel)
{
	return kernel->end > LAYOUT_LOW_END ? kernel->end : LAYOUT_LOW_END;
}

bool initrd_place(const struct kernel *kernel, const struct boot_room *room, uint64_t size, uint64_t *address)
{
	const uint64_t lowest = lowest_of(kernel), last = kernel->initrd_last;

	if (!kernel->is_linux)
		return room_lowest(room, lowest, last, size, address) ||
		       room_lowest(room, LAYOUT_LOW_END, last, size, address);
	if (room_highest(room, lowest, last, size, address))
		return true;
	return kernel->initrd_anywhere && (room_highest(room, lowest, UINT32_MAX, size, address) ||
					   room_highest(room, lowest, UINT64_MAX, size, address));
}

/* More memory helps only where the kernel's limit leaves as much. */
static int initrd_too_big(const struct kernel *kernel, const char *name, uint64_t size)
{
	const uint64_t lowest = lowest_of(kernel);
	const uint64_t last = kernel->initrd_last < LAYOUT_LOW_RAM_MAX ? kernel->initrd_last : LAYOUT_LOW_RAM_MAX - 1;
	const unsigned long long mib = boot_file_mib(size);

	if (!kernel->initrd_anywhere && (last < lowest || size - 1 > last - lowest))
		vmm_log("%s (%llu MiB) does not fit: this kernel takes it from 0x%llx to 0x%llx only", name, mib,
			(unsigned long long)lowest, (unsigned long long)last);
	else
		vmm_log("%s (%llu MiB) does not fit beside the kernel: give the guest more memory", name, mib);
	return -EFBIG;
}

static int initrd_take(const struct kernel *kernel, const struct ram *ram, struct boot_room *room, const char *name,
		       struct boot_module *module)
{
	/* One without contents has a place, too. */
	const uint64_t size = module->size ? module->size : 1;

	if (!initrd_place(kernel, room, size, &module->address) || !ram_at(ram, module->address, size))
		return initrd_too_big(kernel, name, size);
	room_take(room, module->address, size);
	return 0;
}

static uint64_t padded(uint64_t size)
{
	return (size + ALIGN - 1) / ALIGN * ALIGN;
}

/* -EFBIG: no 64 bits hold it. A file's size has 63, so a sum that wraps is seen at once. */
static int sum_sizes(const struct boot_file *files, unsigned count, uint64_t *sum)
{
	*sum = 0;
	for (unsigned i = 0; i < count; i++)
		if (__builtin_add_overflow(*sum, padded(files[i].size), sum))
			return -EFBIG;
	/* The last one needs nothing behind it. */
	*sum -= padded(files[count - 1].size) - files[count - 1].size;
	return 0;
}

/* One after the other, with zeros between them; all of it is RAM. */
static int read_all(const struct boot_file *files, unsigned count, uint8_t *target)
{
	int error = 0;

	for (unsigned i = 0; i < count && !error; i++) {
		const uint64_t size = files[i].size;

		error = boot_file_read(&files[i], 0, target, size);
		if (!error && i + 1 < count)
			memset(target + size, 0, padded(size) - size);
		target += padded(size);
	}
	return error;
}

static int load_one(const struct kernel *kernel, const struct boot_file *files, unsigned count, struct ram *ram,
		    struct boot_room *room, struct boot_facts *facts)
{
	struct boot_module *module = &facts->modules[0];
	const char *name = count == 1 ? files[0].path : "all initrds together";
	int error;

	*module = (struct boot_module){.file = files[0].path, .arguments = ""};
	if (sum_sizes(files, count, &module->size))
		return initrd_too_big(kernel, name, UINT64_MAX);
	if (!module->size)
		return 0;
	error = initrd_take(kernel, ram, room, name, module);
	if (!error)
		error = read_all(files, count, ram_at(ram, module->address, module->size));
	facts->module_count = 1;
	return error;
}

static int load_modules(const struct kernel *kernel, const struct boot_config *config, const struct boot_file *files,
			struct ram *ram, struct boot_room *room, struct boot_facts *facts)
{
	int error = 0;

	for (unsigned i = 0; i < config->initrd_count && !error; i++) {
		const char *arguments = config->initrds[i].arguments;
		struct boot_module *module = &facts->modules[facts->module_count++];

		*module = (struct boot_module){0, files[i].size, files[i].path, arguments ? arguments : ""};
		error = initrd_take(kernel, ram, room, files[i].path, module);
		if (!error)
			error = boot_file_read(&files[i], 0, ram_at(ram, module->address, module->size), module->size);
	}
	return error;
}

int initrd_load(const struct kernel *kernel, const struct boot_config *config, struct ram *ram, struct boot_room *room,
		struct boot_facts *facts)
{
	struct boot_file files[BOOT_INITRDS_MAX];
	unsigned opened = 0;
	int error = 0;

	while (opened < config->initrd_count && !error) {
		error = boot_file_open(&files[opened], config->initrds[opened].file);
		opened += !error;
	}
	if (!error && opened)
		error = kernel->is_linux ? load_one(kernel, files, opened, ram, room, facts)
					 : load_modules(kernel, config, files, ram, room, facts);
	while (opened)
		boot_file_close(&files[--opened]);
	return error;
}
