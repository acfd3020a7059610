/* SPDX-License-Identifier: BSD-2-Clause */
/* What a front end could begin anew by connecting again, if it were not counted here. */
#include <errno.h>
#include <stdlib.h>

#include "lib/vhost_user/back/internal.h"
#include "lib/vhost_user/wire/reaper.h"

enum { LOG_LINES = 10 };
#define LOG_WINDOW_NS (5ull * 1000000000)

int viommu_backend_peer_create(struct viommu_backend_peer **out)
{
	struct viommu_backend_peer *peer = calloc(1, sizeof(*peer));

	if (!peer)
		return -ENOMEM;
	if (reaper_open(&peer->account)) {
		free(peer);
		return -ENOMEM;
	}
	*out = peer;
	return 0;
}

void viommu_backend_peer_destroy(struct viommu_backend_peer *peer)
{
	if (!peer)
		return;
	reaper_leave(peer->account);
	free(peer);
}

bool viommu_backend_peer_crowded(const struct viommu_backend_peer *peer)
{
	return reaper_unclosed(peer->account) > VBE_UNCLOSED_BEFORE;
}

bool vbe_peer_may_log(struct viommu_backend_peer *peer)
{
	uint64_t window = vbe_now() / LOG_WINDOW_NS;

	if (atomic_exchange_explicit(&peer->log_window, window, memory_order_relaxed) != window)
		atomic_store_explicit(&peer->logged, 0, memory_order_relaxed);
	return atomic_fetch_add_explicit(&peer->logged, 1, memory_order_relaxed) < LOG_LINES;
}
