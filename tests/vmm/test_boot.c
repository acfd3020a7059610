/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel files: what is recognised, where it goes, what the vCPU starts with; and damaged files, which give one line
 * and an error and never more. The log is taken here, so that lines can be counted.
 */
#include "tests/support/test.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/boot/boot.h"
#include "vmm/boot/initrd.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"
#include "vmm/util/log.h"

enum { RAM_SIZE = 4 << 20, KERNEL = 0x100000, VIRTUAL = 0x40000000, CODE_SIZE = 16, BSS_SIZE = 64 };
enum { BZIMAGE_HEADER = 0x1f1, BZIMAGE_KERNEL = 1024, BZIMAGE_SIZE = 5 * 512 + BZIMAGE_KERNEL };

static unsigned log_lines;
static char log_text[512];

void vmm_log(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(log_text, sizeof(log_text), format, args);
	va_end(args);
	log_lines++;
}

struct note {
	Elf32_Nhdr header;
	char name[4];
	uint32_t value[2];
};

/* Small files that boot, all alike: code of CODE_SIZE bytes and as much of zeros again. */
struct image32 {
	Elf32_Ehdr header;
	Elf32_Phdr segments[2];
	uint32_t multiboot[3];
	struct note notes[2];
	uint8_t code[CODE_SIZE];
};

struct image64 {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	struct note notes[2];
	uint8_t code[CODE_SIZE];
};

static void fill_notes(struct note notes[2], const char *system)
{
	notes[0] = (struct note){{4, 8, 6}, "Xen", {0}};
	strncpy((char *)notes[0].value, system, sizeof(notes[0].value));
	notes[1] = (struct note){{4, 8, 18}, "Xen", {KERNEL + 4, 0}};
}

static struct image32 make_multiboot(void)
{
	struct image32 image = {
		.header =
			{
				.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
				.e_type = ET_EXEC,
				.e_machine = EM_386,
				.e_version = EV_CURRENT,
				.e_entry = VIRTUAL + 8,
				.e_phoff = offsetof(struct image32, segments),
				.e_phentsize = sizeof(Elf32_Phdr),
				.e_phnum = 2,
			},
		.multiboot = {0x1badb002, 3, -(0x1badb002u + 3)},
	};

	image.segments[0] = (Elf32_Phdr){
		.p_type = PT_LOAD,
		.p_offset = offsetof(struct image32, code),
		.p_vaddr = VIRTUAL,
		.p_paddr = KERNEL,
		.p_filesz = CODE_SIZE,
		.p_memsz = CODE_SIZE + BSS_SIZE,
	};
	image.segments[1] = (Elf32_Phdr){
		.p_type = PT_NOTE,
		.p_offset = offsetof(struct image32, notes),
		.p_filesz = sizeof(image.notes),
	};
	fill_notes(image.notes, "other");
	memset(image.code, 0x90, sizeof(image.code));
	return image;
}

static struct image32 make_pvh32(void)
{
	struct image32 image = make_multiboot();

	memset(image.multiboot, 0, sizeof(image.multiboot));
	return image;
}

static struct image64 make_pvh64(void)
{
	struct image64 image = {
		.header =
			{
				.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
				.e_type = ET_EXEC,
				.e_machine = EM_X86_64,
				.e_version = EV_CURRENT,
				.e_entry = VIRTUAL,
				.e_phoff = offsetof(struct image64, segments),
				.e_phentsize = sizeof(Elf64_Phdr),
				.e_phnum = 2,
			},
	};

	image.segments[0] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = offsetof(struct image64, code),
		.p_vaddr = VIRTUAL,
		.p_paddr = KERNEL,
		.p_filesz = CODE_SIZE,
		.p_memsz = CODE_SIZE + BSS_SIZE,
	};
	image.segments[1] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = offsetof(struct image64, notes),
		.p_filesz = sizeof(image.notes),
	};
	fill_notes(image.notes, "linux");
	memset(image.code, 0x90, sizeof(image.code));
	return image;
}

/* A file with these bytes, and a path to it. */
static int make_file(const void *bytes, size_t size, char path[64])
{
	const int fd = memfd_create("kernel", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), (ssize_t)size);
	snprintf(path, 64, "/proc/self/fd/%d", fd);
	return fd;
}

static int try_check(const void *bytes, size_t size, bool *is_linux)
{
	char path[64];
	const int fd = make_file(bytes, size, path);
	const struct boot_config config = {.kernel = path, .cmdline = ""};
	const int error = boot_check(&config, is_linux);

	close(fd);
	return error;
}

