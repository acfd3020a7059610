/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's device IOTLB. Lock order: viommu.lock, which callbacks run under, and the client's before
 * viommu_vhost.lock; nothing of the core is called under the latter.
 */
#include <assert.h>
#include <errno.h>
#include <linux/vhost.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <viommu/vhost.h>
#include <viommu/viommu.h>

#include "lib/core/internal.h"
#include "lib/util/lock.h"
#include "lib/util/sized.h"

/* Bits of VHOST_GET_BACKEND_FEATURES; newer headers have the name, older ones a mask of the same name. */
enum { BACKEND_F_MSG_V2 = 1 };

/* The kernel keeps 2 048 translations and gives up the oldest, so there is no need to remember many more. */
enum { GIVEN_BYTES = 1 << 20 };

/*
 * What the kernel asked for and nobody wants any more it keeps in mind, a piece of its memory each time, until it is
 * told a translation of that address: so that is bounded. And it may ask faster than it is answered: others have their
 * turn after so many.
 */
enum { STALE_MAX = 64, MISSES_PER_ROUND = 64 };

/* Rounds of viommu_publish() before the device is given up: sections are short, so it has never come to that. */
enum { TRIES = 1000 };

struct viommu_vhost {
	struct viommu_vhost_config config;
	struct viommu_endpoint *endpoint;
	struct viommu_client *client;
	bool v2;
	struct lock lock;                           /* writing messages, and: */
	struct table given GUARDED_BY(lock);        /* pages that the kernel was given, and perhaps gave up since */
	uint64_t stale[STALE_MAX] GUARDED_BY(lock); /* addresses that it asked for and was not told of since */
	unsigned stale_count GUARDED_BY(lock);
	_Atomic uint64_t misses, refused, updates, invalidations;
};

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* One message of the format that was agreed on. 0 or -errno. */
static int write_message(struct viommu_vhost *vhost, const struct vhost_iotlb_msg *iotlb) REQUIRES(vhost->lock)
{
	struct vhost_msg_v2 v2 = {.type = VHOST_IOTLB_MSG_V2, .iotlb = *iotlb};
	struct vhost_msg v1 = {.type = VHOST_IOTLB_MSG, .iotlb = *iotlb};
	const void *message = vhost->v2 ? (const void *)&v2 : (const void *)&v1;
	size_t size = vhost->v2 ? sizeof(v2) : sizeof(v1);
	ssize_t n;

	do
		n = write(vhost->config.fd, message, size);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)size ? 0 : n < 0 ? -errno : -EIO;
}

static struct range pages_of(uint64_t first, uint64_t last)
{
	return (struct range){first >> TABLE_PAGE_SHIFT, last >> TABLE_PAGE_SHIFT};
}

static void forget_given(struct viommu_vhost *vhost, struct range pages) REQUIRES(vhost->lock)
{
	struct table_retired retired = {NULL};

	table_evict(&vhost->given, pages, &retired);
	table_recycle(&vhost->given, &retired);
}

/* A length of 0 would mean nothing to the kernel; the last byte of all is part of a page that is named all the same. */
static int take_back(struct viommu_vhost *vhost, uint64_t first, uint64_t last) REQUIRES(vhost->lock)
{
	uint64_t size = last - first < UINT64_MAX ? last - first + 1 : UINT64_MAX;

	forget_given(vhost, pages_of(first, last));
	return write_message(vhost,
			     &(struct vhost_iotlb_msg){.iova = first, .size = size, .type = VHOST_IOTLB_INVALIDATE});
}

static void invalidate(void *opaque, struct viommu_iova first, struct viommu_iova last, uint64_t ticket)
{
	struct viommu_vhost *vhost = opaque;

	lock_take(&vhost->lock);
	int err = take_back(vhost, first.value, last.value);

	lock_drop(&vhost->lock);
	count(&vhost->invalidations);
	/*
	 * -EFAULT: the kernel has no table, as long as the device was never started. Anything else runs into the
	 * deadline.
	 */
	if (!err || err == -EFAULT)
		viommu_client_ack(vhost->client, ticket);
}

/* Rights of the kernel's, which are bits of the same values. */
static_assert(VHOST_ACCESS_RO == (int)VIOMMU_READ && VHOST_ACCESS_WO == (int)VIOMMU_WRITE, "rights");

/*
 * Remember that the kernel is being given these pages. It keeps what lies over each other side by side, so what it has
 * of them goes first; and everything, where there is no room to remember more.
 */
static int make_place(struct viommu_vhost *vhost, struct range bytes, unsigned access) REQUIRES(vhost->lock)
{
	struct range pages = pages_of(bytes.first, bytes.last);
	int err = table_map(&vhost->given, pages, 0, access);

	if (!err)
		return 0;
	err = err == -EEXIST ? take_back(vhost, bytes.first, bytes.last) : take_back(vhost, 0, UINT64_MAX);
	return err ? err : table_map(&vhost->given, pages, 0, access);
}

