/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Kernel files. A small one that boots, of a kind that the input chooses, with bytes of it changed; or all of it from
 * the input. It boots with an entry point in RAM, or costs one line; a file that is no kernel leaves RAM untouched, and
 * no byte lies beside it.
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
static int fd;
static char path[32];

/* A heap block, so that the sanitizer watches its ends. */
static void make_world(void)
{
	ram.base = malloc(RAM_SIZE);
	memset(ram.base, FILL, RAM_SIZE);
	fd = memfd_create("kernel", MFD_CLOEXEC);
	CHECK(fd >= 0, "no file");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
}

static bool untouched(void)
{
	return ram.base[0] == FILL && !memcmp(ram.base, ram.base + 1, RAM_SIZE - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const struct boot_config config = {.kernel = path, .cmdline = "one two", .acpi_rsdp = LAYOUT_ACPI};
	struct tape tape = {bytes, size};
	struct vcpu_entry entry = {0};
	struct kernel_file file;

	if (!ram.base)
		make_world();
	kernel_file_draw(&tape, &file);
	CHECK(!ftruncate(fd, (off_t)file.size) && pwrite(fd, file.bytes, file.size, 0) == (ssize_t)file.size, "file");

	const unsigned lines = quiet_lines;
	const int err = boot_load(&ram, &config, &entry);

	CHECK(!err || err == -ENOEXEC || err == -EFBIG, "error %d", err);
	CHECK(quiet_lines - lines == (err ? 1 : 0), "%u lines, error %d", quiet_lines - lines, err);
	CHECK(err || ram_at(&ram, entry.rip, 1), "entry at 0x%llx", (unsigned long long)entry.rip);
	CHECK(err != -ENOEXEC || untouched(), "RAM has changed");
	if (err != -ENOEXEC)
		memset(ram.base, FILL, RAM_SIZE);
	return 0;
}
