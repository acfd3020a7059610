/* SPDX-License-Identifier: BSD-2-Clause */
/* The unit: made, destroyed, reset, and what it does next. */
#include "lib/model/vtd/unit.h"

#include <errno.h>
#include <sched.h>
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

uint64_t vtd_cap(const struct viommu_vtd *unit)
{
	return unit->cap;
}

uint64_t vtd_ecap(const struct viommu_vtd *unit)
{
	return unit->ecap;
}

unsigned vtd_host_bits(const struct viommu_vtd *unit)
{
	return unit->config.host_bits;
}

struct viommu *vtd_core(struct viommu_vtd *unit)
{
	return unit->v;
}

struct vtd_root vtd_root_get(struct viommu_vtd *unit)
{
	/* Acquire: partner of the release where SRTP latches it; what the table says is read after it. */
	uint64_t root = atomic_load_explicit(&unit->root, memory_order_acquire);

	return (struct vtd_root){root & VTD_RTADDR_TABLE, (unsigned)vtd_field(root, 11, 10)};
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

static void complete(struct viommu_inval *inval)
{
	viommu_inval_begin(inval);
	while (viommu_inval_poll(inval) == -EAGAIN)
		sched_yield();
}

/* What the unit itself cannot read is told to the operator; there is no device to blame. */
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
	complete(unit->inval);
	viommu__endpoint_set_sink(unit->reader, NULL, NULL);
	viommu_endpoint_remove(unit->reader);
}

/* IQERCD names whose device TLB it was. */
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
	unit->queue.inval->failed = failed;
	unit->queue.inval->opaque = unit;
	return 0;
}

static void release(struct viommu_vtd *unit) NO_OTHER_THREAD
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
	unit->config = *config;
	int err = settle_config(&unit->config);

	if (err) {
		free(unit);
		return err;
	}
	unit->cap = capabilities(&unit->config);
	unit->ecap = extended_capabilities(&unit->config);
	lock_init(&unit->lock);
	lock_init(&unit->event_lock);
	spin_init(&unit->irq_lock);
	err = create_parts(unit);
	if (err) {
		release(unit);
		return err;
	}
	lock_take(&unit->lock);
	vtd_registers_reset(unit);
	lock_drop(&unit->lock);
	*out = unit;
	return 0;
}

/* What is pending ends by itself: nobody holds anything any more, or the deadline passes. */
void viommu_vtd_destroy(struct viommu_vtd *unit) NO_OTHER_THREAD
{
	if (!unit)
		return;
	while (viommu_vtd_poll(unit))
		sched_yield();
	/* What descriptors without a wait behind them have left. */
	complete(unit->queue.inval);
	while (unit->endpoints) {
		struct vtd_endpoint *endpoint = unit->endpoints;

		unit->endpoints = endpoint->next;
		viommu_detach(endpoint->endpoint, unit->inval);
		complete(unit->inval);
		vtd_endpoint_destroy(endpoint);
	}
	remove_reader(unit);
	release(unit);
}

static size_t room(const struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	size_t count = SPARE_CHANGES;

	for (const struct vtd_endpoint *endpoint = unit->endpoints; endpoint; endpoint = endpoint->next)
		count += VTD_CHANGES_PER_ENDPOINT;
	return count + VTD_CHANGES_PER_ENDPOINT;
}

/*
 * With room for everything that one command or descriptor can name, so that performing it cannot fail: a new root,
 * translation switched, and the change of domain that goes with it.
 */
static int manage_locked(struct viommu_vtd *unit, struct viommu_endpoint *endpoint) REQUIRES(unit->lock)
{
	struct vtd_endpoint *managed;
	int err = viommu__inval_room(unit->inval, room(unit));

	if (!err)
		err = viommu__inval_room(unit->queue.inval, room(unit));
	if (!err)
		err = vtd_endpoint_create(unit, endpoint, unit->inval, &managed);
	if (err)
		return err;
	managed->next = unit->endpoints;
	unit->endpoints = managed;
	return 0;
}

int viommu_vtd_manage(struct viommu_vtd *unit, struct viommu_endpoint *endpoint)
{
	if (unit->config.irq_only || viommu_endpoint_id(endpoint) > UINT16_MAX)
		return -EINVAL;
	lock_take(&unit->lock);
	int err = manage_locked(unit, endpoint);

	lock_drop(&unit->lock);
	return err;
}

static void begin(struct viommu_vtd *unit, enum vtd_operation operation) REQUIRES(unit->lock)
{
	unit->operation = operation;
	viommu_inval_begin(unit->inval);
}

static void begin_reset(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	unit->reset_waits = unit->command_waits = false;
	unit->queue.enabled = false;
	vtd_invalidate_all(unit, unit->inval);
	vtd_set_translation(unit, unit->inval, false);
	begin(unit, OPERATION_RESET);
}

