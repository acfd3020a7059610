/* SPDX-License-Identifier: BSD-2-Clause */
/* The network device (virtio 1.2, section 5.1) whose queues vhost-net serves. */
#include <endian.h>
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/net/header.h"
#include "vmm/util/log.h"
#include "vmm/vhost/vhost.h"

#define BIT(feature) (1ull << VIRTIO_NET_F_##feature)

/*
 * Linux 6.9 and later spin in a receive queue, with its lock, as long as it has buffers for a part of a frame alone
 * (vhost_enable_notify() takes those for new ones), and each invalidation waits for that lock. A guest that maps each
 * buffer is late with new ones: so there is room for more of them than a burst of frames takes.
 */
enum { CLASS_NETWORK = 0x020000, QUEUE_SIZE = 1024, CONTROL_QUEUES = 1 };

/* Section 5.1.4.1: an MTU that the driver is told is at least this. */
enum { MTU_MIN = 68, MTU_MAX = 65535 };

static struct vhost_net *net_of(struct virtio_dev *dev)
{
	return (struct vhost_net *)((char *)dev - offsetof(struct vhost_net, dev));
}

static uint64_t net_features(struct virtio_dev *dev)
{
	const struct vhost_net *net = net_of(dev);
	uint64_t features = BIT(MAC) | BIT(STATUS) | (net->kernel_features & BIT(MRG_RXBUF)) |
			    net_offload_features(net->tap_features);

	if (net->mtu >= MTU_MIN && net->mtu <= MTU_MAX)
		features |= BIT(MTU);
	if (net->link_count > 1)
		features |= BIT(MQ) | BIT(CTRL_VQ);
	return features;
}

static void net_config_read(struct virtio_dev *dev, uint32_t offset, void *buffer, uint32_t len)
{
	const struct vhost_net *net = net_of(dev);
	struct virtio_net_config config = {
		.status = htole16(VIRTIO_NET_S_LINK_UP),
		.max_virtqueue_pairs = htole16((uint16_t)net->link_count),
		.mtu = htole16((uint16_t)net->mtu),
	};

	memcpy(config.mac, net->mac, sizeof(config.mac));
	if (offset < sizeof(config))
		memcpy(buffer, (char *)&config + offset, len < sizeof(config) - offset ? len : sizeof(config) - offset);
}

static void net_stop(struct virtio_dev *dev)
{
	struct vhost_net *net = net_of(dev);

	for (unsigned i = 0; i < net->link_count; i++)
		vhost_link_use(&net->links[i], false);
}

/* Once, when the device has its endpoint. */
static int open_links(struct vhost_net *net)
{
	int err = 0;

	for (unsigned i = 0; i < net->link_count && !err; i++)
		if (!net->links[i].iotlb)
			err = vhost_link_open(&net->links[i], net->push_maps);
	return err;
}

/* The only command: the monitor sees no frames. */
static int net_perform(struct virtio_dev *dev, const struct net_command *command)
{
	return command->kind == NET_SET_PAIRS ? vhost_links_use(net_of(dev), command->pairs) : -EINVAL;
}

static void net_start(struct virtio_dev *dev)
{
	static struct log_limit limit; /* the guest may start its driver as often as it likes */
	struct vhost_net *net = net_of(dev);

	net->features = net_settled(dev->driver_features);
	net_control_start(&net->control, net->features);
	/* The tap's user can take them away meanwhile. */
	if (tap_set_offloads(net->links[0].tap_fd, net_tap_offloads(net->features)) && vmm_log_may(&limit))
		vmm_log("%s: the tap refuses offloads that it had", dev->pci.name);
	if (open_links(net) || vhost_links_use(net, 1))
		virtio_fail(dev, "the kernel cannot start its queues");
}

static void net_kick(struct virtio_dev *dev, unsigned queue)
{
	if (!net_control_kick(&net_of(dev)->control, queue) && dev->queues[queue].handed_over)
		virtio_queue_signal(dev, queue);
}

static void net_reset(struct virtio_dev *dev)
{
	struct vhost_net *net = net_of(dev);

	net_control_stop(&net->control);
	net_stop(dev);
	tap_set_offloads(net->links[0].tap_fd, 0);
	virtio_reset_done(dev);
}

/* A device TLB is of use while ATS is on (PCI Express base 5.0, section 10.3): what is in it does not outlast that. */
static void net_ats_enabled(struct virtio_dev *dev, bool enabled)
{
	struct vhost_net *net = net_of(dev);

	(void)enabled;
	for (unsigned i = 0; i < net->link_count; i++)
		if (net->links[i].iotlb)
			viommu_vhost_restart(net->links[i].iotlb);
}

static unsigned net_drain(struct virtio_dev *dev, bool cancel)
{
	(void)cancel;
	net_stop(dev);
	return 0;
}