static int try_load(const void *bytes, size_t size, struct ram *ram, struct vcpu_entry *entry)
{
	char path[64];
	const int fd = make_file(bytes, size, path);
	const struct boot_config config = {.kernel = path, .cmdline = "one two", .acpi_rsdp = LAYOUT_ACPI};
	const int error = boot_load(ram, &config, entry);

	close(fd);
	return error;
}

/* With initrds of these contents, "" being an empty file; `arguments` may be NULL, or hold NULL. */
static int try_initrds(const void *bytes, size_t size, struct ram *ram, unsigned count, const char *const *contents,
		       const char *const *arguments, struct vcpu_entry *entry)
{
	char path[64], paths[BOOT_INITRDS_MAX][64];
	struct boot_initrd initrds[BOOT_INITRDS_MAX];
	const int fd = make_file(bytes, size, path);
	const struct boot_config config = {.kernel = path, .initrds = initrds, .initrd_count = count, .cmdline = "one"};
	int fds[BOOT_INITRDS_MAX], error;
	bool is_linux;

	for (unsigned i = 0; i < count; i++) {
		fds[i] = make_file(contents[i], strlen(contents[i]), paths[i]);
		initrds[i] = (struct boot_initrd){paths[i], arguments ? (char *)arguments[i] : NULL};
	}
	error = boot_check(&config, &is_linux);
	if (!error)
		error = boot_load(ram, &config, entry);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	close(fd);
	return error;
}

static uint32_t word_at(const struct ram *ram, uint64_t address)
{
	uint32_t word;

	memcpy(&word, ram->base + address, sizeof(word));
	return word;
}

static const char *text_at(const struct ram *ram, uint64_t address)
{
	return (const char *)ram->base + address;
}

/* It is refused, in one line with these words. */
static void assert_refused(const void *bytes, size_t size, const char *words)
{
	bool is_linux;

	log_lines = 0;
	assert_int_equal(try_check(bytes, size, &is_linux), -ENOEXEC);
	assert_int_equal(log_lines, 1);
	if (!strstr(log_text, words))
		fail_msg("'%s' does not say '%s'", log_text, words);
}

static void make_dirty_ram(struct ram *ram)
{
	assert_int_equal(ram_init(ram, RAM_SIZE), 0);
	memset(ram->base, 0xa5, RAM_SIZE);
}

static void assert_loaded(const struct ram *ram)
{
	static const uint8_t zeros[BSS_SIZE];
	uint8_t code[CODE_SIZE];

	memset(code, 0x90, sizeof(code));
	assert_memory_equal(ram->base + KERNEL, code, CODE_SIZE);
	assert_memory_equal(ram->base + KERNEL + CODE_SIZE, zeros, BSS_SIZE);
	assert_int_equal(ram->base[KERNEL + CODE_SIZE + BSS_SIZE], 0xa5);
}

/* Where Multiboot has its command line: the fifth word. */
static const char *multiboot_cmdline(const struct ram *ram, const struct vcpu_entry *entry)
{
	return text_at(ram, word_at(ram, entry->rbx + 16));
}

