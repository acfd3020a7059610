/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the vhost-user devices share: a virtio device that hands its queues over (vmm/virtio/handover.c) to a back end.
 *
 * The guest's driver may reset the device at any time: the reset is complete when the back end has stopped, or is gone.
 */
#ifndef VMM_VHOST_USER_DEVICE_H
#define VMM_VHOST_USER_DEVICE_H

#include "vmm/isolate/isolate.h"
#include "vmm/vhost_user/session.h"
#include "vmm/vhost_user/vhost_user.h"
#include "vmm/virtio/virtio.h"

struct vhost_user_device {
	struct virtio_dev dev;
	struct vhost_user_session session;
	struct viommu_vhu_config config; /* without endpoint before it is placed */
	struct isolation *isolate;       /* the back end gets no guest memory; or NULL */
	bool connected;                  /* the session is there */
	uint64_t features;               /* of its back end, when it was placed */
	int err_fd;                      /* signalled by the back end: a ring is broken */
	struct loop_watch err_watch;
	/* I/O thread. */
	bool stopping;  /* the rings are on their way back */
	bool resetting; /* for a reset */
	int64_t cut_ms; /* at the machine's end: when the connection is cut; 0: not yet known */
	unsigned given; /* so many are the back end's */
	bool lost;      /* the one that had them; none has come since */
};

static inline struct vhost_user_device *vhost_user_device_of(struct virtio_dev *dev)
{
	return (struct vhost_user_device *)((char *)dev - offsetof(struct vhost_user_device, dev));
}

/*
 * Prepare; `shadow` says how requests are copied if the back end is to be isolated; `device->config` has features,
 * queues, pairs, config_size and exact. `ops` are the device's own, with the functions below for start, kick, reset,
 * placed, failed, drain, drain_fd. -errno after a line.
 */
int vhost_user_device_init(struct vhost_user_device *device, const struct virtio_ops *ops, uint16_t queues,
			   const struct virtio_env *env, const struct vhost_user_config *config,
			   const struct vhost_user_session_ops *session, const struct shadow_config *shadow);
void vhost_user_device_fini(struct vhost_user_device *device);

int vhost_user_device_placed(struct virtio_dev *dev);
/* Hand over the first `rings` queues, as far as the driver has enabled them, of which the first `on` are on. */
void vhost_user_device_start(struct vhost_user_device *device, unsigned rings, unsigned on);
void vhost_user_device_reset(struct virtio_dev *dev);
void vhost_user_device_failed(struct virtio_dev *dev);
/* The driver has notified a queue that was not handed over: an isolated one. */
void vhost_user_device_kick(struct virtio_dev *dev, unsigned queue);
void vhost_user_device_ats_enabled(struct virtio_dev *dev, bool enabled);
unsigned vhost_user_device_drain(struct virtio_dev *dev, bool cancel);
int vhost_user_device_drain_fd(const struct virtio_dev *dev);
bool vhost_user_device_iotlb_stats(struct virtio_dev *dev, struct pci_iotlb_stats *out);

/* For struct vhost_user_session_ops. */
void vhost_user_device_started(void *opaque);
void vhost_user_device_stopped(void *opaque);
void vhost_user_device_lost(void *opaque);
void vhost_user_device_broken(void *opaque, const char *why);
/* Where chains are used in order. */
bool vhost_user_device_wants(void *opaque, struct viommu_iova iova, unsigned access);

#endif
