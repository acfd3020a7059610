/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PCI functions: configuration space, BARs, interrupts. Devices embed struct pci_dev; where they sit is in bus.h.
 *
 * Locking: `lock` guards config space, BAR state and the MSI-X table; it is held around the callbacks of pci_ops, too
 * (but not around destroy and doorbell). Order: pci_dev.lock -> device's own locks -> bus, irqchip, KVM's ioctls. Two
 * devices' locks are never held together.
 */
#ifndef VMM_PCI_H
#define VMM_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/irqchip/irqchip.h"
#include "vmm/util/bus.h"
#include "vmm/util/mutex.h"

struct irq_route;
struct kick_stats;
struct loop;
struct viommu_endpoint;
struct pci_bus;
struct pci_dev;
struct pci_root;

enum { PCI_BARS = 6, PCI_CONFIG_SIZE = 4096 };

struct pci_bar {
	uint64_t size; /* 0: absent; a power of two, at least 4096 for memory */
	bool is64;     /* takes this BAR and the next */
	bool prefetch;
	bool mapped;   /* on the bus now, at range.first */
	uint64_t home; /* where pci_bus_add() put it; what other devices' BARs are kept away from */
	struct bus_range range;
	struct pci_dev *dev;
};

/* What a device IOTLB that is not in this process has asked and been told since the machine was made. */
struct pci_iotlb_stats {
	const char *path; /* "vhost", "vhost-user" (by messages), "vhost-user-shared" (a table that it reads) */
	uint64_t misses, updates, invalidations;
	uint64_t connections; /* with a back end; 0 for the kernel */
};

/* What one device of the host can do for a guest, or several of them together. All zeros: anything. */
enum { PCI_LIMIT_RANGES = 64 };

struct pci_limits {
	uint64_t page_sizes; /* a bit for each size of pages that they can map; 0: any */
	struct {
		uint64_t first, last;
	} range[PCI_LIMIT_RANGES]; /* of pages that none of them may be given; no two overlap */
	unsigned count;
};

struct pci_ops {
	uint64_t (*bar_read)(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size);
	void (*bar_write)(struct pci_dev *dev, unsigned bar, uint64_t offset, uint64_t value, unsigned size);
	/*
	 * The guest writes to a BAR. True: the place is a doorbell, and what it asks for has been done, without `lock`;
	 * else bar_write() follows. vCPU's thread, no lock held. May be NULL.
	 */
	bool (*doorbell)(struct pci_dev *dev, unsigned bar, uint64_t offset);
	/*
	 * The guest is about to read these bytes of config space, or has just written them. For capabilities that do
	 * something when touched. May be NULL.
	 */
	void (*config_access)(struct pci_dev *dev, unsigned offset, unsigned size, bool write);
	/* A BAR was put at `address` (mapped) or is about to go from there (!mapped). May be NULL. */
	void (*bar_mapped)(struct pci_dev *dev, unsigned bar, uint64_t address, bool mapped);
	/*
	 * The guest switched ATS on or off: the device may ask for translations and keep them, or may not any more. May
	 * be NULL.
	 */
	void (*ats_enabled)(struct pci_dev *dev, bool enabled);
	/*
	 * Narrow the limits by those of the host's device that stands behind it: those of all devices, before there is
	 * an IOMMU model, then none, which become those of its endpoint. May be NULL: it has none.
	 */
	void (*narrow)(struct pci_dev *dev, struct pci_limits *limits);
	/* It is on the bus and has its endpoint; the guest does not run yet. 0, or -errno after a line. May be NULL. */
	int (*placed)(struct pci_dev *dev);
	/* Its endpoint was blocked because it held on to memory for too long. I/O thread, no lock held. May be NULL. */
	void (*failed)(struct pci_dev *dev);
	/*
	 * How many requests are still in the hands of something that may access guest memory for them, when vCPUs and
	 * loop have stopped. `cancel`: ask for their end as well. Main thread. May be NULL: none ever.
	 */
	unsigned (*drain)(struct pci_dev *dev, bool cancel);
	/* Readable when some of those may have finished, until drain() is called. With drain, not without. -1: none. */
	int (*drain_fd)(const struct pci_dev *dev);
	/* Counters of its device IOTLB. false: it has none. I/O thread. May be NULL: none ever. */
	bool (*iotlb_stats)(struct pci_dev *dev, struct pci_iotlb_stats *out);
	/* Counters of queues that the I/O thread serves. false: it has none. I/O thread. May be NULL: none ever. */
	bool (*kick_stats)(struct pci_dev *dev, struct kick_stats *out);
	/* Free the device, which has nothing in flight. */
	void (*destroy)(struct pci_dev *dev);
};

