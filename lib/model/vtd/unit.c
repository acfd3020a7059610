/* SPDX-License-Identifier: BSD-2-Clause */
/* The unit: made, given endpoints, destroyed. */
#include "lib/model/vtd/unit.h"
#include "lib/util/sized.h"

#include <errno.h>
#include <stdlib.h>

enum { DEFAULT_WIDTH = 48, DEFAULT_HOST_WIDTH = 46, FIRST_READER = 1u << 31, SPARE_CHANGES = 8 };

static uint64_t capabilities(const struct viommu_vtd_config *config)
{
	unsigned widths = config->irq_only ? 0 : config->aw_bits == 57 ? 0xe : config->aw_bits == 48 ? 0x6 : 0x2;
	uint64_t cap = VTD_CAP_ND | (uint64_t)widths << VTD_CAP_SAGAW_SHIFT |
		       (uint64_t)(config->input_bits - 1) << VTD_CAP_MGAW_SHIFT | VTD_CAP_ZLR |
		       (uint64_t)(VTD_FRCD / 16) << VTD_CAP_FRO_SHIFT | VTD_CAP_SLLPS_2M | VTD_CAP_SLLPS_1G |
		       VTD_CAP_PSI | (uint64_t)(VTD_RECORDS - 1) << VTD_CAP_NFR_SHIFT |
		       (uint64_t)VTD_MAMV << VTD_CAP_MAMV_SHIFT | VTD_CAP_DWD | VTD_CAP_DRD;

	if (config->caching_mode)
		cap |= VTD_CAP_CM;
	if (config->scalable)
		cap |= VTD_CAP_FL1GP | (config->aw_bits == 57 ? VTD_CAP_FL5LP : 0);
	return cap;
}

/* First-stage tables have four levels at least, so a unit of 39 bits has none (Linux finds no common width else). */
static uint64_t extended_capabilities(const struct viommu_vtd_config *config)
{
	uint64_t ecap =
		VTD_ECAP_C | VTD_ECAP_QI | VTD_ECAP_PT | VTD_ECAP_SC | (uint64_t)(VTD_IVA / 16) << VTD_ECAP_IRO_SHIFT;

	if (config->device_iotlb)
		ecap |= VTD_ECAP_DT;
	if (config->intremap)
		ecap |= VTD_ECAP_IR | (uint64_t)VTD_MHMV << VTD_ECAP_MHMV_SHIFT;
	if (config->eim)
		ecap |= VTD_ECAP_EIM;
	if (config->scalable)
		ecap |= VTD_ECAP_SMTS | VTD_ECAP_SLTS | VTD_ECAP_SMPWC | (config->aw_bits > 39 ? VTD_ECAP_FLTS : 0);
	return ecap;
}

static int settle_config(struct viommu_vtd_config *config)
{
	if (!config->aw_bits)
		config->aw_bits = DEFAULT_WIDTH;
	if (!config->input_bits)
		config->input_bits = config->aw_bits;
	if (!config->host_bits)
		config->host_bits = DEFAULT_HOST_WIDTH;
	if (config->aw_bits != 39 && config->aw_bits != 48 && config->aw_bits != 57)
		return -EINVAL;
	if (config->input_bits < 32 || config->input_bits > config->aw_bits || config->host_bits < 32 ||
	    config->host_bits > 52)
		return -EINVAL;
	return config->eim && !config->intremap ? -EINVAL : 0;
}

/* The core tells the operator what the unit itself cannot read; there is no device to blame. */
static void swallow(void *opaque, const struct viommu_fault *fault)
{
	(void)opaque;
	(void)fault;
}

/* A requester id has 16 bits; the units have ids beyond. */
static int add_reader(struct viommu_vtd *unit) NO_OTHER_THREAD
{
	uint32_t id = FIRST_READER;
	int err;

	do
		err = viommu_endpoint_add(unit->v, id++, "remapping unit", &unit->reader);
	while (err == -EEXIST);
	if (err)
		return err;
	viommu__endpoint_set_sink(unit->reader, swallow, unit);
	err = viommu_bypass(unit->reader, unit->inval);
	if (err) {
		viommu__endpoint_set_sink(unit->reader, NULL, NULL);
		viommu_endpoint_remove(unit->reader);
		unit->reader = NULL;
	}
	return err;
}

static void remove_reader(struct viommu_vtd *unit) NO_OTHER_THREAD
{
	viommu_detach(unit->reader, unit->inval);
	viommu__inval_settle(unit->inval);
	viommu__endpoint_set_sink(unit->reader, NULL, NULL);
	viommu_endpoint_remove(unit->reader);
}

/* IQERCD names the device whose TLB it was. */
static void failed(void *opaque, unsigned tag, int err)
{
	struct viommu_vtd *unit = opaque;

	lock_is_held(&unit->lock);
	if (tag && err == -ETIMEDOUT)
		unit->regs[REG_IQERCD] = (uint64_t)tag << VTD_IQERCD_ITE_SHIFT;
}

static int create_parts(struct viommu_vtd *unit) NO_OTHER_THREAD
{
	int err = viommu_inval_create(unit->v, &unit->inval);

	if (!err)
		err = viommu_inval_create(unit->v, &unit->queue.inval);
	if (!err)
		err = add_reader(unit);
	if (err)
		return err;
	viommu__inval_on_failure(unit->queue.inval, failed, unit);
	return 0;
}