static void test_multiboot_starts_in_flat_mode(void **state)
{
	const struct image32 image = make_multiboot();
	struct vcpu_entry entry;
	struct ram ram;
	bool is_linux = true;

	(void)state;
	make_dirty_ram(&ram);
	assert_int_equal(try_check(&image, sizeof(image), &is_linux), 0);
	assert_false(is_linux);
	assert_int_equal(try_load(&image, sizeof(image), &ram, &entry), 0);
	assert_loaded(&ram);
	assert_true(entry.flat32);
	assert_int_equal(entry.rip, KERNEL + 8);
	assert_int_equal(entry.rax, 0x2badb002);
	/* Flags: memory, command line, modules, map, loader's name. */
	assert_int_equal(word_at(&ram, entry.rbx), 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	/* Kernels skip the first word, as other loaders put the image's name there. */
	assert_ptr_equal(strstr(multiboot_cmdline(&ram, &entry), "/proc/self/fd/"), multiboot_cmdline(&ram, &entry));
	assert_string_equal(strchr(multiboot_cmdline(&ram, &entry), ' '), " one two");
	ram_fini(&ram);
}

static void test_pvh_starts_in_flat_mode(void **state)
{
	const struct image32 narrow = make_pvh32();
	const struct image64 wide = make_pvh64();
	struct vcpu_entry entry;
	struct ram ram;
	bool is_linux;

	(void)state;
	make_dirty_ram(&ram);
	assert_int_equal(try_check(&narrow, sizeof(narrow), &is_linux), 0);
	assert_false(is_linux);
	assert_int_equal(try_check(&wide, sizeof(wide), &is_linux), 0);
	assert_true(is_linux);
	assert_int_equal(try_load(&wide, sizeof(wide), &ram, &entry), 0);
	assert_loaded(&ram);
	assert_true(entry.flat32);
	assert_int_equal(entry.rip, KERNEL + 4);
	assert_int_equal(word_at(&ram, entry.rbx), 0x336ec578);
	assert_string_equal(text_at(&ram, word_at(&ram, entry.rbx + 24)), "one two");
	ram_fini(&ram);
}

static const char *const contents[] = {"a module", "", "another one"};
static const char *const strings[] = {NULL, "of=three", "with its own words"};

/* Each on a page of its own behind the kernel, in order, as other loaders have them; an empty one, too. */
static void test_multiboot_modules_have_strings(void **state)
{
	const struct image32 image = make_multiboot();
	uint64_t end = KERNEL + CODE_SIZE + BSS_SIZE;
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_dirty_ram(&ram);
	assert_int_equal(try_initrds(&image, sizeof(image), &ram, 3, contents, strings, &entry), 0);
	assert_loaded(&ram);
	assert_int_equal(word_at(&ram, entry.rbx + 20), 3);
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t module = word_at(&ram, entry.rbx + 24) + i * 16ull;
		const uint32_t start = word_at(&ram, module);
		const char *string = text_at(&ram, word_at(&ram, module + 8));

		assert_true(start >= end && start % 4096 == 0);
		end = word_at(&ram, module + 4);
		assert_int_equal(end - start, strlen(contents[i]));
		assert_memory_equal(ram.base + start, contents[i], end - start);
		assert_ptr_equal(strstr(string, "/proc/self/fd/"), string);
		if (strings[i])
			assert_string_equal(strchr(string, ' ') + 1, strings[i]);
		else
			assert_null(strchr(string, ' '));
	}
	ram_fini(&ram);
}

/* A PVH kernel that is no Linux, likewise; a module's string is its arguments. */
static void test_pvh_modules_have_strings(void **state)
{
	const struct image32 image = make_pvh32();
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_dirty_ram(&ram);
	assert_int_equal(try_initrds(&image, sizeof(image), &ram, 3, contents, strings, &entry), 0);
	assert_int_equal(word_at(&ram, entry.rbx + 12), 3);
	for (unsigned i = 0; i < 3; i++) {
		const uint64_t module = word_at(&ram, entry.rbx + 16) + i * 32ull;
		const uint32_t string = word_at(&ram, module + 16);

		assert_int_equal(word_at(&ram, module + 8), strlen(contents[i]));
		assert_memory_equal(ram.base + word_at(&ram, module), contents[i], strlen(contents[i]));
		if (strings[i])
			assert_string_equal(text_at(&ram, string), strings[i]);
		else
			assert_int_equal(string, 0);
	}
	ram_fini(&ram);
}

static void test_refused_multiboot(void **state)
{
	struct image32 image = make_multiboot();

	(void)state;
	image.multiboot[1] = 4;
	image.multiboot[2] = -(0x1badb002u + 4);
	assert_refused(&image, sizeof(image), "video mode");
	image.multiboot[1] = 8;
	image.multiboot[2] = -(0x1badb002u + 8);
	assert_refused(&image, sizeof(image), "unknown");
	image.multiboot[1] = 1 << 16;
	image.multiboot[2] = -(0x1badb002u + (1 << 16));
	assert_refused(&image, sizeof(image), "address fields");
	image.multiboot[2]++;
	memset(image.notes, 0, sizeof(image.notes));
	assert_refused(&image, sizeof(image), "checksum");
	memset(image.multiboot, 0, sizeof(image.multiboot));
	assert_refused(&image, sizeof(image), "neither");
	image = make_multiboot();
	image.header.e_entry = VIRTUAL - 1;
	assert_refused(&image, sizeof(image), "entry point");
}

