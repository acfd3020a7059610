/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/vhost_user/device.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <viommu/event.h>

#include "vmm/util/log.h"

/* At the machine's end, from when it is asked to be quick until the connection is cut. */
enum { CUT_MS = 2000, MS_PER_S = 1000, NS_PER_MS = 1000000 };

static void on_err(void *opaque, uint32_t events)
{
	struct vhost_user_device *device = opaque;

	(void)events;
	if (!viommu_event_take(device->err_fd))
		virtio_fail(&device->dev, "its back end finds a ring broken");
}

static int open_event(struct loop *loop, struct loop_watch *watch, int *out)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), ret;

	if (fd < 0)
		return -errno;
	watch->fd = fd;
	ret = loop_add(loop, watch, EPOLLIN);
	if (ret) {
		close(fd);
		return ret;
	}
	*out = fd;
	return 0;
}

static void close_err(struct vhost_user_device *device, struct loop *loop)
{
	loop_remove(loop, &device->err_watch);
	close(device->err_fd);
}

bool vhost_user_device_wants(void *opaque, struct viommu_iova iova, unsigned access)
{
	struct vhost_user_device *device = opaque;

	for (unsigned i = 0; i < device->given; i++)
		if (virtio_queue_miss_is_fault(&device->dev, i, iova, access))
			return true;
	return false;
}

/* This connection ends as well: the driver can start the device anew with the next back end. */
static void back_end_broken(struct virtio_dev *dev)
{
	virtio_fail(dev, "its back end broke the rules of a queue");
	vhost_user_session_cut(&vhost_user_device_of(dev)->session, "the back end broke the rules of a queue");
}

/*
 * A back end that gets copies needs no translations: it is not told of the guest's IOMMU. Requests that one had when it
 * was lost go to the next one, and may be performed twice; the driver sees each of them complete once.
 */
static int device_isolate(struct vhost_user_device *device, const struct shadow_config *shadow)
{
	int err = isolation_create(&device->dev, device->config.queues, shadow, back_end_broken, &device->isolate);

	device->config.iommu = false;
	device->config.exact = false;
	device->config.write_implies_read = false;
	return err;
}

int vhost_user_device_init(struct vhost_user_device *device, const struct virtio_ops *ops, uint16_t queues,
			   const struct virtio_env *env, const struct vhost_user_config *config,
			   const struct vhost_user_session_ops *session, const struct shadow_config *shadow)
{
	struct virtio_dev *dev = &device->dev;
	int ret;

	device->session.path = config->socket;
	device->session.loop = env->loop;
	device->session.ops = session;
	device->session.opaque = device;
	device->config.iommu = config->iommu;
	device->config.push_maps = config->push_maps;
	device->config.shared_table = !config->messages;
	device->config.write_implies_read = true; /* DPDK's */
	device->err_watch = (struct loop_watch){.ready = on_err, .opaque = device};
	ret = open_event(env->loop, &device->err_watch, &device->err_fd);
	if (!ret) {
		ret = virtio_init(dev, ops, queues, env);
		if (ret)
			close_err(device, env->loop);
	}
	if (!ret && config->isolate) {
		ret = device_isolate(device, shadow);
		if (ret)
			vhost_user_device_fini(device);
	}
	if (ret)
		vmm_log("%s vhost-user=%s: %s", device->session.what, config->socket, strerror(-ret));
	return ret;
}

void vhost_user_device_fini(struct vhost_user_device *device)
{
	if (device->connected)
		vhost_user_session_fini(&device->session);
	isolation_destroy(device->isolate);
	close_err(device, device->dev.loop);
	virtio_fini(&device->dev);
}

