/* SPDX-License-Identifier: BSD-2-Clause */
/* /dev/vhost-net is opened, where it can be used at all. */
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/util/log.h"
#include "vmm/vhost/vhost.h"

#define ZERO_COPY "/sys/module/vhost_net/parameters/experimental_zcopytx"

/* With zero copy a frame's memory is in use until the frame is sent, wherever it waits, and no invalidation is told. */
static bool open_zero_copy(void)
{
	char value = '0';
	int fd = open(ZERO_COPY, O_RDONLY | O_CLOEXEC);
	bool on = fd >= 0 && read(fd, &value, 1) == 1 && value != '0' && value != 'N';

	if (fd >= 0)
		close(fd);
	return on;
}

static int open_refuse(const char *tap, int error)
{
	if (error == ENOENT || error == ENODEV)
		vmm_log("net %s: vhost=on needs /dev/vhost-net; as root: modprobe vhost_net", tap);
	else
		vmm_log("net %s: /dev/vhost-net: %s", tap, strerror(error));
	return -error;
}

int vhost_open(const char *tap, uint64_t *features)
{
	int fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return open_refuse(tap, errno);
	if (open_zero_copy()) {
		vmm_log("net %s: vhost_net uses zero copy, which keeps memory after the guest has unmapped it; "
			"modprobe -r vhost_net && modprobe vhost_net experimental_zcopytx=0",
			tap);
		close(fd);
		return -ENOTSUP;
	}
	if (ioctl(fd, VHOST_GET_FEATURES, features)) {
		int error = errno;

		close(fd);
		return open_refuse(tap, error);
	}
	if (!(*features >> VIRTIO_F_ACCESS_PLATFORM & 1)) {
		close(fd);
		return open_refuse(tap, ENOTSUP);
	}
	return fd;
}
