/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What models, back ends and clients may use of the core besides include/viommu/: walked domains (walk.h), the table of
 * pages as a data structure (table.h), the note of what is written (dirty.h), and the functions below. Nothing outside
 * lib/core includes another header of it (scripts/check-layers).
 */
#ifndef LIB_CORE_INTERNAL_H
#define LIB_CORE_INTERNAL_H

#include <viommu/viommu.h>

#include "lib/core/dirty.h"
#include "lib/core/table.h"
#include "lib/core/walk.h"

/* A domain of the identity kind. Errors: as viommu_domain_create(). */
int viommu__domain_create_identity(struct viommu *v, uint32_t id, struct viommu_domain **out);

/* Handed each fault of an endpoint: how a model hears of it. Runs inside the section of the failed access. */
typedef void (*viommu__fault_sink)(void *opaque, const struct viommu_fault *fault);

/*
 * The model that manages an endpoint takes its faults. -EBUSY: there is one already, or the endpoint is not blocked.
 * NULL gives it back, and needs no state.
 */
int viommu__endpoint_set_sink(struct viommu_endpoint *endpoint, viommu__fault_sink sink, void *opaque);

/*
 * A model gives an endpoint back while its device may be at work: the endpoint is blocked, the sink gets no fault from
 * sections that begin later, and `inval` waits for all that the endpoint does. -ENOMEM, -EBUSY (begun already): nothing
 * changed.
 */
int viommu__endpoint_release(struct viommu_endpoint *endpoint, struct viommu_inval *inval);

/*
 * What the endpoint cannot have mapped, in order, addresses beyond its width included. Valid while a model manages it.
 */
const struct viommu_reserved *viommu__endpoint_reserved(const struct viommu_endpoint *endpoint, size_t *count);

/* False: it is in no domain and does not bypass. So a mirror that refuses late leaves it (mirror.h). */
bool viommu__endpoint_attached(struct viommu_endpoint *endpoint);

/* A line of the model's own ("fault: ..."), counted and logged as those of blocked DMA are. */
void viommu__fault_line(struct viommu *v, const char *line);

/* Fault events that no driver took: for viommu_stats. */
void viommu__count_dropped_events(struct viommu *v, unsigned count);

/* Make room for this many changes in all, for good (also after a deadline that passed). -ENOMEM. */
int viommu__inval_room(struct viommu_inval *inval, size_t room);

/* How many changes it has recorded since it was last complete. */
size_t viommu__inval_changes(const struct viommu_inval *inval);

/* Which of its owner's requests makes the changes that are recorded next. 0 at first. */
void viommu__inval_tag(struct viommu_inval *inval, unsigned tag);

/*
 * Called with the tag of each change that does not come about, in no order, perhaps more than once: -ETIMEDOUT at the
 * deadline, or what a mirror has refused a map or an attach with (mirror.h).
 */
void viommu__inval_on_failure(struct viommu_inval *inval, void (*failed)(void *opaque, unsigned tag, int err),
			      void *opaque);

/*
 * For calls that destroy what it is about: begin, and wait until it is complete, for two deadlines at most. 0;
 * -ETIMEDOUT: it is empty again, and what it took away may still be in use; -EAGAIN: no memory, it is still pending.
 */
int viommu__inval_settle(struct viommu_inval *inval);

/*
 * Open a section that is no DMA of the device, and so may be open while the endpoint is paused: to read what belongs to
 * the caller's bookkeeping, without reporting a fault. -EAGAIN: as viommu_dma_begin().
 */
int viommu__look_begin(struct viommu_endpoint *endpoint, struct viommu_section *section);

/* A number that no other open section of the context has: as many as are open at most, smallest first when they can. */
unsigned viommu__section_number(const struct viommu_section *section);

/* What a section's domain can say of its mappings before they are used. */
enum viommu__space {
	VIOMMU__SPACE_NONE,  /* blocked */
	VIOMMU__SPACE_KNOWN, /* all of them */
	VIOMMU__SPACE_TOLD,  /* walked, and the guest says what it adds */
	VIOMMU__SPACE_ASKED, /* walked, and it does not */
};
enum viommu__space viommu__section_space(const struct viommu_section *section);

/*
 * In a client's callback, or between viommu__client_take() and _drop(): as viommu_dma_begin(), but without an end and
 * without a slot, for looking what the endpoint's domain maps. Each invalidation tells this client, for which it takes
 * the lock that is held here, between its changes and its end: so what is found stays as long as a section would keep
 * it. What the domain can say of its mappings; VIOMMU__SPACE_NONE: blocked, or paused.
 */
enum viommu__space viommu__client_look(const struct viommu_client *client, struct viommu_section *section);

/* Bytes that are mapped in one piece from an address on. */
struct viommu__leaf {
	uint64_t gpa, len;
	unsigned access;
};

/* What the domain keeps of this address. No walk, no fault. Not for VIOMMU__SPACE_NONE. */
bool viommu__section_kept(const struct viommu_section *section, uint64_t iova, struct viommu__leaf *leaf);

/*
 * What is mapped at an address, by a walk if need be, or *hole: the last address up to which nothing is. No fault. Not
 * for VIOMMU__SPACE_NONE.
 */
bool viommu__section_leaf(const struct viommu_section *section, uint64_t iova, struct viommu__leaf *leaf,
			  uint64_t *hole);

/*
 * As viommu_client_register(), for a client of the library itself: what viommu_publish() hands on comes under the lock
 * that its callbacks run under. So all that its callbacks and hand_on use needs no lock of its own: other threads are
 * kept out by _take() and _drop(). Not for a client that publishes in its `map`.
 *
 * It has been told of all changes of an invalidation when `settle` is called, once, as another callback and behind a
 * full fence: what `invalidate` has taken out is visible before what `settle` looks at.
 */
int viommu__client_register_serial(struct viommu_endpoint *endpoint, const struct viommu_client_ops *ops,
				   void (*settle)(void *opaque), void *opaque, struct viommu_client **out);
void viommu__client_take(struct viommu_client *client);
void viommu__client_drop(struct viommu_client *client);

/* In `settle`, where nothing that an earlier one was called for is left: as viommu_client_ack(), for less. */
void viommu__client_ack_at_once(struct viommu_client *client, uint64_t ticket);

/* Call run() while no callback of the endpoint's clients runs. It may do what viommu_client_ops.map may. */
void viommu__without_callbacks(struct viommu_endpoint *endpoint, void (*run)(void *opaque), void *opaque);

#endif
