/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network devices whose frames the kernel moves between a tap and the guest's queues (vhost-net). Notifications and
 * interrupts go between KVM and the kernel's worker; what is left here is the device's life, its control queue, and its
 * device IOTLB (viommu/vhost.h), which is all that the worker reaches guest memory by.
 *
 * net.c is the device over all others: link.c is a queue pair's connection with the kernel, open.c opens one, chains.c
 * looks at what the kernel has before it. I/O thread only, but for what says
 * otherwise.
 */
#ifndef VMM_VHOST_H
#define VMM_VHOST_H

#include <viommu/vhost.h>

#include "vmm/net/filter.h"
#include "vmm/net/tap.h"
#include "vmm/net/tap_watch.h"
#include "vmm/virtio/net_control.h"
#include "vmm/virtio/virtio.h"

enum { VHOST_RX = 0, VHOST_TX = 1, VHOST_LINK_QUEUES = 2 };

struct vhost_net;

/* Chains of a queue whose translations are pushed, burst by burst, before the kernel asks for them. */
struct vhost_ahead {
	struct vhost_link *link;
	struct loop_work work;
	uint16_t next;
};

/* A queue pair. */
struct vhost_link {
	struct vhost_net *net;
	unsigned index;
	int tap_fd;
	int fd; /* of /dev/vhost-net */
	struct viommu_vhost *iotlb;
	struct loop_watch miss_watch;
	bool started;
	struct vhost_ahead ahead[VHOST_LINK_QUEUES];
	/* The kernel's reports of broken rings. */
	struct {
		int fd;
		struct loop_watch watch;
		struct vhost_link *link;
	} error[VHOST_LINK_QUEUES];
};

struct vhost_net {
	struct virtio_dev dev;
	uint64_t kernel_features; /* what vhost-net offers */
	unsigned tap_features;    /* TUN_F_... */
	unsigned mtu;             /* 0: not known */
	uint8_t mac[MAC_SIZE];
	uint64_t features; /* in use, while dev.running */
	struct net_control control;
	bool push_maps;
	enum polling_mode poll;     /* by the kernel's worker, for a while before it sleeps */
	struct tap_watch tap_watch; /* the kernel tells us nothing of it */
	struct vq_chain chain;      /* scratch */
	unsigned link_count;
	struct vhost_link links[];
};

struct vhost_net_config {
	const char *tap;
	unsigned queues; /* pairs */
	uint8_t mac[MAC_SIZE];
	bool push_maps; /* see struct viommu_vhost_config */
	bool polled;
};

/*
 * True: the kernel is to poll the queues of a card, which is behind an IOMMU or not. With POLLING_AUTO not of one that
 * is: invalidations wait for the queue that is polled, and before a fix of May 2026 (vhost_net: fix sleeping with
 * preempt-disabled) Linux asks for a translation that it misses there where it must not wait for memory.
 */
static inline bool vhost_net_polls(enum polling_mode mode, bool behind)
{
	return mode == POLLING_ALWAYS || (mode == POLLING_AUTO && !behind);
}

/* Before there is a machine: 0 if the device can be made; else -errno after one line in the log. */
int vhost_net_check(const char *tap, unsigned queues);

/* Make the device; one line is logged on an error. */
int vhost_net_create(const struct virtio_env *env, const struct vhost_net_config *config, struct pci_dev **out);

/* Open the kernel's device. -errno after a line in the log. */
int vhost_open(const char *tap, uint64_t *features);

/* The link's queue, as the device counts. */
static inline unsigned vhost_queue(const struct vhost_link *link, unsigned direction)
{
	return VHOST_LINK_QUEUES * link->index + direction;
}

/* True while the kernel serves the queue. */
static inline bool vhost_has_queue(const struct vhost_link *link, unsigned direction)
{
	return link->started && link->net->dev.queues[vhost_queue(link, direction)].handed_over;
}

/* Make the link ready, once the device has its endpoint. 0, or -errno after a line in the log. */
int vhost_link_open(struct vhost_link *link, bool push_maps);
void vhost_link_close(struct vhost_link *link);

/*
 * Let the kernel work on the queues that the driver has enabled, and stop it: when the second returns it uses them no
 * more. -errno.
 */
int vhost_link_start(struct vhost_link *link);
void vhost_link_stop(struct vhost_link *link);

/*
 * The kernel has stopped in a queue without saying why: look at all chains that it has before it, and push their
 * translations. 0; -EFAULT, -EACCES: one may not be accessed, which is reported; else as vq_pop().
 */
int vhost_chains_replay(struct vhost_link *link, unsigned direction);

/*
 * The kernel has missed a translation in a queue: push those of all chains that wait there, some now and the others
 * when the other devices had their turn; until vhost_chains_stop().
 */
void vhost_chains_prefetch(struct vhost_link *link, unsigned direction);
void vhost_chains_init(struct vhost_link *link);
void vhost_chains_stop(struct vhost_link *link, unsigned direction);

/* A pair is in use from now on, or no more; or: the first `count` are, the others are not. -errno. */
int vhost_link_use(struct vhost_link *link, bool use);
int vhost_links_use(struct vhost_net *net, unsigned count);

#endif