static void test_refused_elf(void **state)
{
	struct image32 image = make_multiboot();
	struct image64 wide = make_pvh64();

	(void)state;
	image.header.e_machine = EM_ARM;
	assert_refused(&image, sizeof(image), "not for x86");
	image = make_multiboot();
	image.header.e_type = ET_REL;
	assert_refused(&image, sizeof(image), "executable");
	image = make_multiboot();
	image.header.e_phnum = 65;
	assert_refused(&image, sizeof(image), "64 program headers");
	image = make_multiboot();
	image.header.e_phoff = UINT32_MAX;
	assert_refused(&image, sizeof(image), "cut off");
	image = make_multiboot();
	image.segments[0].p_type = PT_NULL;
	assert_refused(&image, sizeof(image), "nothing of it");
	wide.segments[0].p_paddr = UINT64_MAX - 8;
	assert_refused(&wide, sizeof(wide), "makes no sense");
	wide = make_pvh64();
	wide.notes[1].value[0] = KERNEL - 1;
	assert_refused(&wide, sizeof(wide), "entry point");
}

static void test_refused_places(void **state)
{
	static const uint32_t places[] = {LAYOUT_EBDA - CODE_SIZE - BSS_SIZE + 1, LAYOUT_EBDA, LAYOUT_ACPI,
					  LAYOUT_RESET_VECTOR, 0xfffff};
	struct image32 image = make_multiboot();

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		image.segments[0].p_paddr = places[i];
		assert_refused(&image, sizeof(image), "639 KiB");
	}
}

/* A segment of these bytes in all, of which CODE_SIZE are in the file. */
static void load_at(struct image32 *image, uint32_t address, uint32_t size)
{
	image->segments[0].p_paddr = address;
	image->segments[0].p_memsz = size;
}

/* All of it is where the file says, and nothing that the kernel is told lies over it: what would, would not be zero. */
static void assert_untouched(const struct ram *ram, uint32_t address, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		if (ram->base[address + i] != (i < CODE_SIZE ? 0x90 : 0))
			fail_msg("0x%x of a kernel at 0x%x is written over", i, address);
}

/* Wherever the kernel lies, what it is told lies beside it. */
static void test_boot_information_goes_where_the_kernel_leaves_room(void **state)
{
	static const struct {
		uint32_t address, size;
	} places[] = {
		{LAYOUT_GDT - 8, 256},
		{LAYOUT_BOOT_PARAMS, 0x2000},
		{LAYOUT_BOOT_PARAMS - 8, 64},
		{LAYOUT_PAGE_TABLES, 0x6000},
		{0xffff, 0x20000},
		{LAYOUT_CMDLINE + 2040, 64},
		{0, LAYOUT_EBDA},
		{0x1000, LAYOUT_EBDA - 0x1000},
		{LAYOUT_BOOT_PARAMS, LAYOUT_EBDA - LAYOUT_BOOT_PARAMS},
		{0x100000, RAM_SIZE - 0x100000},
	};
	struct image32 image = make_multiboot(), pvh = make_pvh32();
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_dirty_ram(&ram);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		load_at(&image, places[i].address, places[i].size);
		assert_int_equal(try_load(&image, sizeof(image), &ram, &entry), 0);
		assert_untouched(&ram, places[i].address, places[i].size);
		assert_string_equal(strchr(multiboot_cmdline(&ram, &entry), ' '), " one two");
		load_at(&pvh, places[i].address, places[i].size);
		pvh.notes[1].value[0] = places[i].address + 4;
		assert_int_equal(try_load(&pvh, sizeof(pvh), &ram, &entry), 0);
		assert_untouched(&ram, places[i].address, places[i].size);
		assert_string_equal(text_at(&ram, word_at(&ram, entry.rbx + 24)), "one two");
	}
	ram_fini(&ram);
}

/* There is none where two segments take everything. */
static void test_no_room_for_boot_information(void **state)
{
	struct image32 image = make_multiboot();
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_dirty_ram(&ram);
	load_at(&image, 0, LAYOUT_EBDA);
	image.segments[1] = image.segments[0];
	image.segments[1].p_paddr = 0x100000;
	image.segments[1].p_memsz = RAM_SIZE - 0x100000;
	log_lines = 0;
	assert_int_equal(try_load(&image, sizeof(image), &ram, &entry), -EFBIG);
	assert_int_equal(log_lines, 1);
	assert_non_null(strstr(log_text, "no room"));
	ram_fini(&ram);
}