static void unit_free(struct viommu_vtd *unit) NO_OTHER_THREAD
{
	viommu_inval_destroy(unit->queue.inval);
	viommu_inval_destroy(unit->inval);
	lock_fini(&unit->event_lock);
	lock_fini(&unit->lock);
	free(unit);
}

int viommu_vtd_create(struct viommu *v, const struct viommu_vtd_config *config, struct viommu_vtd **out)
{
	struct viommu_vtd *unit = calloc(1, sizeof(*unit));

	if (!unit)
		return -ENOMEM;
	unit->v = v;
	int err = sized_take(&unit->config, sizeof(unit->config), config);

	if (!err)
		err = settle_config(&unit->config);
	if (err) {
		free(unit);
		return err;
	}
	unit->caps = (struct vtd_caps){
		.cap = capabilities(&unit->config),
		.ecap = extended_capabilities(&unit->config),
		.host_bits = unit->config.host_bits,
		.root = &unit->root,
	};
	lock_init(&unit->lock);
	lock_init(&unit->event_lock);
	spin_init(&unit->irq_lock);
	err = create_parts(unit);
	if (err) {
		unit_free(unit);
		return err;
	}
	lock_take(&unit->lock);
	vtd_registers_reset(unit);
	lock_drop(&unit->lock);
	*out = unit;
	return 0;
}

/* What is pending ends by itself: nobody holds anything any more, or the deadlines pass. */
void viommu_vtd_destroy(struct viommu_vtd *unit) NO_OTHER_THREAD
{
	if (!unit)
		return;
	viommu__inval_settle(unit->inval);
	viommu__inval_settle(unit->queue.inval);
	for (struct vtd_endpoint *endpoint = unit->endpoints; endpoint; endpoint = endpoint->next)
		viommu_detach(endpoint->endpoint, unit->inval);
	viommu__inval_settle(unit->inval);
	while (unit->endpoints) {
		struct vtd_endpoint *endpoint = unit->endpoints;

		unit->endpoints = endpoint->next;
		viommu__endpoint_set_sink(endpoint->endpoint, NULL, NULL);
		vtd_endpoint_destroy(endpoint);
	}
	remove_reader(unit);
	unit_free(unit);
}

static size_t unit_room(const struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	size_t count = SPARE_CHANGES;

	for (const struct vtd_endpoint *endpoint = unit->endpoints; endpoint; endpoint = endpoint->next)
		count += VTD_CHANGES_PER_ENDPOINT;
	return count + VTD_CHANGES_PER_ENDPOINT;
}

/*
 * Makes room for everything that one command or descriptor can name, so that performing it cannot fail: a new root,
 * translation switched, and the change of domain that goes with it.
 */
static int unit_manage_locked(struct viommu_vtd *unit, struct viommu_endpoint *endpoint) REQUIRES(unit->lock)
{
	struct vtd_endpoint *managed;
	int err = viommu__inval_room(unit->inval, unit_room(unit));

	if (!err)
		err = viommu__inval_room(unit->queue.inval, unit_room(unit));
	if (!err)
		err = vtd_endpoint_create(unit->v, &unit->caps, endpoint, &managed);
	if (err)
		return err;
	/* The sink first: where another model has the endpoint, nothing of it may change. */
	err = viommu__endpoint_set_sink(endpoint, vtd_fault_sink, unit);
	if (err)
		goto err_endpoint;
	/* It leaves nothing, so nothing is recorded, whatever the operation is at. */
	managed->translating = unit->translating;
	err = unit->translating ? viommu_attach(endpoint, managed->space, unit->inval)
				: viommu_bypass(endpoint, unit->inval);
	if (err)
		goto err_sink;
	managed->next = unit->endpoints;
	unit->endpoints = managed;
	return 0;

err_sink:
	viommu__endpoint_set_sink(endpoint, NULL, NULL);
err_endpoint:
	vtd_endpoint_destroy(managed);
	return err;
}

int viommu_vtd_manage(struct viommu_vtd *unit, struct viommu_endpoint *endpoint)
{
	if (unit->config.irq_only || viommu_endpoint_id(endpoint) > UINT16_MAX)
		return -EINVAL;
	lock_take(&unit->lock);
	int err = unit_manage_locked(unit, endpoint);

	vtd_unlock(unit);
	return err;
}

static int unit_release_locked(struct viommu_vtd *unit, struct viommu_endpoint *endpoint, struct viommu_inval *inval)
	REQUIRES(unit->lock)
{
	struct vtd_endpoint **link = &unit->endpoints;

	while (*link && (*link)->endpoint != endpoint)
		link = &(*link)->next;
	struct vtd_endpoint *managed = *link;
	int err = managed ? viommu__endpoint_release(endpoint, inval) : -ENOENT;

	if (err)
		return err;
	*link = managed->next;
	vtd_endpoint_destroy(managed);
	return 0;
}

int viommu_vtd_release(struct viommu_vtd *unit, struct viommu_endpoint *endpoint, struct viommu_inval *inval)
{
	lock_take(&unit->lock);
	int err = unit_release_locked(unit, endpoint, inval);

	vtd_unlock(unit);
	return err;
}

int viommu_vtd_stats_get(struct viommu_vtd *unit, struct viommu_vtd_stats *out)
{
	struct viommu_vtd_stats now;
	lock_take(&unit->lock);
	now = unit->stats;
	vtd_unlock(unit);
	lock_take(&unit->event_lock);
	now.faults_recorded = unit->recorded;
	now.faults_lost = unit->lost;
	lock_drop(&unit->event_lock);
	return sized_give(out, &now, sizeof(now));
}
