/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/check.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/config/config.h"
#include "vmm/util/log.h"
#include "vmm/vhost/vhost.h"
#include "vmm/vhost_user/session.h"
#include "vmm/virtio/virtio.h"

/* A tap that two cards share would be found busy only when the second is made. */
static int check_once(const struct run_config *config, unsigned index)
{
	const struct device_config *device = &config->devices[index];

	for (unsigned i = 0; i < index; i++) {
		if (config->devices[i].kind != DEVICE_NET || config->devices[i].socket ||
		    strcmp(config->devices[i].name, device->name))
			continue;
		vmm_log("net %s: given to two network cards", device->name);
		return -EBUSY;
	}
	return 0;
}

/* Two disks on one file: each would keep the other from it, but where both only read. */
static int check_disk(const struct run_config *config, unsigned index)
{
	const struct device_config *disk = &config->devices[index];
	struct stat mine, other;

	for (unsigned i = 0; i < index; i++) {
		if (config->devices[i].kind != DEVICE_DISK || config->devices[i].socket ||
		    (config->devices[i].readonly && disk->readonly))
			continue;
		if (stat(disk->name, &mine) || stat(config->devices[i].name, &other))
			continue; /* who opens it says so */
		if (mine.st_dev != other.st_dev || mine.st_ino != other.st_ino)
			continue;
		vmm_log("disk %s: given to two disks, of which one may write", disk->name);
		return -EBUSY;
	}
	return virtio_blk_check(&(struct virtio_disk_config){.path = disk->name, .readonly = disk->readonly});
}

static int check_back_end(const struct run_config *config, unsigned index)
{
	const struct device_config *device = &config->devices[index];

	for (unsigned i = 0; i < index; i++) {
		if (!config->devices[i].socket || strcmp(config->devices[i].socket, device->socket))
			continue;
		vmm_log("vhost-user=%s: given to two devices", device->socket);
		return -EBUSY;
	}
	return vhu_session_check(config_device_name(device->kind), device->socket);
}

static int check_device(const struct run_config *config, unsigned index)
{
	const struct device_config *device = &config->devices[index];
	int err = 0;

	if (device->socket)
		return check_back_end(config, index);
	if (device->kind == DEVICE_DISK)
		err = check_disk(config, index);
	if (device->kind == DEVICE_RNG)
		err = virtio_rng_check();
	if (device->kind == DEVICE_NET) {
		err = check_once(config, index);
		if (!err)
			err = device->vhost ? vhost_net_check(device->name, device->queues)
					    : virtio_net_check(device->name, device->queues);
	}
	return err;
}

int check_devices(const struct run_config *config)
{
	int err = 0;

	for (unsigned i = 0; i < config->device_count && !err; i++)
		err = check_device(config, i);
	return err;
}
