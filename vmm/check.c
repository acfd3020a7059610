/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/check.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
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

/* A file that an option names, and whether the option's user may write to it or replace it. */
struct use {
	const char *option, *path;
	bool writes;
	struct stat status;   /* st_nlink is 0: there is none yet */
	char place[PATH_MAX]; /* then where it would be, without links; "": nowhere */
};

enum { USES_MAX = 4 + BOOT_INITRDS_MAX + RUN_DEVICES_MAX };

struct uses {
	struct use use[USES_MAX];
	unsigned count;
};

/* realpath() of glibc leaves there how far it got, which is all of it where only the file is missing. */
static void find_place(const char *path, char place[PATH_MAX])
{
	char *folder = strdup(path);
	struct stat status;

	if (!folder || stat(dirname(folder), &status) || (!realpath(path, place) && errno != ENOENT))
		place[0] = 0;
	free(folder);
}

/* Files that cannot be looked at are left to the code that opens them, which says why. */
static void add_use(struct uses *uses, const char *option, const char *path, bool writes)
{
	struct use *use = &uses->use[uses->count++];

	use->option = option;
	use->path = path;
	use->writes = writes;
	if (stat(path, &use->status)) {
		find_place(path, use->place);
		use->status.st_nlink = 0;
	}
}

static void collect_uses(struct uses *uses, const struct run_config *config)
{
	add_use(uses, "kernel", config->kernel, false);
	for (unsigned i = 0; i < config->initrd_count; i++)
		add_use(uses, "initrd", config->initrds[i].file, false);
	for (unsigned i = 0; i < config->device_count; i++)
		if (config->devices[i].kind == DEVICE_DISK && !config->devices[i].socket)
			add_use(uses, "disk", config->devices[i].name, !config->devices[i].readonly);
	if (config->memory.file)
		add_use(uses, "memory", config->memory.file, true);
	if (config->serial == SERIAL_FILE)
		add_use(uses, "serial", config->serial_path, true);
	if (config->control)
		add_use(uses, "control", config->control, true);
}

static bool same_file(const struct use *a, const struct use *b)
{
	if (a->status.st_nlink && b->status.st_nlink)
		return a->status.st_dev == b->status.st_dev && a->status.st_ino == b->status.st_ino;
	return !a->status.st_nlink && !b->status.st_nlink && a->place[0] && !strcmp(a->place, b->place);
}

static int compare_uses(const struct uses *uses)
{
	for (unsigned i = 0; i < uses->count; i++) {
		for (unsigned j = 0; j < i; j++) {
			const struct use *a = &uses->use[j], *b = &uses->use[i];

			if ((!a->writes && !b->writes) || !same_file(a, b))
				continue;
			vmm_log("%s: given to --%s and --%s, of which one may write", b->path, a->option, b->option);
			return -EBUSY;
		}
	}
	return 0;
}

/* One file for two options, where one of them would destroy what the other has there. */
static int check_files(const struct run_config *config)
{
	struct uses *uses = calloc(1, sizeof(*uses));
	int err = -ENOMEM;

	if (!uses) {
		vmm_log("no memory to compare file names");
		return err;
	}
	collect_uses(uses, config);
	err = compare_uses(uses);
	free(uses);
	return err;
}

/* A switch would take two cards with one address for one. */
static int check_mac(const struct run_config *config, unsigned index)
{
	const struct device_config *device = &config->devices[index];
	const uint8_t *mac = device->mac;

	for (unsigned i = 0; i < index && device->has_mac; i++) {
		if (config->devices[i].kind != DEVICE_NET || !config->devices[i].has_mac ||
		    memcmp(config->devices[i].mac, mac, sizeof(device->mac)))
			continue;
		vmm_log("mac=%02x:%02x:%02x:%02x:%02x:%02x: given to two network cards", mac[0], mac[1], mac[2], mac[3],
			mac[4], mac[5]);
		return -EBUSY;
	}
	return 0;
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
	return vhost_user_session_check(config_device_name(device->kind), device->socket);
}

static int check_device(const struct run_config *config, unsigned index)
{
	const struct device_config *device = &config->devices[index];
	int err = 0;

	if (device->socket)
		return check_back_end(config, index);
	if (device->kind == DEVICE_DISK)
		err = virtio_blk_check(
			&(struct virtio_disk_config){.path = device->name, .readonly = device->readonly});
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
	int err = check_files(config);

	for (unsigned i = 0; i < config->device_count && !err; i++)
		err = check_mac(config, i);
	for (unsigned i = 0; i < config->device_count && !err; i++)
		err = check_device(config, i);
	return err;
}
