/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inside vmm/wiring: an IOMMU model in the machine. Each --iommu has a file with its operations, and a row in the table
 * of iommu.c. An operation that may be NULL is one that a model can do without.
 */
#ifndef VMM_WIRING_MODEL_H
#define VMM_WIRING_MODEL_H

#include "vmm/wiring/iommu.h"

struct iommu_model;
struct viommu_endpoint;
struct viommu_inval;

struct iommu_model_ops {
	bool tells_maps; /* drivers tell of each map */
	/* What the operator is told of one device and of several while no driver has taken the model. */
	const char *one_waits, *several_wait;
	int (*create)(const struct iommu_config *config, const struct iommu_machine *machine, struct viommu *v,
		      struct iommu_model **out);
	/* The devices are gone. */
	void (*destroy)(struct iommu_model *model);
	/* Its own PCI function, which the machine puts on the root bus and destroys. May be NULL: it has none. */
	int (*create_unit)(struct iommu_model *model, const struct virtio_env *env, struct pci_dev **out);
	/* Put a blocked endpoint behind it; and take it back: it is blocked once @inval is complete. */
	int (*manage)(struct iommu_model *model, struct viommu_endpoint *endpoint);
	int (*release)(struct iommu_model *model, struct viommu_endpoint *endpoint, struct viommu_inval *inval);
	/*
	 * Poll what is pending. Loop thread, outside of sections; where something stays so: progress_await(). May be
	 * NULL.
	 */
	void (*progress)(struct iommu_model *model);
	/* True: the guest has taken it, at some time. Loop thread. */
	bool (*taken)(const struct iommu_model *model);
	/* May be NULL: it has no VT-d units. */
	void (*stats)(struct iommu_model *model, struct viommu_vtd_stats *out);
	/* A vCPU is about to enter the guest, after an exit. Its thread, no lock held. May be NULL. */
	void (*entering)(struct iommu_model *model);
	/* What came by its queue. May be NULL: it has none. */
	void (*requests)(struct iommu_model *model, struct request_stats *out);
	/* What the tables say of it, but for the endpoints. May be NULL. */
	void (*acpi)(const struct iommu_model *model, struct acpi_config *acpi);
};

/* A model embeds it. */
struct iommu_model {
	const struct iommu_model_ops *ops;
};

extern const struct iommu_model_ops iommu_none, iommu_virtio, iommu_intel;

#endif
