/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The objects of the core, and the locks that guard them.
 *
 * Lock order: viommu.quarantine_lock -> viommu_endpoint.move_lock -> viommu.lock -> viommu_domain.mirror_lock ->
 * viommu_domain.lock -> viommu_domain.holds_lock; fault_log.lock, viommu_client.lock and viommu.wake_lock are taken
 * last, alone. Readers (sections) take no lock: they read fields marked "published", which change by one atomic store.
 */
#ifndef LIB_CORE_CONTEXT_H
#define LIB_CORE_CONTEXT_H

#include <stdatomic.h>

#include "lib/core/fault.h"
#include "lib/core/internal.h"
#include "lib/core/section.h"
#include "lib/util/index.h"
#include "lib/util/lock.h"
#include "lib/util/spin.h"

struct limits;
struct limits_link;
struct viommu_client;
struct work;

struct viommu_domain {
	struct viommu *v;
	_Atomic uint32_t id;         /* the guest's number; walked: what the last walk found */
	uint16_t index;              /* ours, 1..INDEX_MAX */
	bool identity;               /* IOVA = GPA, no table */
	const struct walk_ops *walk; /* walked: how a miss is served; else NULL (walk.h) */
	void *walk_opaque;

	LINE_ALIGNED struct spin lock; /* what is above, and the table's root, sections read and nobody writes often */
	_Atomic bool mirrored;         /* there are mirrors: mirror_lock and `lock` to write, either to read */
	_Atomic bool maps_ask;         /* there are mirrors or limits: the same */
	/*
	 * The creator, each endpoint in it, each unfinished change that names it, and each invalidation that keeps one
	 * for its next change. As long as there is one, nobody else gets the index.
	 */
	unsigned references GUARDED_BY(lock);
	_Atomic bool destroyed;              /* viommu.lock to write: the creator has given it up */
	struct table table GUARDED_BY(lock); /* written under the lock, read in sections */
	uint64_t maps GUARDED_BY(lock), unmaps GUARDED_BY(lock);
	bool overfull GUARDED_BY(lock); /* walked: something could not be kept */
	_Atomic uint64_t generation;    /* walked: counts invalidations; written under the lock */

	struct lock holds_lock;
	struct viommu_hold
		*_Atomic holds; /* holds_lock to write, or to follow; whether it is empty may be read without */

	_Atomic uint64_t releases; /* holds_lock to write: holds that have ended */

	/* mirror.h; mirror_lock is taken before `lock` */
	struct lock mirror_lock;
	struct viommu_client *mirrors GUARDED_BY(mirror_lock);
	const struct memory *mirror_memory GUARDED_BY(mirror_lock);
	struct table shadow GUARDED_BY(mirror_lock);        /* walked: what the mirrors hold */
	struct limits_link *limits GUARDED_BY(mirror_lock); /* limits.h */

	struct viommu_domain *prev, *next; /* viommu.lock: all domains */
};

struct viommu_endpoint {
	LINE_ALIGNED struct viommu *v;
	uint32_t id;
	uint16_t index; /* 1..INDEX_MAX */
	char name[32];
	/* Published: (index << 16) | index of its domain; domain 0: blocked. viommu.lock to write. */
	_Atomic uint32_t tag;
	_Atomic bool paused;     /* viommu.lock to write: section.c says in which order with the tag */
	bool failed;             /* viommu.lock: blocked since a deadline, until it is moved */
	_Atomic bool ats;        /* its device has ATS switched on */
	unsigned changes;        /* viommu.lock: unfinished changes that name it */
	struct work *quarantine; /* viommu.lock: it has failed, and this still waits for it */
	/*
	 * viommu.lock: the domain that it is in, also a destroyed one, or was in when it failed, until it is moved;
	 * with a reference. NULL: none
	 */
	struct viommu_domain *domain;
	struct lock move_lock;                               /* moves, and mirrors that come and go */
	struct viommu_client *mirrors GUARDED_BY(move_lock); /* mirror.h */
	struct limits *limits;   /* or NULL: none. Written with move_lock held, while it has no domain and no sink */
	viommu__fault_sink sink; /* with sink_opaque: viommu.lock and fault_log.lock to write, either to read */
	void *sink_opaque;
};

struct viommu {
	struct viommu_config config;
	struct lock lock;
	struct viommu_endpoint **endpoints GUARDED_BY(lock); /* sorted by id */
	size_t endpoint_count GUARDED_BY(lock), endpoint_room GUARDED_BY(lock);
	struct index_pool endpoint_indices GUARDED_BY(lock), domain_indices GUARDED_BY(lock);
	struct viommu_domain *domains GUARDED_BY(lock); /* list of all */
	struct viommu_domain *bypass;                   /* the identity domain of bypassing endpoints */
	uint64_t gone_maps GUARDED_BY(lock), gone_unmaps GUARDED_BY(lock); /* of domains that are no more */

	_Atomic unsigned doomed; /* domains that are destroyed and not yet freed */

	/* What each section reads, and nobody writes often. */
	LINE_ALIGNED struct viommu_domain *_Atomic *by_index; /* published; INDEX_MAX + 1 of them */
	struct memory *_Atomic memory;                        /* published; viommu.lock to write */
	const struct memory *_Atomic mirror_memory;           /* what mirrors are told of; viommu.lock to write */
	struct section_table sections;

	LINE_ALIGNED _Atomic uint64_t tickets; /* of holds: each draws one */
	struct viommu_inval *invals GUARDED_BY(lock);
	uint64_t gone_invalidations GUARDED_BY(lock), gone_waited GUARDED_BY(lock); /* of those that are no more */
	struct viommu_client *clients GUARDED_BY(lock);
	_Atomic unsigned client_count; /* viommu.lock to write */
	struct lock wake_lock;         /* for arming slots (wake.h); taken last, alone */
	bool ends_fence;               /* wake_lock to write: sections end with a fence */
	_Atomic bool awaited;          /* a poll waits for a client or a hold */
	struct lock quarantine_lock;   /* to take work out of the quarantine; before viommu.lock */
	struct work *quarantine GUARDED_BY(lock);
	_Atomic unsigned quarantined;
	struct fault_log faults;
	_Atomic uint64_t events_dropped; /* models count here */
};

/*
 * Drop `count` references; the last one frees the domain. A reference is taken by counting up, under the domain's lock.
 */
void viommu__domain_put(struct viommu_domain *domain, unsigned count);

/* Free every domain, whatever still refers to it: the context is going. */
void viommu__domains_free(struct viommu *v);

#endif