int vhost_user_device_placed(struct virtio_dev *dev)
{
	struct vhost_user_device *device = vhost_user_device_of(dev);
	const uint64_t rings = 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX;
	struct viommu_vhu_region region;
	int ret;

	if (device->isolate) {
		region = isolation_region(device->isolate);
		device->config.regions = &region;
		device->config.region_count = 1;
	} else {
		device->config.endpoint = dev->pci.endpoint;
	}
	ret = vhost_user_session_init(&device->session, &device->config);
	if (ret)
		return ret;
	device->connected = true;
	device->features = viommu_vhu_features(device->session.front);
	/* A feature of the rings that the back end lacks is not the device's either. */
	if (!device->isolate)
		dev->ring_features = rings & device->features;
	if (device->features >> VIRTIO_F_VERSION_1 & 1)
		return 0;
	vmm_log("%s vhost-user=%s: its back end knows legacy devices only", device->session.what, device->session.path);
	return -ENOTSUP;
}

static int take_ring(struct vhost_user_device *device, unsigned queue, bool on, struct viommu_vhu_ring *ring)
{
	struct virtio_dev *dev = &device->dev;
	const struct vq *vq = &dev->queues[queue].vq;
	int call = device->isolate ? -1 : virtio_queue_call_fd(dev, queue);

	*ring = (struct viommu_vhu_ring){
		.size = vq->size,
		.desc = {vq->desc},
		.driver = {vq->avail},
		.device = {vq->used},
		.kick = dev->queues[queue].kick_fd,
		.call = call,
		.err = device->err_fd,
		.enabled = on,
	};
	if (device->isolate)
		isolation_ring(device->isolate, queue, ring);
	return ring->call < 0 ? call : 0;
}

/* Those that the driver has enabled, from the first on: how many there are, or -errno. */
static int take_rings(struct vhost_user_device *device, unsigned count, unsigned on, struct viommu_vhu_ring *rings)
{
	unsigned taken = 0;
	int err = 0;

	for (; taken < count && device->dev.queues[taken].vq.enabled && !err; taken++)
		err = take_ring(device, taken, taken < on, &rings[taken]);
	return err ? err : (int)taken;
}

/* The features that the back end is to use: of those that the driver has accepted. False: it lacks some by now. */
static bool choose_features(const struct vhost_user_device *device, uint64_t *features)
{
	const uint64_t platform = 1ull << VIRTIO_F_ACCESS_PLATFORM;
	/* Shadow queues have neither (vmm/isolate/shadow.h). */
	const uint64_t rings = 1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_RING_F_EVENT_IDX;
	const uint64_t left_out = device->isolate ? platform | rings : platform;
	const uint64_t wanted = device->dev.driver_features & device->features & ~left_out;

	*features = wanted | (device->config.iommu ? platform : 0);
	return !viommu_vhu_ready(device->session.front) || !(wanted & ~viommu_vhu_features(device->session.front));
}

void vhost_user_device_start(struct vhost_user_device *device, unsigned count, unsigned on)
{
	struct viommu_vhu_ring rings[VIRTIO_MAX_QUEUES];
	int taken = take_rings(device, count, on, rings);
	const char *why = NULL;
	uint64_t features;

	if (taken < 0)
		why = strerror(-taken);
	else if (!choose_features(device, &features))
		why = "its back end lacks features that it had";
	else if (taken && viommu_vhu_start(device->session.front, features, rings, (unsigned)taken))
		why = "its back end cannot take these rings";
	if (why) {
		virtio_fail(&device->dev, why);
		return;
	}
	for (int i = 0; i < taken && !device->isolate; i++)
		virtio_queue_hand_over(&device->dev, (unsigned)i);
	device->given = (unsigned)taken;
}

static void device_stop(struct vhost_user_device *device)
{
	if (!device->given || device->stopping)
		return;
	device->stopping = true;
	viommu_vhu_stop(device->session.front);
}

void vhost_user_device_stopped(void *opaque)
{
	struct vhost_user_device *device = opaque;

	for (unsigned i = 0; i < device->given && !device->isolate; i++)
		virtio_queue_take_back(&device->dev, i);
	if (device->isolate)
		isolation_reset(device->isolate);
	device->given = 0;
	device->stopping = false;
	if (device->resetting)
		virtio_reset_done(&device->dev);
	device->resetting = false;
}

