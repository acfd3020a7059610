/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/doctor.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/io_uring.h>
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/kvm/open.h"
#include "vmm/speed.h"
#include "vmm/util/options.h"

enum { DETAIL_MAX = 160 };

struct finding {
	const char *state; /* "ok", "slow", "no" */
	char detail[DETAIL_MAX];
	const char *hint; /* NULL: nothing to do */
};

__attribute__((format(printf, 4, 5))) static void conclude(struct finding *f, const char *state, const char *hint,
							   const char *format, ...)
{
	va_list args;

	f->state = state;
	f->hint = hint;
	va_start(args, format);
	vsnprintf(f->detail, sizeof(f->detail), format, args);
	va_end(args);
}

/* Open a device; on an error that is the finding. */
static int open_device(struct finding *f, const char *path, const char *if_missing)
{
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	const bool denied = errno == EACCES || errno == EPERM;

	if (fd < 0)
		conclude(f, "no", denied ? "run as root, or let your group open it" : if_missing, "%s: %s", path,
			 strerror(errno));
	return fd;
}

static void check_kvm(struct finding *f)
{
	const enum kvm_speed speed = kvm_measure_speed(f->detail, sizeof(f->detail));
	const int fd = kvm_open();

	f->state = speed == KVM_NATIVE || speed == KVM_BUSY ? "ok" : speed == KVM_SLOW ? "slow" : "no";
	f->hint = speed == KVM_NATIVE ? NULL
		  : speed == KVM_BUSY ? "guests start, but take their time"
				      : "run guests in the lab: lab/run";
	if (fd < 0)
		f->hint = kvm_open_hint(fd);
	else
		close(fd);
}

static void check_vhost_net(struct finding *f)
{
	const int fd = open_device(f, "/dev/vhost-net", "modprobe vhost_net");

	if (fd < 0)
		return;
	close(fd);
	conclude(f, "ok", NULL, "/dev/vhost-net opens");
}

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;

	if (!dir)
		return 0;
	for (const struct dirent *entry; (entry = readdir(dir));)
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

static void check_vfio(struct finding *f)
{
	const int fd = open_device(f, "/dev/vfio/vfio", "modprobe vfio-pci");
	const unsigned groups = count_entries("/sys/kernel/iommu_groups");

	if (fd < 0)
		return;
	if (ioctl(fd, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0)
		conclude(f, "no", "modprobe vfio_iommu_type1", "it lacks type 1 v2");
	else if (!groups)
		conclude(f, "no", "enable the IOMMU in the firmware and the kernel (intel_iommu=on)",
			 "this machine has no IOMMU groups");
	else
		conclude(f, "ok", NULL, "type 1 v2, %u IOMMU groups", groups);
	close(fd);
}

static void check_iommufd(struct finding *f)
{
	const int fd = open_device(f, "/dev/iommu", "modprobe iommufd, or a kernel with CONFIG_IOMMUFD");

	if (fd < 0)
		return;
	close(fd);
	conclude(f, "ok", NULL, "/dev/iommu opens");
}

static void check_tun(struct finding *f)
{
	const int fd = open_device(f, "/dev/net/tun", "modprobe tun");
	unsigned features = 0;

	if (fd < 0)
		return;
	if (ioctl(fd, TUNGETFEATURES, &features) || !(features & IFF_VNET_HDR))
		conclude(f, "no", "a newer kernel is needed", "it lacks IFF_VNET_HDR");
	else
		conclude(f, "ok", NULL, "with vnet headers%s", features & IFF_MULTI_QUEUE ? " and several queues" : "");
	close(fd);
}

/* "hugepages-2048kB" of /sys/kernel/mm/hugepages. */
static unsigned long free_hugepages(const char *name)
{
	char path[320];
	unsigned long count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/%s/free_hugepages", name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%lu", &count) != 1)
		count = 0;
	fclose(file);
	return count;
}

static void check_hugepages(struct finding *f)
{
	DIR *dir = opendir("/sys/kernel/mm/hugepages");
	size_t used = 0;

	conclude(f, "no", "sysctl vm.nr_hugepages=512", dir ? "none is free" : "this kernel has none");
	if (!dir)
		return;
	for (const struct dirent *entry; (entry = readdir(dir));) {
		unsigned long size;

		if (sscanf(entry->d_name, "hugepages-%lukB", &size) != 1 || !free_hugepages(entry->d_name))
			continue;
		f->state = "ok";
		f->hint = NULL;
		if (used < sizeof(f->detail))
			used += (size_t)snprintf(f->detail + used, sizeof(f->detail) - used, "%s%lu of %lu KiB free",
						 used ? ", " : "", free_hugepages(entry->d_name), size);
	}
	closedir(dir);
}

static void check_io_uring(struct finding *f)
{
	struct io_uring_params params = {0};
	const int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (fd >= 0) {
		close(fd);
		conclude(f, "ok", NULL, "features 0x%x", params.features);
	} else if (errno == EPERM || errno == EACCES) {
		conclude(f, "no", "sysctl kernel.io_uring_disabled=0, or a container profile that allows it", "%s",
			 strerror(errno));
	} else {
		conclude(f, "no", "a kernel with CONFIG_IO_URING is needed", "%s", strerror(errno));
	}
}

static const struct {
	const char *name;
	void (*check)(struct finding *f);
} checks[] = {
	{"kvm", check_kvm}, {"vhost-net", check_vhost_net}, {"vfio", check_vfio},         {"iommufd", check_iommufd},
	{"tun", check_tun}, {"hugepages", check_hugepages}, {"io_uring", check_io_uring},
};

static void print_json_string(const char *text)
{
	putchar('"');
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			putchar('\\');
		if ((unsigned char)*text >= ' ')
			putchar(*text);
	}
	putchar('"');
}

static void print_json(const char *name, const struct finding *f)
{
	printf("{\"check\": \"%s\", \"state\": \"%s\", \"detail\": ", name, f->state);
	print_json_string(f->detail);
	if (f->hint) {
		printf(", \"hint\": ");
		print_json_string(f->hint);
	}
	printf("}\n");
}

static void print_text(const char *name, const struct finding *f)
{
	printf("%s: %s: %s%s%s\n", name, f->state, f->detail, f->hint ? "; " : "", f->hint ? f->hint : "");
}

static void look(bool json)
{
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		struct finding finding = {.state = "no"};

		checks[i].check(&finding);
		(json ? print_json : print_text)(checks[i].name, &finding);
		fflush(stdout); /* some take their time */
	}
}

int doctor_main(int argc, char **argv)
{
	enum { JSON, HELP, STATUS_USAGE = 2 };
	static const struct option_spec specs[] = {
		[JSON] = {"json", OPTION_ALONE, false, false},
		[HELP] = {"help", OPTION_ALONE, false, false},
	};
	struct options words = {.command = "viommu doctor", .specs = specs, .count = 2, .argc = argc, .argv = argv};
	bool given[2] = {false};
	const char *word;
	int option;

	while ((option = options_next(&words, &word)) >= 0)
		given[option] = true;
	if (option == OPTIONS_WORD)
		options_unexpected(&words, word);
	if (option != OPTIONS_END)
		return STATUS_USAGE;
	if (given[HELP])
		puts("usage: viommu doctor [--json]\n\n"
		     "A line for each thing that viommu can use: NAME: ok|slow|no: DETAIL\n\n"
		     "  --json   one JSON object a line\n  --help   this text");
	else
		look(given[JSON]);
	return 0;
}