static void finish_reset(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	atomic_store_explicit(&unit->root, 0, memory_order_relaxed);
	vtd_registers_reset(unit);
	vtd_irq_latch(unit);
	vtd_irq_switch(unit, false, false);
}

/* 11.4.6.1; a granularity that does not exist is not performed: CAIG stays 0. */
static void begin_context(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	uint64_t ccmd = unit->regs[REG_CCMD];
	unsigned granularity = (unsigned)vtd_field(ccmd, 62, 61);

	unit->granularity = granularity;
	if (granularity) {
		unit->stats.context_invalidations++;
		vtd_invalidate_context(unit, unit->inval, granularity, (uint16_t)ccmd, (uint16_t)(ccmd >> 16),
				       (unsigned)vtd_field(ccmd, 33, 32));
	}
	begin(unit, OPERATION_CONTEXT);
}

/* 11.4.6.3 */
static void begin_iotlb(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	uint64_t iotlb = unit->regs[REG_IOTLB], iva = unit->regs[REG_IVA];
	unsigned granularity = (unsigned)vtd_field(iotlb, 61, 60), am = (unsigned)(iva & VTD_IVA_AM);

	unit->granularity = granularity == VTD_PAGE && am > vtd_cap_mamv(unit->cap) ? 0 : granularity;
	if (unit->granularity) {
		unit->stats.iotlb_invalidations++;
		vtd_invalidate_iotlb(unit, unit->inval, granularity, (uint16_t)(iotlb >> 32), iva & VTD_IVA_ADDRESS,
				     am);
	}
	begin(unit, OPERATION_IOTLB);
}

/*
 * One operation after the other; the registers say what is asked for. While the queue is on, it alone invalidates
 * (6.5.1).
 */
static bool begin_next(struct viommu_vtd *unit) REQUIRES(unit->lock)
{
	bool registers = !unit->queue.enabled;

	if (unit->reset_waits) {
		begin_reset(unit);
	} else if (unit->command_waits) {
		unit->command_waits = false;
		vtd_command(unit, unit->next_command);
	} else if (registers && unit->regs[REG_CCMD] & VTD_CCMD_ICC) {
		begin_context(unit);
	} else if (registers && unit->regs[REG_IOTLB] & VTD_IOTLB_IVT) {
		begin_iotlb(unit);
	} else {
		return false;
	}
	return true;
}

static void finish(struct viommu_vtd *unit, int err) REQUIRES(unit->lock)
{
	uint64_t done = err ? 0 : unit->granularity;

	switch (unit->operation) {
	case OPERATION_COMMAND:
		vtd_command_done(unit);
		break;
	case OPERATION_CONTEXT:
		unit->regs[REG_CCMD] =
			(unit->regs[REG_CCMD] & ~(VTD_CCMD_ICC | VTD_CCMD_CAIG)) | done << VTD_CCMD_CAIG_SHIFT;
		break;
	case OPERATION_IOTLB:
		unit->regs[REG_IOTLB] =
			(unit->regs[REG_IOTLB] & ~(VTD_IOTLB_IVT | VTD_IOTLB_IAIG)) | done << VTD_IOTLB_IAIG_SHIFT;
		break;
	case OPERATION_RESET:
		finish_reset(unit);
		break;
	case OPERATION_NONE:
		break;
	}
	unit->operation = OPERATION_NONE;
}

bool vtd_advance(struct viommu_vtd *unit)
{
	do {
		if (unit->operation != OPERATION_NONE) {
			int err = viommu_inval_poll(unit->inval);

			if (err == -EAGAIN)
				return true;
			finish(unit, err);
		}
		if (vtd_queue_run(unit))
			return true;
	} while (begin_next(unit));
	return false;
}

/*
 * Whoever is at work in the unit advances it, and may take long; but it may also have looked before what we come for.
 */
int viommu_vtd_poll(struct viommu_vtd *unit)
{
	if (!lock_try(&unit->lock))
		return -EAGAIN;
	bool pending = vtd_advance(unit);

	lock_drop(&unit->lock);
	return pending ? -EAGAIN : 0;
}

void viommu_vtd_reset(struct viommu_vtd *unit)
{
	lock_take(&unit->lock);
	unit->reset_waits = true;
	vtd_advance(unit);
	lock_drop(&unit->lock);
}

void viommu_vtd_stats_get(struct viommu_vtd *unit, struct viommu_vtd_stats *out)
{
	lock_take(&unit->lock);
	*out = unit->stats;
	lock_drop(&unit->lock);
	lock_take(&unit->event_lock);
	out->faults_recorded = unit->recorded;
	out->faults_lost = unit->lost;
	lock_drop(&unit->event_lock);
}
