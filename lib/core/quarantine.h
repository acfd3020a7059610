/* SPDX-License-Identifier: BSD-2-Clause */
/* Works whose deadline has passed. */
#ifndef LIB_CORE_QUARANTINE_H
#define LIB_CORE_QUARANTINE_H

#include "lib/core/inval.h"

/* Ask the holds in the way to end. */
void work_cancel_holds(struct viommu *v, const struct work *work);
/*
 * Fail the endpoints in the way, give `inval` a fresh work, keep the old one. -ENOMEM, -EAGAIN (there are too many):
 * nothing happened.
 */
int work_quarantine(struct viommu_inval *inval);
/* Keep a work whose owner waits no longer, or is no more, until nobody is in its way. */
void quarantine_keep_locked(struct viommu *v, struct work *work) REQUIRES(v->lock);
/* See whether what works in quarantine wait for has let go. */
void quarantine_poll(struct viommu *v);
/* Free what is in quarantine whatever happens: the context is going. */
void quarantine_drop(struct viommu *v);

#endif