void vhost_user_device_reset(struct virtio_dev *dev)
{
	struct vhost_user_device *device = vhost_user_device_of(dev);

	device->resetting = true;
	if (device->given)
		device_stop(device);
	else
		vhost_user_device_stopped(device);
}

void vhost_user_device_failed(struct virtio_dev *dev)
{
	device_stop(vhost_user_device_of(dev));
}

/* A device TLB is of use while ATS is on (PCI Express base 5.0, section 10.3): what is in it does not outlast that. */
void vhost_user_device_ats_enabled(struct virtio_dev *dev, bool enabled)
{
	struct vhost_user_device *device = vhost_user_device_of(dev);

	(void)enabled;
	if (device->connected)
		viommu_vhu_flush(device->session.front);
}

/*
 * A ring begins when it is kicked (vhost-user's section "Ring states"), and something may wait in it already. The last
 * back end may have given chains back, and died before it said so.
 */
void vhost_user_device_started(void *opaque)
{
	struct vhost_user_device *device = opaque;

	if (device->isolate)
		isolation_started(device->isolate);
	for (unsigned i = 0; i < device->given && !device->isolate; i++) {
		virtio_queue_signal(&device->dev, i);
		if (device->lost)
			virtio_interrupt_queue(&device->dev, i);
	}
	device->lost = false;
}

void vhost_user_device_lost(void *opaque)
{
	struct vhost_user_device *device = opaque;

	device->lost = device->given > 0;
	if (device->isolate && device->given)
		isolation_lost(device->isolate);
}

void vhost_user_device_kick(struct virtio_dev *dev, unsigned queue)
{
	struct vhost_user_device *device = vhost_user_device_of(dev);

	if (device->isolate && queue < device->given)
		isolation_kick(device->isolate, queue);
}

void vhost_user_device_broken(void *opaque, const char *why)
{
	struct vhost_user_device *device = opaque;

	virtio_fail(&device->dev, why);
}

static int64_t device_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * MS_PER_S + now.tv_nsec / NS_PER_MS;
}

/* At the machine's end its memory is used again: the back end has to be out of it. */
unsigned vhost_user_device_drain(struct virtio_dev *dev, bool cancel)
{
	struct vhost_user_device *device = vhost_user_device_of(dev);

	if (!device->connected)
		return 0;
	device_stop(device);
	viommu_vhu_serve(device->session.front);
	if (cancel && !device->cut_ms)
		device->cut_ms = device_now_ms() + CUT_MS;
	/* It was asked to stop, and had its time: now the connection is cut. */
	if (device->given && device->cut_ms && device_now_ms() >= device->cut_ms)
		viommu_vhu_disconnect(device->session.front);
	return device->given != 0;
}

int vhost_user_device_drain_fd(const struct virtio_dev *dev)
{
	const struct vhost_user_device *device =
		(const struct vhost_user_device *)((const char *)dev - offsetof(struct vhost_user_device, dev));

	return device->connected ? viommu_vhu_fd(device->session.front) : -1;
}

/* False: the back end has no IOTLB, because there is no IOMMU, or because it is isolated and the monitor translates. */
bool vhost_user_device_iotlb_stats(struct virtio_dev *dev, struct pci_iotlb_stats *out)
{
	const struct vhost_user_device *device = vhost_user_device_of(dev);
	struct viommu_vhu_stats stats = {.size = sizeof(struct viommu_vhu_stats)};

	if (!device->connected || !device->config.iommu)
		return false;
	viommu_vhu_stats_get(device->session.front, &stats);
	*out = (struct pci_iotlb_stats){
		.path = stats.tables ? "vhost-user-shared" : "vhost-user",
		.misses = stats.misses,
		.updates = stats.updates,
		.invalidations = stats.invalidations,
		.connections = stats.connections,
	};
	return true;
}