static void test_kernel_beyond_ram(void **state)
{
	static const struct {
		uint32_t address, size;
		const char *line;
	} places[] = {
		{RAM_SIZE - CODE_SIZE - BSS_SIZE + 1, CODE_SIZE + BSS_SIZE, "needs 1 MiB at 0x3fff"},
		{RAM_SIZE, 1 << 20, "needs 1 MiB at 0x400000, give the guest more memory"},
		{RAM_SIZE, (1 << 20) + 1, "needs 2 MiB at 0x400000, give the guest more memory"},
		{0xc0000000 - (1 << 20), 1 << 20, "needs 1 MiB at 0xbff00000, give the guest more memory"},
		{0xc0000000 - (1 << 20), (1 << 20) + 1, "at 0xbff00000, and kernels lie below 0xc0000000"},
		{0xc0000000, CODE_SIZE + BSS_SIZE, "at 0xc0000000, and kernels lie below 0xc0000000"},
		{0xfffffff0 - 128, CODE_SIZE + BSS_SIZE, "and kernels lie below 0xc0000000"},
	};
	struct image32 image = make_multiboot();
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_dirty_ram(&ram);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		image.segments[0].p_paddr = places[i].address;
		image.segments[0].p_memsz = places[i].size;
		log_lines = 0;
		assert_int_equal(try_load(&image, sizeof(image), &ram, &entry), -EFBIG);
		assert_int_equal(log_lines, 1);
		assert_non_null(strstr(log_text, places[i].line));
	}
	ram_fini(&ram);
}

static void test_what_is_no_kernel(void **state)
{
	static const uint8_t zeros[4096];
	bool is_linux;

	(void)state;
	assert_refused("", 0, "too short");
	assert_refused("#!/bin/sh\n", 10, "too short");
	assert_refused("\177ELF", 4, "cut off");
	assert_refused(zeros, sizeof(zeros), "neither");
	log_lines = 0;
	assert_int_equal(boot_check(&(struct boot_config){.kernel = "/nonexistent/kernel"}, &is_linux), -ENOENT);
	assert_int_equal(boot_check(&(struct boot_config){.kernel = "/"}, &is_linux), -EINVAL);
	assert_int_equal(log_lines, 2);
}

/* The smallest bzImage: five sectors of set-up, and a kernel behind them. */
static struct setup_header make_header(void)
{
	return (struct setup_header){
		.setup_sects = 4,
		.syssize = BZIMAGE_KERNEL / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = 0x7fffffff,
		.cmdline_size = 255,
		.xloadflags = XLF_KERNEL_64,
		.pref_address = KERNEL,
		.init_size = 4 * BZIMAGE_KERNEL,
	};
}

static void make_bzimage_of(uint8_t bytes[BZIMAGE_SIZE], const struct setup_header *header)
{
	memset(bytes, 0x90, BZIMAGE_SIZE);
	memcpy(bytes + BZIMAGE_HEADER, header, sizeof(*header));
}

static void make_bzimage(uint8_t bytes[BZIMAGE_SIZE])
{
	const struct setup_header header = make_header();

	make_bzimage_of(bytes, &header);
}

static void test_bzimage_starts_in_long_mode(void **state)
{
	uint8_t bytes[BZIMAGE_SIZE];
	struct vcpu_entry entry;
	struct ram ram;
	bool is_linux = false;

	(void)state;
	make_bzimage(bytes);
	make_dirty_ram(&ram);
	assert_int_equal(try_check(bytes, sizeof(bytes), &is_linux), 0);
	assert_true(is_linux);
	assert_int_equal(try_load(bytes, sizeof(bytes), &ram, &entry), 0);
	assert_false(entry.flat32);
	assert_int_equal(entry.rip, KERNEL + 0x200);
	assert_int_equal(entry.rsi, LAYOUT_BOOT_PARAMS);
	assert_string_equal(text_at(&ram, LAYOUT_CMDLINE), "one two");
	ram_fini(&ram);
}

/* boot.rst, 32-bit boot protocol: at the beginning of the kernel, RSI points to the parameters, RBX is 0. */
static void test_bzimage_without_64_bits_starts_in_flat_mode(void **state)
{
	struct setup_header header = make_header();
	uint8_t bytes[BZIMAGE_SIZE];
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	header.xloadflags = 0;
	make_bzimage_of(bytes, &header);
	make_dirty_ram(&ram);
	assert_int_equal(try_load(bytes, sizeof(bytes), &ram, &entry), 0);
	assert_true(entry.flat32);
	assert_int_equal(entry.rip, KERNEL);
	assert_int_equal(entry.rsi, LAYOUT_BOOT_PARAMS);
	assert_int_equal(entry.rbx, 0);
	assert_int_equal(entry.gdt, LAYOUT_GDT);
	assert_true(*(uint64_t *)(ram.base + LAYOUT_GDT + 0x10) == 0x00cf9b000000ffff);
	assert_int_equal(((struct boot_params *)(ram.base + LAYOUT_BOOT_PARAMS))->hdr.code32_start, KERNEL);
	ram_fini(&ram);
}

