/* SPDX-License-Identifier: BSD-2-Clause */
/* Faults: counted, logged at a bounded rate, handed on. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "lib/core/context.h"

const char *viommu_fault_reason_name(enum viommu_fault_reason reason)
{
	switch (reason) {
	case VIOMMU_FAULT_BLOCKED:
		return "not attached";
	case VIOMMU_FAULT_NOT_MAPPED:
		return "not mapped";
	case VIOMMU_FAULT_PERMISSION:
		return "no permission";
	case VIOMMU_FAULT_NO_MEMORY:
		return "no memory there";
	case VIOMMU_FAULT_NO_ROOM:
		return "refused by who mirrors it";
	}
	return "unknown reason";
}

static const char *access_name(unsigned access)
{
	switch (access & (VIOMMU_READ | VIOMMU_WRITE)) {
	case VIOMMU_READ:
		return "read";
	case VIOMMU_WRITE:
		return "write";
	default:
		return "read-write";
	}
}

static void format_domain(char *buffer, size_t size, const struct viommu_domain *domain, uint32_t id)
{
	if (!domain)
		snprintf(buffer, size, "no domain");
	else if (domain == domain->v->bypass)
		snprintf(buffer, size, "bypass");
	else
		snprintf(buffer, size, "domain %" PRIu32, id);
}

/* True: one more line may be logged now. Counts it either way. */
static bool line_allowed(struct fault_log *log) REQUIRES(log->lock)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (now.tv_sec - log->window >= FAULT_WINDOW_SECONDS) {
		log->window = now.tv_sec;
		log->lines = 0;
	}
	if (log->lines < FAULT_LINES) {
		log->lines++;
		return true;
	}
	log->silent++;
	log->unlogged++;
	return false;
}

static void enqueue(struct fault_log *log, const struct viommu_fault *fault) REQUIRES(log->lock)
{
	if (log->count == FAULT_QUEUE)
		return;
	log->queue[(log->head + log->count++) % FAULT_QUEUE] = *fault;
}

/* Count a fault. True: its line may be logged now. *silent: how many were not, since the last that was. */
static bool count_locked(struct fault_log *log, uint64_t *silent) REQUIRES(log->lock)
{
	log->total++;
	bool show = line_allowed(log);

	if (show) {
		*silent = log->silent;
		log->silent = 0;
	}
	return show;
}

static void emit(struct viommu *v, const char *text, uint64_t silent)
{
	char line[64];

	if (!v->config.log)
		return;
	if (silent) {
		snprintf(line, sizeof(line), "fault: %" PRIu64 " more not shown", silent);
		v->config.log(v->config.opaque, line);
	}
	v->config.log(v->config.opaque, text);
}

static void log_dma(struct viommu *v, const char *endpoint, const struct viommu_domain *domain,
		    const struct viommu_fault *fault, uint64_t silent)
{
	char where[32], line[160];

	format_domain(where, sizeof(where), domain, fault->domain);
	snprintf(line, sizeof(line), "fault: %s %s 0x%" PRIx64 ": %s (%s)", endpoint, access_name(fault->access),
		 fault->iova.value, viommu_fault_reason_name(fault->reason), where);
	emit(v, line, silent);
}

void viommu__fault(struct viommu_endpoint *endpoint, const struct viommu_domain *domain,
		   const struct viommu_fault *what)
{
	struct viommu *v = endpoint->v;
	struct fault_log *log = &v->faults;
	struct viommu_fault fault = *what;
	uint64_t silent = 0;

	fault.endpoint = endpoint->id;
	fault.in_domain = domain && domain != v->bypass;
	lock_take(&log->lock);
	bool show = count_locked(log, &silent);
	viommu__fault_sink sink = endpoint->sink;
	void *opaque = endpoint->sink_opaque;

	if (!sink)
		enqueue(log, &fault);
	lock_drop(&log->lock);
	if (show)
		log_dma(v, endpoint->name, domain, &fault, silent);
	if (v->config.fault)
		v->config.fault(v->config.opaque, &fault);
	if (sink)
		sink(opaque, &fault);
}

int viommu_fault_report(struct viommu_endpoint *endpoint, struct viommu_iova iova, unsigned access,
			enum viommu_fault_reason reason)
{
	struct viommu_section section;

	if (reason < VIOMMU_FAULT_BLOCKED || reason > VIOMMU_FAULT_NO_ROOM ||
	    access & ~(unsigned)(VIOMMU_READ | VIOMMU_WRITE))
		return -EINVAL;
	/* It keeps the domain. */
	int err = viommu_dma_begin(endpoint, &section);

	if (err)
		return err;
	const struct viommu_domain *domain = section.domain;

	viommu__fault(endpoint, domain,
		      &(struct viommu_fault){
			      .domain = domain ? atomic_load_explicit(&domain->id, memory_order_relaxed) : 0,
			      .iova = iova,
			      .access = access,
			      .reason = reason,
		      });
	viommu_dma_end(&section);
	return 0;
}

void viommu__fault_line(struct viommu *v, const char *line)
{
	struct fault_log *log = &v->faults;
	uint64_t silent = 0;

	lock_take(&log->lock);
	bool show = count_locked(log, &silent);

	lock_drop(&log->lock);
	if (show)
		emit(v, line, silent);
}

int viommu_fault_next(struct viommu *v, struct viommu_fault *out)
{
	struct fault_log *log = &v->faults;
	int err = -EAGAIN;

	lock_take(&log->lock);
	if (log->count) {
		*out = log->queue[log->head];
		log->head = (log->head + 1) % FAULT_QUEUE;
		log->count--;
		err = 0;
	}
	lock_drop(&log->lock);
	return err;
}