struct msix_entry {
	struct msi_message message;
	bool masked, pending;
	struct irq_route *route; /* has the message while it may be sent; NULL before pci_bus_add() */
};

/* MSI-X: table and pending bits lie at fixed offsets of one BAR; pci_bar_read() and _write() serve them. */
struct pci_msix {
	uint8_t capability; /* offset in config space; 0: none */
	unsigned bar, count;
	uint32_t table, pba;
	struct msix_entry *entries;
};

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint8_t revision;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
};

struct pci_dev {
	struct pci_bus *bus;       /* where it sits; NULL: nowhere (yet) */
	struct pci_bus *secondary; /* behind it, where it is a bridge; else NULL */
	unsigned users;            /* accesses that have looked it up; the root's lock guards it */
	const struct pci_ops *ops;
	struct viommu_endpoint *endpoint; /* whose DMA this is; set before pci_bus_add() */
	bool paused;                      /* the endpoint is, because bus mastering is off (dma.c) */
	bool behind;                      /* the guest's IOMMU is between it and memory; set likewise */
	char name[16];                    /* "0000:00:03.0" */
	uint8_t devfn;
	struct mutex lock;
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* mask of bits that the guest may change */
	uint8_t w1c[PCI_CONFIG_SIZE];      /* mask of bits that the guest clears by writing 1 */
	struct pci_bar bars[PCI_BARS];
	struct pci_msix msix;
	uint8_t express;                       /* offset of the PCI Express capability */
	uint8_t msi;                           /* offset of the MSI capability; 0: none */
	struct irq_route *msi_route;           /* has the message while it may be sent; NULL before pci_bus_add() */
	bool intx, intx_level;                 /* the device wants its pin up; it is up */
	uint16_t ats;                          /* offset of the ATS capability; 0: none */
	bool ats_on;                           /* as the device was told */
	uint8_t next_capability;               /* where the next one goes */
	uint16_t next_extended, last_extended; /* likewise; and the one before it, 0: none */
};

struct pci_root_config {
	struct bus *mmio, *pio;
	struct irqchip *irqchip;
	uint64_t bar64, bar64_size; /* the window above 4 GiB for BARs of 64 bits; a size of 0: none */
	/*
	 * A function's bus mastering went off: call pci_dma_idle_locked() when nothing of its DMA is under way any
	 * more. With dev->lock held, on any thread: only note it. May be NULL.
	 */
	void (*master_off)(void *opaque, struct pci_dev *dev);
	void *opaque;
	uint8_t last_bus; /* that ECAM has room for; the ports reach all */
};

/*
 * The root bus, number 0, with its host bridge at 00.0; ECAM at LAYOUT_ECAM, ports at LAYOUT_PORT_PCI.
 * pci_root_destroy() destroys every device on it, and behind its bridges.
 */
int pci_root_create(const struct pci_root_config *config, struct pci_root **out);
void pci_root_destroy(struct pci_root *root);

/* Prepare an embedded device: header, a PCI Express capability (root complex integrated endpoint), lock. */
int pci_dev_init(struct pci_dev *dev, const struct pci_ops *ops, const struct pci_ids *ids);
void pci_dev_fini(struct pci_dev *dev);

/*
 * Before pci_bus_add(): capabilities and BARs. @size and @body count from the capability's start; its first two bytes
 * (id, link) are filled in. Returns its offset; what the guest may write in it is the caller's to set in `writable`.
 */