static const struct boot_params *params_of(const struct ram *ram)
{
	return (const struct boot_params *)(ram->base + LAYOUT_BOOT_PARAMS);
}

/* Archives begin at multiples of four, with zeros between them. */
static void assert_one_initrd(const struct ram *ram, uint64_t address, uint64_t size)
{
	static const char wanted[] = "abcde\0\0\0fgh";

	assert_int_equal(size, sizeof(wanted) - 1);
	assert_int_equal(address, RAM_SIZE - 4096);
	assert_memory_equal(ram->base + address, wanted, size);
	assert_int_equal(ram->base[address + size], 0xa5);
}

static void test_initrds_of_linux_are_one(void **state)
{
	static const char *const parts[] = {"abcde", "", "fgh"};
	const struct image64 pvh = make_pvh64();
	uint8_t bytes[BZIMAGE_SIZE];
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_bzimage(bytes);
	make_dirty_ram(&ram);
	assert_int_equal(try_initrds(bytes, sizeof(bytes), &ram, 3, parts, NULL, &entry), 0);
	assert_one_initrd(&ram, params_of(&ram)->hdr.ramdisk_image, params_of(&ram)->hdr.ramdisk_size);
	memset(ram.base, 0xa5, RAM_SIZE);
	assert_int_equal(try_initrds(&pvh, sizeof(pvh), &ram, 3, parts, NULL, &entry), 0);
	assert_int_equal(word_at(&ram, entry.rbx + 12), 1);

	const uint64_t module = word_at(&ram, entry.rbx + 16);

	assert_one_initrd(&ram, word_at(&ram, module), word_at(&ram, module + 8));
	ram_fini(&ram);
}

/* The last one begins where RAM ends. */
static void test_an_empty_initrd_at_the_end_of_ram(void **state)
{
	char page[4097];
	const char *const parts[] = {page, ""};
	uint8_t bytes[BZIMAGE_SIZE];
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	memset(page, 'x', sizeof(page) - 1);
	page[4096] = 0;
	make_bzimage(bytes);
	make_dirty_ram(&ram);
	assert_int_equal(try_initrds(bytes, sizeof(bytes), &ram, 2, parts, NULL, &entry), 0);
	assert_int_equal(params_of(&ram)->hdr.ramdisk_image, RAM_SIZE - 4096);
	assert_int_equal(params_of(&ram)->hdr.ramdisk_size, 4096);
	assert_memory_equal(ram.base + RAM_SIZE - 4096, page, 4096);
	ram_fini(&ram);
}

static void test_linux_takes_no_arguments_of_an_initrd(void **state)
{
	static const char *const parts[] = {"abc", "def"};
	static const char *const arguments[] = {NULL, "quiet"};
	const struct image64 pvh = make_pvh64();
	uint8_t bytes[BZIMAGE_SIZE];
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_bzimage(bytes);
	make_dirty_ram(&ram);
	log_lines = 0;
	assert_int_equal(try_initrds(bytes, sizeof(bytes), &ram, 2, parts, arguments, &entry), -EINVAL);
	assert_int_equal(log_lines, 1);
	assert_non_null(strstr(log_text, "'quiet'"));
	assert_int_equal(try_initrds(&pvh, sizeof(pvh), &ram, 2, parts, arguments, &entry), -EINVAL);
	assert_int_equal(log_lines, 2);
	ram_fini(&ram);
}

/* What is beyond initrd_addr_max is for a kernel that says so; then 64 bits say where. All low memory is the kernel's.
 */
