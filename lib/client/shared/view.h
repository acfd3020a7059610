/* SPDX-License-Identifier: BSD-2-Clause */
/* The reader's side from the inside. */
#ifndef LIB_CLIENT_SHARED_VIEW_H
#define LIB_CLIENT_SHARED_VIEW_H

#include <viommu/shared.h>

#include "lib/client/shared/layout.h"

struct viommu_shared_view {
	const struct shared_header *table;
	struct shared_epoch *epochs;
	uint64_t table_bytes, epochs_bytes;
	unsigned slots;
};

#endif
