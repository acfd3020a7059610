/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel files, and initrds or modules with them. A small one that boots, of a kind that the input chooses, with bytes
 * of it changed; or all of it from the input. It boots with an entry point in RAM, or costs one line; a file that is no
 * kernel leaves RAM untouched, and no byte lies beside it. What a kernel that boots was given is in RAM.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/kernels.h"
#include "fuzz/quiet.h"
#include "vmm/boot/boot.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/ram.h"
#include "vmm/layout/layout.h"

enum { RAM_SIZE = 2 << 20, FILL = 0xa5 };

static struct ram ram = {.fd = -1, .size = RAM_SIZE, .low_size = RAM_SIZE};
static int fd, initrd_fd;
static char path[32], initrd_path[32];
static char nowhere[] = "/nowhere", arguments[] = "one=1 two";
static const char initrd_bytes[] = "what the initrd has, 31 bytes.";

/* A heap block, so that the sanitizer watches its ends. */
static void make_world(void)
{
	ram.base = malloc(RAM_SIZE);
	memset(ram.base, FILL, RAM_SIZE);
	fd = memfd_create("kernel", MFD_CLOEXEC);
	CHECK(fd >= 0, "no file");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
	CHECK(initrd_fd >= 0 && write(initrd_fd, initrd_bytes, sizeof(initrd_bytes)) == sizeof(initrd_bytes),
	      "no file");
	snprintf(initrd_path, sizeof(initrd_path), "/proc/self/fd/%d", initrd_fd);
}

/* By the last byte of the input. */
static unsigned draw_initrds(uint8_t shape, struct boot_initrd *initrds)
{
	const unsigned count = shape & 3;

	for (unsigned i = 0; i < count; i++)
		initrds[i] = (struct boot_initrd){.file = shape < 240 ? initrd_path : nowhere,
						  .arguments = shape & 4 ? arguments : NULL};
	return count;
}

/* Before there is any machine: says the same of the kernel, but not yet whether it fits. */
static void check_first(const struct boot_config *boot, bool missing)
{
	const unsigned lines = quiet_lines;
	bool is_linux;
	const int err = boot_check(boot, &is_linux);

	CHECK(!err || err == -ENOEXEC || err == -EINVAL || (missing && err == -ENOENT), "error %d", err);
	CHECK(quiet_lines - lines == (err ? 1 : 0), "%u lines, error %d", quiet_lines - lines, err);
}

static bool untouched(void)
{
	return ram.base[0] == FILL && !memcmp(ram.base, ram.base + 1, RAM_SIZE - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const uint8_t shape = size ? bytes[size - 1] : 0;
	struct boot_initrd initrds[BOOT_INITRDS_MAX];
	const struct boot_config config = {.kernel = path,
					   .initrds = initrds,
					   .initrd_count = draw_initrds(shape, initrds),
					   .cmdline = "one two",
					   .acpi_rsdp = LAYOUT_ACPI};
	const bool missing = config.initrd_count && shape >= 240;
	struct tape tape = {bytes, size};
	struct vcpu_entry entry = {0};
	struct kernel_file file;

	if (!ram.base)
		make_world();
	draw_initrds(shape, initrds); /* whose path is known now */
	kernel_file_draw(&tape, &file);
	CHECK(!ftruncate(fd, (off_t)file.size) && pwrite(fd, file.bytes, file.size, 0) == (ssize_t)file.size, "file");
	check_first(&config, missing);

	const unsigned lines = quiet_lines;
	const int err = boot_load(&ram, &config, &entry);

	CHECK(!err || err == -ENOEXEC || err == -EFBIG || (missing && err == -ENOENT), "error %d", err);
	CHECK(quiet_lines - lines == (err ? 1 : 0), "%u lines, error %d", quiet_lines - lines, err);
	CHECK(err || ram_at(&ram, entry.rip, 1), "entry at 0x%llx", (unsigned long long)entry.rip);
	CHECK(err || !config.initrd_count || memmem(ram.base, RAM_SIZE, initrd_bytes, sizeof(initrd_bytes)),
	      "the initrd is not there");
	CHECK(err != -ENOEXEC || untouched(), "RAM has changed");
	if (err != -ENOEXEC)
		memset(ram.base, FILL, RAM_SIZE);
	return 0;
}
