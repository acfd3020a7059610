/* SPDX-License-Identifier: BSD-2-Clause */
#include "vfio.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int failed(const char *what)
{
	int err = errno ? errno : EINVAL;

	fprintf(stderr, "vfio: %s: %s\n", what, strerror(err));
	return -err;
}

static int open_container(struct vfio *vfio)
{
	vfio->container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	if (vfio->container < 0)
		return failed("/dev/vfio/vfio");
	errno = 0;
	if (ioctl(vfio->container, VFIO_GET_API_VERSION) != VFIO_API_VERSION ||
	    ioctl(vfio->container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) != 1)
		return failed("the kernel has no type 1 IOMMU");
	return 0;
}

static int open_group(struct vfio *vfio, const char *name)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	char path[PATH_MAX], target[PATH_MAX], *number;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group", name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return failed(path);
	target[n] = '\0';
	number = strrchr(target, '/');
	snprintf(path, sizeof(path), "/dev/vfio/%.32s", number ? number + 1 : target);
	vfio->group = open(path, O_RDWR | O_CLOEXEC);
	if (vfio->group < 0 || ioctl(vfio->group, VFIO_GROUP_GET_STATUS, &status))
		return failed(path);
	errno = 0;
	return status.flags & VFIO_GROUP_FLAGS_VIABLE ? 0 : failed("another device of the group has a kernel driver");
}

static int set_bus_master(const struct vfio *vfio)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_CONFIG_REGION_INDEX};
	const uint16_t want = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	uint16_t command;

	if (ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &info))
		return failed("configuration space");
	if (pread(vfio->device, &command, sizeof(command), (off_t)info.offset + PCI_COMMAND) != sizeof(command))
		return failed("reading the command register");
	command |= want;
	if (pwrite(vfio->device, &command, sizeof(command), (off_t)info.offset + PCI_COMMAND) != sizeof(command))
		return failed("writing the command register");
	return 0;
}

static int find_bar0(struct vfio *vfio)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = VFIO_PCI_BAR0_REGION_INDEX};

	if (ioctl(vfio->device, VFIO_DEVICE_GET_REGION_INFO, &info))
		return failed("BAR 0");
	vfio->bar0_offset = info.offset;
	vfio->bar0_size = info.size;
	return 0;
}

int vfio_open(struct vfio *vfio, const char *name)
{
	int err;

	memset(vfio, 0, sizeof(*vfio));
	err = open_container(vfio);
	if (!err)
		err = open_group(vfio, name);
	if (err)
		return err;
	if (ioctl(vfio->group, VFIO_GROUP_SET_CONTAINER, &vfio->container))
		return failed("putting the group into the container");
	if (ioctl(vfio->container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		return failed("choosing the type 1 IOMMU");
	vfio->device = ioctl(vfio->group, VFIO_GROUP_GET_DEVICE_FD, name);
	if (vfio->device < 0)
		return failed(name);
	err = set_bus_master(vfio);
	return err ? err : find_bar0(vfio);
}

int vfio_map(const struct vfio *vfio, void *memory, uint64_t size, uint64_t iova, uint32_t prot)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = prot,
		.vaddr = (uintptr_t)memory,
		.iova = iova,
		.size = size,
	};

	return ioctl(vfio->container, VFIO_IOMMU_MAP_DMA, &map) ? failed("map") : 0;
}

int vfio_unmap(const struct vfio *vfio, uint64_t size, uint64_t iova)
{
	struct vfio_iommu_type1_dma_unmap unmap = {.argsz = sizeof(unmap), .iova = iova, .size = size};

	if (ioctl(vfio->container, VFIO_IOMMU_UNMAP_DMA, &unmap))
		return failed("unmap");
	errno = 0;
	return unmap.size == size ? 0 : failed("unmap did not reach all of the range");
}
