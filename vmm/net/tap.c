/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/net/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/net/header.h" /* TUN_F_USO4 */
#include "vmm/util/log.h"

static int tap_refuse(const char *name, unsigned queues, int error)
{
	const char *multi = queues > 1 ? " multi_queue" : "";

	if (error == EILSEQ)
		vmm_log("net %s: no interface can have this name: 1 to %d bytes are wanted, without '/', ':' and "
			"blanks",
			name, IFNAMSIZ - 1);
	else if (error == ENODEV)
		vmm_log("net %s: no such interface; make it: ip tuntap add dev %s mode tap%s && ip link set %s up",
			name, name, multi, name);
	else if (error == EPERM || error == EACCES)
		vmm_log("net %s: no permission; as root: ip tuntap add dev %s mode tap%s user $USER", name, name,
			multi);
	else if (error == EBUSY)
		vmm_log("net %s: another program uses it", name);
	else if (error == ENOENT)
		vmm_log("net %s: /dev/net/tun is missing; as root: modprobe tun", name);
	else if (error == EINVAL && queues > 1)
		vmm_log("net %s: queues=%u needs a tap with multi_queue: ip link delete %s && ip tuntap add dev %s "
			"mode tap "
			"multi_queue",
			name, queues, name, name);
	else
		vmm_log("net %s: %s; it must be a tap: ip tuntap add dev %s mode tap%s", name, strerror(error), name,
			multi);
	return -error;
}

static int tap_join(int fd, const char *name, short flags)
{
	struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | flags)};

	memcpy(request.ifr_name, name, strlen(name));
	return ioctl(fd, TUNSETIFF, &request) ? errno : 0;
}

/* One queue is to be had of a tap with multi_queue, too; the flag has to be the interface's. */
static int tap_configure(int fd, const char *name, unsigned queues)
{
	int header = TAP_HEADER_SIZE, error = tap_join(fd, name, queues > 1 ? IFF_MULTI_QUEUE : 0);

	if (error == EINVAL && queues == 1 && !tap_join(fd, name, IFF_MULTI_QUEUE))
		error = 0;
	if (!error && (ioctl(fd, TUNSETVNETHDRSZ, &header) || ioctl(fd, TUNSETOFFLOAD, 0ul)))
		error = errno;
	return error;
}

static int open_queue(const char *name, unsigned queues, int *out)
{
	int error, fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno;
	error = tap_configure(fd, name, queues);
	if (error)
		close(fd);
	else
		*out = fd;
	return error;
}

int tap_open(const char *name, unsigned queues, int *fds)
{
	/* As the kernel sees names. */
	if (!*name || strlen(name) >= IFNAMSIZ || !strcmp(name, ".") || !strcmp(name, "..") ||
	    name[strcspn(name, "/: \t\n\v\f\r")])
		return tap_refuse(name, queues, EILSEQ);
	/* TUNSETIFF would make a new interface, which nothing else is connected to. */
	if (!if_nametoindex(name))
		return tap_refuse(name, queues, ENODEV);
	for (unsigned i = 0; i < queues; i++) {
		int error = open_queue(name, queues, &fds[i]);

		if (error) {
			tap_close(fds, i);
			return tap_refuse(name, queues, error);
		}
	}
	return 0;
}

void tap_close(const int *fds, unsigned queues)
{
	while (queues-- > 0)
		close(fds[queues]);
}

unsigned tap_offloads(int fd)
{
	/* The kernel refuses what it does not know, and says not what. USO came last, with Linux 6.2. */
	static const unsigned sets[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO | TUN_F_USO4 | TUN_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_UFO,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
		TUN_F_CSUM,
	};
	unsigned found = 0;

	for (unsigned i = 0; i < sizeof(sets) / sizeof(sets[0]) && !found; i++)
		if (!tap_set_offloads(fd, sets[i]))
			found = sets[i];
	tap_set_offloads(fd, 0);
	return found;
}

int tap_set_offloads(int fd, unsigned offloads)
{
	return ioctl(fd, TUNSETOFFLOAD, (unsigned long)offloads) ? -errno : 0;
}

int tap_attach(int fd, bool attach)
{
	struct ifreq request = {.ifr_flags = attach ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE};

	return ioctl(fd, TUNSETQUEUE, &request) ? -errno : 0;
}

unsigned tap_mtu(const char *name)
{
	struct ifreq request = {.ifr_flags = 0};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool known;

	if (fd < 0)
		return 0;
	memcpy(request.ifr_name, name, strlen(name));
	known = !ioctl(fd, SIOCGIFMTU, &request) && request.ifr_mtu > 0;
	close(fd);
	return known ? (unsigned)request.ifr_mtu : 0;
}
