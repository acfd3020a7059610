/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Virtio devices over PCI, modern only (virtio 1.2, section 4.1). VIRTIO_F_ACCESS_PLATFORM is always offered, and
 * needed behind an IOMMU. A device embeds struct virtio_dev and gives struct virtio_ops. All ops but the config
 * accessors and `doorbell` run on the I/O thread.
 */
#ifndef VMM_VIRTIO_H
#define VMM_VIRTIO_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/pci/pci.h"
#include "vmm/util/loop.h"
#include "vmm/util/polling.h"
#include "vmm/vq/queue.h"

struct kvm;
struct virtio_dev;

/* Eight pairs of a network device and its control queue. */
enum { VIRTIO_MAX_QUEUES = 17 };

struct virtio_ops {
	uint16_t device_id;  /* 2 for a block device; the PCI id is 0x1040 + this */
	uint32_t class_code; /* of the PCI function */
	uint16_t queue_size;
	/* Device feature bits; those of the transport and of the rings are added. NULL: none. */
	uint64_t (*features)(struct virtio_dev *dev);
	/* Device configuration, any offset and length; any thread, dev->pci.lock held. NULL: there is none. */
	void (*config_read)(struct virtio_dev *dev, uint32_t offset, void *buffer, uint32_t len);
	void (*config_write)(struct virtio_dev *dev, uint32_t offset, const void *buffer, uint32_t len);
	/* DRIVER_OK was set: features are in dev->driver_features. May be NULL. */
	void (*start)(struct virtio_dev *dev);
	/* Chains may wait in this queue. */
	void (*kick)(struct virtio_dev *dev, unsigned queue);
	/*
	 * The driver notifies a queue: serve it here, where it can be done without waiting; elsewhere
	 * virtio_queue_signal() has `kick` called. vCPU's thread, no lock held. With it, vCPUs and the I/O thread share
	 * the queues: virtio_enter(). NULL: notifications reach the I/O thread by KVM's hand.
	 */
	void (*doorbell)(struct virtio_dev *dev, unsigned queue);
	/*
	 * The queues are polled from now on (vmm/util/polling.h), or not any more: the driver of one that is need not
	 * notify. False where polling cannot begin. When it ends while the device runs, `kick` follows for every queue:
	 * it asks the driver to notify, and looks once more. NULL: queues cannot be polled, and there is no `look`.
	 */
	bool (*set_polled)(struct virtio_dev *dev, bool polled);
	/* While they are: serve what waits, a burst of each queue at most. True: something did. */
	bool (*look)(struct virtio_dev *dev);
	/*
	 * The driver asked for a reset of a device that it had started: stop using the queues. Call virtio_reset_done()
	 * when nothing is in flight any more, at once or later; until then the driver sees the old status.
	 */
	void (*reset)(struct virtio_dev *dev);
	/*
	 * The driver resets one queue, and the others go on (section 2.6.1): vq.enabled is false already. Call
	 * virtio_queue_reset_done() when nothing of it is in flight any more, at once or later; `reset` takes that duty
	 * away. NULL: the feature is not offered. A device that uses a queue only in its callbacks, and looks at
	 * vq.enabled there, has virtio_queue_reset_done() here.
	 */
	void (*queue_reset)(struct virtio_dev *dev, unsigned queue);
	/*
	 * virtio_fail() has stopped the device: tell the kernel or the process that serves its queues to stop, too. May
	 * be NULL.
	 */
	void (*failed)(struct virtio_dev *dev);
	/* See struct pci_ops. Any thread, dev->pci.lock held. May be NULL. */
	void (*ats_enabled)(struct virtio_dev *dev, bool enabled);
	/* See struct pci_ops. May be NULL. */
	int (*placed)(struct virtio_dev *dev);
	/* See struct pci_ops. May be NULL: it has nothing in flight between two bursts. */
	unsigned (*drain)(struct virtio_dev *dev, bool cancel);
	/* See struct pci_ops. NULL: nothing has to be waited for. */
	int (*drain_fd)(const struct virtio_dev *dev);
	/* See struct pci_ops. May be NULL. */
	bool (*iotlb_stats)(struct virtio_dev *dev, struct pci_iotlb_stats *out);
	void (*destroy)(struct virtio_dev *dev);
};