uint8_t pci_add_capability(struct pci_dev *dev, uint8_t id, const void *body, uint8_t size);
/* Likewise, in extended config space, the first four bytes. */
uint16_t pci_add_extended_capability(struct pci_dev *dev, uint16_t id, uint8_t version, const void *body,
				     uint16_t size);
void pci_add_bar(struct pci_dev *dev, unsigned bar, uint64_t size, bool is64, bool prefetch);
void pci_add_intx(struct pci_dev *dev);
void pci_add_msi(struct pci_dev *dev);
void pci_add_ats(struct pci_dev *dev);
int pci_add_msix(struct pci_dev *dev, unsigned bar, uint32_t table, uint32_t pba, unsigned count);

/*
 * Leave configuration space as firmware does: every BAR is at its address and answers, bus mastering is off. Once, when
 * all devices that the guest finds at its start are there, before it runs. -ENOMEM.
 */
int pci_firmware_setup(struct pci_root *root);

/*
 * Where the window for BARs of 64 bits lies in a machine whose memory ends at `top`, and whose guest has addresses of
 * `bits` bits.
 */
void pci_window64(uint64_t top, unsigned bits, uint64_t *first, uint64_t *size);

/*
 * Config accesses by address, for the decoders (ECAM, ports). Any offset; size 1, 2, 4 or 8. What no function answers
 * reads as all ones. Any thread.
 */
uint64_t pci_root_config_read(struct pci_root *root, unsigned bus, unsigned devfn, unsigned offset, unsigned size);
void pci_root_config_write(struct pci_root *root, unsigned bus, unsigned devfn, unsigned offset, uint64_t value,
			   unsigned size);

/* A function's own config space, with the effects that the guest's access has; takes dev->lock. */
uint64_t pci_config_read(struct pci_dev *dev, unsigned offset, unsigned size);
void pci_config_write(struct pci_dev *dev, unsigned offset, uint64_t value, unsigned size);

/* Access a BAR as the guest does: MSI-X table and PBA are served here, the rest by ops. With dev->lock held. */
uint64_t pci_bar_read(struct pci_dev *dev, unsigned bar, uint64_t offset, unsigned size);
void pci_bar_write(struct pci_dev *dev, unsigned bar, uint64_t offset, uint64_t value, unsigned size);

/*
 * Raise an MSI-X vector; masked ones, and all while bus mastering is off, become pending. Vectors that do not exist are
 * ignored. Any thread; the first without dev->lock held, the second with it.
 */
void pci_msix_raise(struct pci_dev *dev, unsigned vector);
void pci_msix_raise_locked(struct pci_dev *dev, unsigned vector);

/*
 * An eventfd (non-blocking) whose signals raise the vector, without this process where the message resolves; masked, it
 * keeps them. It stays the device's; again the same one if called again. For back ends in the kernel and in other
 * processes. Loop thread, or when the loop does not run; after pci_bus_add(). Errors: -EINVAL (no such vector), those
 * of irq_route_fd().
 */
int pci_msix_fd(struct pci_dev *dev, unsigned vector, struct loop *loop);

/* Send the MSI message if MSI is enabled and bus mastering on; else nothing. With dev->lock held. */
void pci_msi_raise_locked(struct pci_dev *dev);

/* What the device wants of its pin; ignored while messages are enabled. With dev->lock held. */
void pci_intx_set_locked(struct pci_dev *dev, bool level);

/* With dev->lock held. */
bool pci_msix_enabled(const struct pci_dev *dev);
bool pci_msi_enabled(const struct pci_dev *dev);

/* True: the guest has switched ATS on. Any thread. */
bool pci_ats_enabled(const struct pci_dev *dev);

/*
 * True: Bus Master Enable is set in the function and in all bridges above it. Any thread. For messages and hints; DMA
 * needs no look, because the endpoint is paused while it is off.
 */
bool pci_bus_master(const struct pci_dev *dev);

/* What was under way when bus mastering went off is over: Transactions Pending reads 0. With dev->lock held. */
void pci_dma_idle_locked(struct pci_dev *dev);

#endif