static void test_initrd_above_4_gib(void **state)
{
	static const char *const parts[] = {"above"};
	struct setup_header header = make_header();
	uint8_t bytes[BZIMAGE_SIZE];
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	header.init_size = (uint32_t)(LAYOUT_LOW_RAM_MAX - KERNEL);
	make_bzimage_of(bytes, &header);
	assert_int_equal(ram_init(&ram, LAYOUT_LOW_RAM_MAX + (1 << 20)), 0);
	log_lines = 0;
	assert_int_equal(try_initrds(bytes, sizeof(bytes), &ram, 1, parts, NULL, &entry), -EFBIG);
	assert_int_equal(log_lines, 1);
	assert_non_null(strstr(log_text, "0x7fffffff only"));
	header.xloadflags |= XLF_CAN_BE_LOADED_ABOVE_4G;
	make_bzimage_of(bytes, &header);
	assert_int_equal(try_initrds(bytes, sizeof(bytes), &ram, 1, parts, NULL, &entry), 0);
	assert_int_equal(params_of(&ram)->hdr.ramdisk_image, (1 << 20) - 4096);
	assert_int_equal(params_of(&ram)->ext_ramdisk_image, 1);
	assert_int_equal(params_of(&ram)->hdr.ramdisk_size, 5);
	assert_int_equal(params_of(&ram)->ext_ramdisk_size, 0);
	assert_memory_equal(ram.base + ram.size - 4096, parts[0], 5);
	ram_fini(&ram);
}

#define GIB (1ull << 30)

/* A kernel at 16 MiB that needs 64 MiB, as Linux has it, with so much memory in all. */
static uint64_t place(bool anywhere, uint64_t memory, uint64_t size)
{
	const struct kernel kernel = {
		.kind = KERNEL_BZIMAGE,
		.is_linux = true,
		.end = 80 << 20,
		.initrd_last = 0x7fffffff,
		.initrd_anywhere = anywhere,
		.bzimage = {.address = 16 << 20, .run_size = 64 << 20},
	};
	const uint64_t low = memory < LAYOUT_LOW_RAM_MAX ? memory : LAYOUT_LOW_RAM_MAX;
	const struct ram ram = {.size = memory, .low_size = low, .high_size = memory - low};
	struct boot_room room;
	uint64_t address;

	room_init(&room, &ram);
	kernel_take_room(&kernel, &room);
	return initrd_place(&kernel, &room, size, &address) ? address : 0;
}

static void test_places_of_an_initrd(void **state)
{
	(void)state;
	assert_true(place(false, GIB, 4097) == GIB - 8192);
	assert_true(place(false, 4 * GIB, 1 * GIB) == 1 * GIB);
	assert_true(place(false, 8 * GIB, 2 * GIB) == 0);
	assert_true(place(true, 8 * GIB, 1 * GIB) == 1 * GIB);
	/* Between 2 and 3 GiB there is RAM, too. */
	assert_true(place(true, 8 * GIB, 2 * GIB) == 1 * GIB);
	assert_true(place(true, 8 * GIB, 3 * GIB) == 6 * GIB);
	assert_true(place(true, 8 * GIB, 5 * GIB) == 4 * GIB);
	assert_true(place(true, 8 * GIB, 5 * GIB + 1) == 0);
	assert_true(place(true, 8 * GIB, UINT64_MAX) == 0);
	assert_true(place(true, 2 * GIB, 2 * GIB - (80 << 20)) == 80 << 20);
	assert_true(place(true, 2 * GIB, 2 * GIB - (80 << 20) + 1) == 0);
}

/* More memory is asked for only where it helps. A sparse file: its pages are never read. */
static void test_the_line_about_an_initrd_that_is_too_big(void **state)
{
	uint8_t bytes[BZIMAGE_SIZE];
	char kernel[64], big[64];
	struct boot_initrd initrd = {.file = big};
	const struct boot_config config = {.kernel = kernel, .initrds = &initrd, .initrd_count = 1, .cmdline = ""};
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_bzimage(bytes);
	const int kernel_fd = make_file(bytes, sizeof(bytes), kernel), big_fd = make_file("", 0, big);

	make_dirty_ram(&ram);
	assert_int_equal(ftruncate(big_fd, 4 << 20), 0);
	assert_int_equal(boot_load(&ram, &config, &entry), -EFBIG);
	assert_non_null(strstr(log_text, "(4 MiB) does not fit beside the kernel: give the guest more memory"));
	assert_int_equal(ftruncate(big_fd, 3ll << 30), 0);
	assert_int_equal(boot_load(&ram, &config, &entry), -EFBIG);
	assert_non_null(
		strstr(log_text, "(3072 MiB) does not fit: this kernel takes it from 0x101000 to 0x7fffffff only"));
	ram_fini(&ram);
	close(kernel_fd);
	close(big_fd);
}