/* What the driver asks of one queue of a started device, until the I/O thread has seen to it. */
enum virtio_queue_wish { QUEUE_NOTHING, QUEUE_ENABLE, QUEUE_RESET };

/*
 * A queue as the driver describes it in the common configuration. Copied into struct vq when the I/O thread begins to
 * use it.
 */
struct virtio_queue_regs {
	uint16_t size, vector;
	bool enabled;
	bool resetting; /* the driver waits until it reads 0 */
	enum virtio_queue_wish wish;
	uint64_t desc, avail, used;
};

struct virtio_queue {
	struct virtio_dev *dev;
	struct virtio_queue_regs regs; /* guarded by pci.lock */
	struct vq vq;                  /* I/O thread, or virtio_enter() */
	int kick_fd;
	bool ioeventfd; /* KVM signals kick_fd; guarded by pci.lock */
	struct loop_watch watch;
	/*
	 * I/O thread: the queue was handed over; call_fd is where the interrupts of one without a vector come in,
	 * or -1.
	 */
	bool handed_over;
	int call_fd;
	struct loop_watch call_watch;
};

struct virtio_dev {
	struct pci_dev pci;
	const struct virtio_ops *ops;
	uint16_t queue_count;   /* never changes */
	uint64_t ring_features; /* offered beside the device's own; a back end may have less */
	bool indirect;          /* INDIRECT_DESC is offered behind the IOMMU, too */
	struct kvm *kvm;
	struct loop *loop;
	/* Guarded by pci.lock; driver_features does not change while the device is started. */
	uint64_t driver_features;
	bool unknown_features; /* the driver accepted bits that do not exist */
	uint32_t device_select, driver_select;
	uint8_t status, isr, generation;
	uint16_t queue_select, config_vector;
	bool started;   /* DRIVER_OK was set; until virtio_reset_done() */
	bool resetting; /* the driver waits for status 0 */
	uint8_t cfg_capability;
	struct mutex entered; /* virtio_enter() */
	atomic_uint entering; /* threads that wait for it there; virtio_try_enter() lets them go first */
	/* I/O thread only; with virtio_enter(), of a device with a doorbell. */
	bool running; /* between start and reset or failure */
	struct virtio_queue queues[VIRTIO_MAX_QUEUES];
	struct loop_work start_work, reset_work, queue_work;
	struct polling polling; /* always off without ops->look */
	uint64_t notifications; /* of the driver, by kick_fd */
};

struct virtio_env {
	struct kvm *kvm; /* NULL: without ioeventfds, notifications leave the kernel */
	struct loop *loop;
	bool indirect;          /* offer INDIRECT_DESC behind the IOMMU, too */
	enum polling_mode poll; /* of queues, where the device can */
};

/*
 * Prepare an embedded device with `queues` virtqueues up to pci_bus_add(). virtio_fini() is for the end of
 * ops->destroy; both are called where loop_add() may be. -errno of eventfd or epoll; -ENOMEM.
 */
int virtio_init(struct virtio_dev *dev, const struct virtio_ops *ops, uint16_t queues, const struct virtio_env *env);
void virtio_fini(struct virtio_dev *dev);

/*
 * Of a device with a doorbell: what uses its queues excludes others that do, until virtio_leave(). All ops but the
 * config accessors and `doorbell` are called inside. virtio_try_enter(): false where another thread is there, or waits
 * to be: threads that come again and again by it alone must not keep the I/O thread out. Of other devices they do
 * nothing. Before pci.lock.
 */
void virtio_enter(struct virtio_dev *dev);
bool virtio_try_enter(struct virtio_dev *dev);
void virtio_leave(struct virtio_dev *dev);

/* As vq_miss_is_fault(), of a queue that was handed over. I/O thread. */
bool virtio_queue_miss_is_fault(struct virtio_dev *dev, unsigned queue, struct viommu_iova iova, unsigned access);

