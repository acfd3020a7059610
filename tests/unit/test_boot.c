/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel files: what is recognised, where it goes, what the vCPU starts with; and damaged files, which give one line and an
 * error and never more. The log is taken here, so that lines can be counted.
 */
#include "tests/test.h"

#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/boot/boot.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout.h"
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
	const int error = boot_check(path, NULL, is_linux);

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
	assert_string_equal((char *)ram->base + LAYOUT_CMDLINE, "one two");
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
	assert_int_equal(*(uint32_t *)(ram.base + entry.rbx), 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
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
	assert_int_equal(*(uint32_t *)(ram.base + entry.rbx), 0x336ec578);
	ram_fini(&ram);
}

static void test_module_lies_above_the_kernel(void **state)
{
	const struct image32 image = make_multiboot();
	const char text[] = "a module";
	char kernel[64], module[64];
	const int kernel_fd = make_file(&image, sizeof(image), kernel);
	const int module_fd = make_file(text, sizeof(text), module);
	const struct boot_config config = {.kernel = kernel, .initrd = module, .cmdline = "one two"};
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_dirty_ram(&ram);
	assert_int_equal(boot_load(&ram, &config, &entry), 0);

	const uint32_t *info = (const uint32_t *)(ram.base + entry.rbx);
	const uint32_t *list = (const uint32_t *)(ram.base + info[6]);

	assert_int_equal(info[5], 1);
	assert_int_equal(list[0], RAM_SIZE - 4096);
	assert_int_equal(list[1], list[0] + sizeof(text));
	assert_string_equal((char *)ram.base + list[0], text);
	ram_fini(&ram);
	close(kernel_fd);
	close(module_fd);
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
	static const uint32_t places[] = {
		LAYOUT_GDT,  LAYOUT_BOOT_PARAMS - 8, LAYOUT_PAGE_TABLES, LAYOUT_CMDLINE + 2047, LAYOUT_EBDA,
		LAYOUT_ACPI, LAYOUT_RESET_VECTOR};
	struct image32 image = make_multiboot();

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		image.segments[0].p_paddr = places[i];
		assert_refused(&image, sizeof(image), "used for booting");
	}
}

static void test_kernel_beyond_ram(void **state)
{
	static const uint32_t places[] = {RAM_SIZE - CODE_SIZE - BSS_SIZE + 1, RAM_SIZE, 0xc0000000, 0xfffffff0 - 128};
	struct image32 image = make_multiboot();
	struct vcpu_entry entry;
	struct ram ram;

	(void)state;
	make_dirty_ram(&ram);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		image.segments[0].p_paddr = places[i];
		log_lines = 0;
		assert_int_equal(try_load(&image, sizeof(image), &ram, &entry), -EFBIG);
		assert_int_equal(log_lines, 1);
		assert_non_null(strstr(log_text, "more memory"));
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
	assert_int_equal(boot_check("/nonexistent/kernel", NULL, &is_linux), -ENOENT);
	assert_int_equal(boot_check("/", NULL, &is_linux), -EINVAL);
	assert_int_equal(log_lines, 2);
}

/* The smallest bzImage: five sectors of set-up, and a kernel behind them. */
static void make_bzimage(uint8_t bytes[BZIMAGE_SIZE])
{
	struct setup_header header = {
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

	memset(bytes, 0x90, BZIMAGE_SIZE);
	memcpy(bytes + BZIMAGE_HEADER, &header, sizeof(header));
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
	ram_fini(&ram);
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
		cmocka_unit_test(test_module_lies_above_the_kernel),
		cmocka_unit_test(test_refused_multiboot),
		cmocka_unit_test(test_refused_elf),
		cmocka_unit_test(test_refused_places),
		cmocka_unit_test(test_kernel_beyond_ram),
		cmocka_unit_test(test_what_is_no_kernel),
		cmocka_unit_test(test_bzimage_starts_in_long_mode),
		cmocka_unit_test(test_damaged_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