/* Against the definition, for ranges that are taken at random: the place is free, and there is no better one. */
static void test_room_is_the_lowest_and_the_highest(void **state)
{
	enum { PAGES = 64, PAGE = 4096 };
	const struct ram ram = {.size = PAGES * PAGE, .low_size = PAGES * PAGE};
	uint32_t random = 1;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		struct boot_room room = {0};
		uint64_t taken = 0, low = 0, high = 0;

		for (unsigned i = 0; i < round % 20; i++) {
			random = random * 1664525 + 1013904223;
			const unsigned first = random >> 8 & 63, count = 1 + (random >> 16 & 3);

			/* Not always on page boundaries. */
			room_take(&room, first * PAGE + (random >> 24), count * PAGE - (random >> 24));
			for (unsigned page = first; page < first + count && page < PAGES; page++)
				taken |= 1ull << page;
		}
		const unsigned pages = 1 + round % 7;
		int lowest = -1, highest = -1;

		for (unsigned page = 0; page + pages <= PAGES; page++) {
			if (taken >> page & ((1ull << pages) - 1))
				continue;
			lowest = lowest < 0 ? (int)page : lowest;
			highest = (int)page;
		}
		assert_int_equal(room_lowest(&room, 0, ram.size - 1, pages * PAGE - 5, &low), lowest >= 0);
		assert_int_equal(room_highest(&room, 0, ram.size - 1, pages * PAGE - 5, &high), highest >= 0);
		assert_true(lowest < 0 || (low == (uint64_t)lowest * PAGE && high == (uint64_t)highest * PAGE));
	}
}

/* All or nothing: it boots, or there is an error in one line. */
static void load_damaged(const void *bytes, size_t size, struct ram *ram)
{
	struct vcpu_entry entry;
	int error;

	log_lines = 0;
	error = try_load(bytes, size, ram, &entry);
	assert_true(!error || error == -ENOEXEC || error == -EFBIG);
	assert_int_equal(log_lines, error ? 1 : 0);
}

/* Cut off at every length, and with every bit of first..size - 1 turned over. */
static void damage(const uint8_t *bytes, size_t first, size_t size, size_t whole)
{
	uint8_t copy[BZIMAGE_SIZE];
	struct ram ram;

	assert_true(whole <= sizeof(copy));
	memcpy(copy, bytes, whole);
	assert_int_equal(ram_init(&ram, RAM_SIZE), 0);
	for (size_t cut = 0; cut <= whole; cut++)
		load_damaged(copy, cut, &ram);
	for (size_t bit = 8 * first; bit < 8 * size; bit++) {
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		load_damaged(copy, whole, &ram);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ram_fini(&ram);
}

static void test_damaged_files(void **state)
{
	const struct image32 multiboot = make_multiboot(), narrow = make_pvh32();
	const struct image64 wide = make_pvh64();

	uint8_t bzimage[BZIMAGE_SIZE];

	(void)state;
	make_bzimage(bzimage);
	damage((const uint8_t *)&multiboot, 0, sizeof(multiboot), sizeof(multiboot));
	damage((const uint8_t *)&narrow, 0, sizeof(narrow), sizeof(narrow));
	damage((const uint8_t *)&wide, 0, sizeof(wide), sizeof(wide));
	damage(bzimage, BZIMAGE_HEADER, BZIMAGE_HEADER + sizeof(struct setup_header), sizeof(bzimage));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_multiboot_starts_in_flat_mode),
		cmocka_unit_test(test_pvh_starts_in_flat_mode),
		cmocka_unit_test(test_multiboot_modules_have_strings),
		cmocka_unit_test(test_pvh_modules_have_strings),
		cmocka_unit_test(test_refused_multiboot),
		cmocka_unit_test(test_refused_elf),
		cmocka_unit_test(test_refused_places),
		cmocka_unit_test(test_boot_information_goes_where_the_kernel_leaves_room),
		cmocka_unit_test(test_no_room_for_boot_information),
		cmocka_unit_test(test_kernel_beyond_ram),
		cmocka_unit_test(test_what_is_no_kernel),
		cmocka_unit_test(test_bzimage_starts_in_long_mode),
		cmocka_unit_test(test_bzimage_without_64_bits_starts_in_flat_mode),
		cmocka_unit_test(test_initrds_of_linux_are_one),
		cmocka_unit_test(test_an_empty_initrd_at_the_end_of_ram),
		cmocka_unit_test(test_linux_takes_no_arguments_of_an_initrd),
		cmocka_unit_test(test_initrd_above_4_gib),
		cmocka_unit_test(test_places_of_an_initrd),
		cmocka_unit_test(test_the_line_about_an_initrd_that_is_too_big),
		cmocka_unit_test(test_room_is_the_lowest_and_the_highest),
		cmocka_unit_test(test_damaged_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