/*
 * Open a section for the device's DMA. Closed with viommu_dma_end(). -ECANCELED: bus mastering is off (all queues
 * are kicked when it comes on); -EAGAIN: too many sections are open (all queues are kicked soon). I/O thread, or inside
 * virtio_enter().
 */
int virtio_dma_begin(struct virtio_dev *dev, struct viommu_section *section);

/* The device configuration has changed: interrupt the driver. I/O thread. */
void virtio_config_changed(struct virtio_dev *dev);

/* Interrupt the driver about a queue; decided by vq_wants_interrupt() before. */
void virtio_interrupt_queue(struct virtio_dev *dev, unsigned queue);

/*
 * The driver, or its rings, are broken: set DEVICE_NEEDS_RESET, tell the driver, log one line (at most one a second),
 * stop: dev->running is false from now on. I/O thread, or inside virtio_enter(); outside of sections.
 */
void virtio_fail(struct virtio_dev *dev, const char *why);

/* See ops->reset. I/O thread. */
void virtio_reset_done(struct virtio_dev *dev);

/* See ops->queue_reset. I/O thread. */
void virtio_queue_reset_done(struct virtio_dev *dev, unsigned queue);

/*
 * The kernel or another process serves the queue from now on: its notifications are in kick_fd, which
 * nobody here reads any more, and vq is not touched. Until virtio_queue_take_back(). I/O thread.
 */
void virtio_queue_hand_over(struct virtio_dev *dev, unsigned queue);
void virtio_queue_take_back(struct virtio_dev *dev, unsigned queue);

/*
 * An eventfd (non-blocking) for the server of a queue that was handed over: its signals interrupt the driver, without
 * this process where the queue has a vector that resolves. It stays the device's. I/O thread. -errno.
 */
int virtio_queue_call_fd(struct virtio_dev *dev, unsigned queue);

/* There is nothing to be polled for any more: end it, also inside ops->look(). I/O thread. */
void virtio_end_polling(struct virtio_dev *dev);

/* Behave as if the driver had notified this queue. Any thread, dev->pci.lock held or not. */
void virtio_queue_signal(struct virtio_dev *dev, unsigned queue);

struct virtio_disk_config {
	const char *path;
	bool readonly;
	unsigned queues; /* 1 to 16 */
};

/* Before there is a machine: 0 if the device can be made; else -errno after one line in the log. */
int virtio_blk_check(const struct virtio_disk_config *config);
int virtio_net_check(const char *tap, unsigned queues);
int virtio_rng_check(void);

/* The devices. Each returns 0 with the PCI function to put on the root bus; one line is logged on an error. */
int virtio_blk_create(const struct virtio_env *env, const struct virtio_disk_config *config, struct pci_dev **out);
int virtio_net_create(const struct virtio_env *env, const char *tap, unsigned queues, const uint8_t mac[6],
		      struct pci_dev **out);
int virtio_rng_create(const struct virtio_env *env, struct pci_dev **out);

struct viommu_virtio;

/*
 * The transport of a virtio-iommu. The model stays the caller's; events are fetched when virtio_iommu_event() says so.
 * @waits: a request or a reset is pending, so virtio_iommu_progress() is to be called when somebody lets go, and for
 * the deadline's sake. I/O thread
 */
int virtio_iommu_create(const struct virtio_env *env, struct viommu_virtio *model, enum polling_mode polling,
			void (*waits)(void *opaque), void *opaque, struct pci_dev **out);
/* I/O thread. */
void virtio_iommu_stats_get(struct pci_dev *dev, struct request_stats *out);
/* To be called by the model's event_ready: any thread. */
void virtio_iommu_event(struct pci_dev *dev);
/* What is pending may be complete now. I/O thread, outside of sections. */
void virtio_iommu_progress(struct pci_dev *dev);
/* True once a driver has started it. I/O thread. */
bool virtio_iommu_taken(const struct pci_dev *dev);

#endif