static void forget_stale(struct viommu_vhost *vhost, const struct viommu_extent *extent) REQUIRES(vhost->lock)
{
	for (unsigned i = 0; i < vhost->stale_count;) {
		if (vhost->stale[i] >= extent->first.value && vhost->stale[i] <= extent->last.value)
			vhost->stale[i] = vhost->stale[--vhost->stale_count];
		else
			i++;
	}
}

/* False: there are so many that this one has to be answered for. */
static bool note_stale(struct viommu_vhost *vhost, uint64_t iova)
{
	lock_take(&vhost->lock);
	bool room = vhost->stale_count < STALE_MAX;

	if (room)
		vhost->stale[vhost->stale_count++] = iova;
	lock_drop(&vhost->lock);
	return room;
}

/*
 * What the kernel was given it can be without, for it gives up old entries; what it has is never more than what it was
 * given.
 */
static int give_locked(struct viommu_vhost *vhost, const struct viommu_extent *extent) REQUIRES(vhost->lock)
{
	const struct vhost_iotlb_msg update = {
		.iova = extent->first.value,
		.size = extent->last.value - extent->first.value + 1,
		.uaddr = (uint64_t)(uintptr_t)extent->host,
		.perm = (uint8_t)extent->access,
		.type = VHOST_IOTLB_UPDATE,
	};
	int err = make_place(vhost, (struct range){extent->first.value, extent->last.value}, extent->access);

	if (!err)
		err = write_message(vhost, &update);
	if (!err) {
		forget_stale(vhost, extent);
		count(&vhost->updates);
	}
	return err;
}

/* What is handed to the kernel, and up to where. */
struct gift {
	struct viommu_vhost *vhost;
	uint64_t last;
};

static int give(void *opaque, const struct viommu_extent *extent)
{
	struct gift *gift = opaque;
	struct viommu_vhost *vhost = gift->vhost;

	lock_take(&vhost->lock);
	int err = give_locked(vhost, extent);

	lock_drop(&vhost->lock);
	gift->last = extent->last.value;
	return err;
}

/* As viommu_publish(); -EAGAIN: nothing could be translated for long. */
static int provide(struct viommu_vhost *vhost, struct viommu_iova iova, unsigned access, bool report, uint64_t *last)
{
	struct gift gift = {.vhost = vhost};
	int err = -EAGAIN;

	for (unsigned i = 0; i < TRIES && err == -EAGAIN; i++)
		err = viommu_publish(vhost->client, iova, access, report, give, &gift);
	*last = gift.last;
	return err;
}

static void map(void *opaque, struct viommu_iova first, struct viommu_iova last)
{
	struct viommu_vhost *vhost = opaque;
	uint64_t given;

	/* An attach tells of everything: there the kernel asks for what it needs. */
	if (vhost->config.push_maps && !(first.value == 0 && last.value == UINT64_MAX))
		provide(vhost, first, 0, false, &given);
}

static const struct viommu_client_ops client_ops = {
	.size = sizeof(struct viommu_client_ops), .invalidate = invalidate, .map = map};

/* Ask for the format of messages that is the same for all programs. */
static int agree_on_messages(struct viommu_vhost *vhost)
{
	uint64_t features;

	if (ioctl(vhost->config.fd, VHOST_GET_FEATURES, &features))
		return -errno;
	if (!(features >> 33 & 1)) /* VIRTIO_F_ACCESS_PLATFORM */
		return -EOPNOTSUPP;
	if (ioctl(vhost->config.fd, VHOST_GET_BACKEND_FEATURES, &features))
		return 0; /* a kernel before 4.19 */
	features &= 1ull << BACKEND_F_MSG_V2;
	vhost->v2 = features;
	return ioctl(vhost->config.fd, VHOST_SET_BACKEND_FEATURES, &features) ? -errno : 0;
}

int viommu_vhost_create(struct viommu_endpoint *endpoint, const struct viommu_vhost_config *config,
			struct viommu_vhost **out)
{
	struct viommu_vhost *vhost = calloc(1, sizeof(*vhost));

	if (!vhost)
		return -ENOMEM;
	vhost->endpoint = endpoint;
	int err = sized_take(&vhost->config, sizeof(vhost->config), config);

	if (!err)
		err = lock_init(&vhost->lock);
	if (err)
		goto err_alloc;
	table_init(&vhost->given, GIVEN_BYTES);
	err = agree_on_messages(vhost);
	if (!err)
		err = viommu_client_register(endpoint, &client_ops, vhost, &vhost->client);
	if (err)
		goto err_lock;
	*out = vhost;
	return 0;

err_lock:
	lock_fini(&vhost->lock);
err_alloc:
	free(vhost);
	return err;
}

