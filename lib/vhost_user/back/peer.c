/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/back/peer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/util/clock.h"
#include "lib/vhost_user/wire/reaper.h"

/* Of earlier connections may be unclosed when a new one begins. */
enum { UNCLOSED_BEFORE = 8 };
enum { LINE_BYTES = 256, LINES_PER_PERIOD = 10 };
#define PERIOD_NS (5 * NS_PER_S)

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
	return reaper_unclosed(peer->account) > UNCLOSED_BEFORE;
}

void vbe_log(const struct vbe_log *log, const char *format, ...)
{
	const uint64_t period = clock_ns() / PERIOD_NS;
	char line[LINE_BYTES];
	va_list args;

	if (!log->write)
		return;
	if (atomic_exchange_explicit(&log->peer->period, period, memory_order_relaxed) != period)
		atomic_store_explicit(&log->peer->lines, 0, memory_order_relaxed);
	if (atomic_fetch_add_explicit(&log->peer->lines, 1, memory_order_relaxed) >= LINES_PER_PERIOD)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	log->write(log->opaque, line);
}
