/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/virtio/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/util/log.h"

static int refuse(const char *name, int error)
{
	if (error == ENODEV)
		vmm_log("net %s: no such interface; make it: ip tuntap add dev %s mode tap && ip link set %s up", name,
			name, name);
	else if (error == EPERM || error == EACCES)
		vmm_log("net %s: no permission; as root: ip tuntap add dev %s mode tap user $USER", name, name);
	else if (error == EBUSY)
		vmm_log("net %s: another program uses it", name);
	else if (error == ENOENT)
		vmm_log("net %s: /dev/net/tun is missing; as root: modprobe tun", name);
	else
		vmm_log("net %s: %s; it must be a tap without multi_queue: ip tuntap add dev %s mode tap", name,
			strerror(error), name);
	return -error;
}

static int configure(int fd, const char *name)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	int header = TAP_HEADER_SIZE;

	memcpy(request.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &request) || ioctl(fd, TUNSETVNETHDRSZ, &header) || ioctl(fd, TUNSETOFFLOAD, 0ul))
		return errno;
	return 0;
}

int tap_open(const char *name)
{
	int fd, error;

	/* TUNSETIFF would make a new interface, which nothing else is connected to. */
	if (!*name || strlen(name) >= IFNAMSIZ || !if_nametoindex(name))
		return refuse(name, ENODEV);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return refuse(name, errno);
	error = configure(fd, name);
	if (error) {
		close(fd);
		return refuse(name, error);
	}
	return fd;
}