static bool net_iotlb_stats(struct virtio_dev *dev, struct pci_iotlb_stats *out)
{
	const struct vhost_net *net = net_of(dev);

	*out = (struct pci_iotlb_stats){.path = "vhost"};
	/* Before the driver has started it for the first time there is none. */
	for (unsigned i = 0; i < net->link_count && net->links[i].iotlb; i++) {
		struct viommu_vhost_stats stats = {.size = sizeof(struct viommu_vhost_stats)};

		viommu_vhost_stats_get(net->links[i].iotlb, &stats);
		out->misses += stats.misses;
		out->updates += stats.updates;
		out->invalidations += stats.invalidations;
	}
	return true;
}

static void net_free(struct vhost_net *net)
{
	tap_watch_fini(&net->tap_watch);
	for (unsigned i = 0; i < net->link_count; i++) {
		vhost_link_close(&net->links[i]);
		if (net->links[i].tap_fd >= 0)
			tap_close(&net->links[i].tap_fd, 1);
	}
	free(net);
}

static void net_destroy(struct virtio_dev *dev)
{
	struct vhost_net *net = net_of(dev);

	net_control_stop(&net->control);
	for (unsigned i = 0; i < net->link_count; i++)
		vhost_link_stop(&net->links[i]);
	virtio_fini(dev);
	net_free(net);
}

static const struct virtio_ops net_ops = {
	.device_id = VIRTIO_ID_NET,
	.class_code = CLASS_NETWORK,
	.queue_size = QUEUE_SIZE,
	.features = net_features,
	.config_read = net_config_read,
	.start = net_start,
	.kick = net_kick,
	.reset = net_reset,
	.failed = net_stop,
	.ats_enabled = net_ats_enabled,
	.drain = net_drain,
	.iotlb_stats = net_iotlb_stats,
	.destroy = net_destroy,
};

int vhost_net_check(const char *tap, unsigned queues)
{
	uint64_t features;
	int fd = vhost_open(tap, &features);

	if (fd < 0)
		return fd;
	close(fd);
	return virtio_net_check(tap, queues);
}

/* A connection with the kernel for each pair. */
static int net_open_kernel(struct vhost_net *net, const char *tap)
{
	for (unsigned i = 0; i < net->link_count; i++) {
		int fd = vhost_open(tap, &net->kernel_features);

		if (fd < 0)
			return fd;
		net->links[i].fd = fd;
	}
	return 0;
}

static int open_tap(struct vhost_net *net, const char *tap)
{
	int fds[TAP_MAX_QUEUES], err = tap_open(tap, net->link_count, fds);

	if (err)
		return err;
	for (unsigned i = 0; i < net->link_count; i++) {
		net->links[i].tap_fd = fds[i];
		if (i)
			tap_attach(fds[i], false);
	}
	net->tap_features = tap_offloads(fds[0]);
	net->mtu = tap_mtu(tap);
	return 0;
}

static int net_init(struct vhost_net *net, const struct virtio_env *env, const char *tap)
{
	int err = net_open_kernel(net, tap);

	if (!err)
		err = open_tap(net, tap);
	if (err)
		return err;
	err = virtio_init(&net->dev, &net_ops, (uint16_t)(VHOST_LINK_QUEUES * net->link_count + CONTROL_QUEUES), env);
	if (err) {
		vmm_log("net %s: %s", tap, strerror(-err));
		return err;
	}
	/* The kernel's queues go on then, and drop frames, as a wire that was cut does. */
	net->tap_watch = (struct tap_watch){.name = tap, .tap_fd = net->links[0].tap_fd, .loop = env->loop};
	tap_watch_init(&net->tap_watch);
	return 0;
}

int vhost_net_create(const struct virtio_env *env, const struct vhost_net_config *config, struct pci_dev **out)
{
	struct vhost_net *net = calloc(1, sizeof(*net) + config->queues * sizeof(net->links[0]));

	if (!net)
		return -ENOMEM;
	net->link_count = config->queues;
	net->push_maps = config->push_maps;
	net->poll = config->polled ? env->poll : POLLING_OFF;
	net->tap_watch.watch.fd = -1;
	net->dev.loop = env->loop;
	net_control_init(&net->control, &net->dev, net->link_count, net_perform);
	memcpy(net->mac, config->mac, sizeof(net->mac));
	for (unsigned i = 0; i < net->link_count; i++) {
		net->links[i] = (struct vhost_link){
			.net = net, .index = i, .tap_fd = -1, .fd = -1, .error = {{.fd = -1}, {.fd = -1}}};
		vhost_chains_init(&net->links[i]);
	}
	int err = net_init(net, env, config->tap);

	if (err) {
		net_free(net);
		return err;
	}
	*out = &net->dev.pci;
	return 0;
}
