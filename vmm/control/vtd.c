/* SPDX-License-Identifier: BSD-2-Clause */
/* What there is to tell of VT-d units: how they were made, and what the guest has asked of them. */
#include <jansson.h>
#include <string.h>

#include <viommu/viommu.h>

#include "vmm/config/config.h"
#include "vmm/control/internal.h"

void control_add_vtd_info(json_t *info, const struct iommu_config *config)
{
	const struct intel_config *intel = &config->intel;
	const struct {
		const char *name;
		bool on;
	} switches[] = {
		{"intremap", config->intremap},        {"eim", config->eim},
		{"caching_mode", intel->caching_mode}, {"device_iotlb", intel->device_iotlb},
		{"scalable", intel->scalable},
	};

	json_object_set_new(info, "aw_bits", json_integer(intel->aw_bits));
	json_object_set_new(info, "input_bits", json_integer(config->input_bits ? config->input_bits : intel->aw_bits));
	for (size_t i = 0; i < sizeof(switches) / sizeof(switches[0]); i++)
		json_object_set_new(info, switches[i].name, json_boolean(switches[i].on));
}

static const struct {
	const char *name;
	size_t offset;
} counters[] = {
	{"context_invalidations", offsetof(struct viommu_vtd_stats, context_invalidations)},
	{"iotlb_invalidations", offsetof(struct viommu_vtd_stats, iotlb_invalidations)},
	{"device_tlb_invalidations", offsetof(struct viommu_vtd_stats, device_tlb_invalidations)},
	{"irq_invalidations", offsetof(struct viommu_vtd_stats, irq_invalidations)},
	{"waits", offsetof(struct viommu_vtd_stats, waits)},
	{"timeouts", offsetof(struct viommu_vtd_stats, timeouts)},
	{"faults_recorded", offsetof(struct viommu_vtd_stats, faults_recorded)},
	{"faults_lost", offsetof(struct viommu_vtd_stats, faults_lost)},
};

void control_add_vtd_stats(json_t *answer, const struct control_machine *machine, uint64_t walks)
{
	struct viommu_vtd_stats stats = {.size = sizeof(struct viommu_vtd_stats)};

	if (!machine->vtd || !machine->vtd(machine->opaque, &stats))
		return;
	json_object_set_new(answer, "walks", json_integer((json_int_t)walks));
	for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
		uint64_t value;

		memcpy(&value, (const char *)&stats + counters[i].offset, sizeof(value));
		json_object_set_new(answer, counters[i].name, json_integer((json_int_t)value));
	}
}