void viommu_vhost_destroy(struct viommu_vhost *vhost)
{
	if (!vhost)
		return;
	viommu_client_unregister(vhost->client);
	table_fini(&vhost->given);
	lock_fini(&vhost->lock);
	free(vhost);
}

/* The next message. 1, 0 (there is none), -errno. */
static int read_message(struct viommu_vhost *vhost, struct vhost_iotlb_msg *out)
{
	struct vhost_msg_v2 v2 = {0};
	struct vhost_msg v1 = {0};
	void *message = vhost->v2 ? (void *)&v2 : (void *)&v1;
	size_t size = vhost->v2 ? sizeof(v2) : sizeof(v1);
	ssize_t n = read(vhost->config.fd, message, size);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n != (ssize_t)size)
		return n ? -EIO : 0;
	*out = vhost->v2 ? v2.iotlb : v1.iotlb;
	return 1;
}

/* True: a miss for what is not allowed is a fault. */
static bool is_fault(struct viommu_vhost *vhost, struct viommu_iova iova, unsigned access)
{
	return !vhost->config.wants || vhost->config.wants(vhost->config.opaque, iova, access) ||
	       !note_stale(vhost, iova.value);
}

static int answer(struct viommu_vhost *vhost, const struct vhost_iotlb_msg *miss, bool *refused)
{
	uint64_t last;
	unsigned access = miss->perm & (VIOMMU_READ | VIOMMU_WRITE);
	int err;

	if (miss->type != VHOST_IOTLB_MISS)
		return 0;
	count(&vhost->misses);
	err = provide(vhost, (struct viommu_iova){miss->iova}, access, false, &last);
	if (err == -EFAULT || err == -EACCES) {
		if (!is_fault(vhost, (struct viommu_iova){miss->iova}, access))
			return 0;
		err = provide(vhost, (struct viommu_iova){miss->iova}, access, true, &last);
	}
	if (err == -EFAULT || err == -EACCES) {
		count(&vhost->refused);
		*refused = true;
	}
	return err == -EFAULT || err == -EACCES || err == -ECANCELED ? 0 : err;
}

int viommu_vhost_serve(struct viommu_vhost *vhost, unsigned *access, bool *refused)
{
	struct vhost_iotlb_msg message = {0};
	int misses = 0, got = 0;

	*refused = false;
	*access = 0;
	while (misses < MISSES_PER_ROUND && (got = read_message(vhost, &message)) > 0) {
		int err = answer(vhost, &message, refused);

		if (err)
			return err;
		*access |= message.perm & (VIOMMU_READ | VIOMMU_WRITE);
		misses++;
	}
	return got < 0 ? got : 0;
}

static bool given(struct viommu_vhost *vhost, uint64_t iova, unsigned access, uint64_t *last)
{
	struct table_hit hit;

	lock_take(&vhost->lock);
	bool found = table_find(&vhost->given, iova >> TABLE_PAGE_SHIFT, &hit) && (hit.access & access) == access;

	lock_drop(&vhost->lock);
	if (found)
		*last = (iova | ((1u << TABLE_PAGE_SHIFT) - 1)) + ((hit.pages - 1) << TABLE_PAGE_SHIFT);
	return found;
}

int viommu_vhost_push(struct viommu_vhost *vhost, struct viommu_iova iova, uint64_t len, unsigned access, bool report)
{
	uint64_t at = iova.value, end;

	if (!len || __builtin_add_overflow(at, len - 1, &end))
		return -EINVAL;
	for (;; at++) {
		uint64_t last;

		if (!given(vhost, at, access, &last)) {
			int err = provide(vhost, (struct viommu_iova){at}, access, report, &last);

			if (err)
				return err;
		}
		if (last >= end)
			return 0;
		at = last;
	}
}

void viommu_vhost_restart(struct viommu_vhost *vhost)
{
	lock_take(&vhost->lock);
	take_back(vhost, 0, UINT64_MAX);
	lock_drop(&vhost->lock);
}

int viommu_vhost_stats_get(const struct viommu_vhost *vhost, struct viommu_vhost_stats *out)
{
	struct viommu_vhost_stats now;
	now = (struct viommu_vhost_stats){
		.misses = atomic_load_explicit(&vhost->misses, memory_order_relaxed),
		.refused = atomic_load_explicit(&vhost->refused, memory_order_relaxed),
		.updates = atomic_load_explicit(&vhost->updates, memory_order_relaxed),
		.invalidations = atomic_load_explicit(&vhost->invalidations, memory_order_relaxed),
	};
	return sized_give(out, &now, sizeof(now));
}
