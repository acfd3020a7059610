/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the device IOTLB lacks is asked of the front end (MISS on the back-end channel): each address once, a bounded
 * number at a time, and nobody waits in here. An answer is an UPDATE on the front channel. One that says no, a reply
 * that says so, or none in time makes the next access there a fault, of which the front end hears (ACCESS_FAIL).
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util/clock.h"
#include "lib/vhost_user/back/internal.h"
#include "lib/vhost_user/wire/reaper.h"

enum { REPLIES_PER_ROUND = 64, FORGET_MS = 1000, FAULTS_PER_SECOND = 32 };

static uint64_t page_of(uint64_t iova)
{
	return iova & ~(uint64_t)(VBE_PAGE - 1);
}

static uint64_t limit_ns(const struct viommu_backend *backend)
{
	return (uint64_t)backend->config.miss_ms * NS_PER_MS;
}

static uint8_t access_word(unsigned access)
{
	return (uint8_t)((access & VIOMMU_READ ? VHU_ACCESS_RO : 0) | (access & VIOMMU_WRITE ? VHU_ACCESS_WO : 0));
}

/* Watch for room in the socket, or not. */
static void await_locked(struct viommu_backend *backend) REQUIRES(backend->lock)
{
	bool out = channel_unsent(&backend->back);
	struct epoll_event event = {.events = EPOLLIN | (out ? EPOLLOUT : 0)};

	if (out == backend->back_out)
		return;
	backend->back_out = out;
	epoll_ctl(backend->epoll_fd, EPOLL_CTL_MOD, backend->back.fd, &event);
}

/* -EAGAIN: the front end does not read what it has been sent already, or there is no channel. */
static int send_locked(struct viommu_backend *backend, const struct vhu_iotlb *iotlb, uint32_t flags)
	REQUIRES(backend->lock)
{
	struct channel_message message = {
		.header = {.request = VHU_BACKEND_IOTLB_MSG, .flags = flags, .size = sizeof(*iotlb)},
		.iotlb = *iotlb,
	};
	int err;

	if (!backend->has_back || backend->back_out)
		return -EAGAIN;
	err = channel_send(&backend->back, &message);
	await_locked(backend);
	return err;
}

static void ask_locked(struct viommu_backend *backend, struct vbe_miss *miss) REQUIRES(backend->lock)
{
	bool replied = backend->protocol_features >> VHU_PROTOCOL_F_REPLY_ACK & 1;
	const struct vhu_iotlb iotlb = {
		.iova = miss->iova.first,
		.size = miss->iova.last - miss->iova.first + 1,
		.access = access_word(miss->access),
		.type = VHU_IOTLB_MISS,
	};

	if (send_locked(backend, &iotlb, replied ? VHU_NEED_REPLY : 0))
		return; /* later, by vbe_back_serve() */
	miss->sent = true;
	miss->sequence = replied ? ++backend->asked : 0;
	backend->stats.misses++;
}

static bool same_page(const struct vbe_miss *miss, uint64_t iova)
{
	return page_of(miss->iova.first) == page_of(iova);
}

static struct vbe_miss *find_locked(struct viommu_backend *backend, uint64_t iova, unsigned access)
	REQUIRES(backend->lock)
{
	unsigned left = backend->miss_count;

	for (unsigned i = 0; left; i++) {
		struct vbe_miss *miss = &backend->misses[i];

		if (!miss->used)
			continue;
		left--;
		if ((miss->access & access) == access &&
		    (same_page(miss, iova) ||
		     (!miss->failed && !backend->short_answers && range_has(miss->iova, iova))))
			return miss;
	}
	return NULL;
}

/* NULL: the list is full. */
static struct vbe_miss *add_locked(struct viommu_backend *backend, struct range iova, unsigned access)
	REQUIRES(backend->lock)
{
	for (unsigned i = 0; i < VBE_MISSES && backend->miss_count < VBE_MISSES; i++) {
		struct vbe_miss *miss = &backend->misses[i];

		if (miss->used)
			continue;
		*miss = (struct vbe_miss){
			.iova = iova, .access = access, .used = true, .until_ns = clock_ns() + limit_ns(backend)};
		backend->miss_count++;
		vbe_alarm_set(&backend->alarm, miss->until_ns);
		return miss;
	}
	return NULL;
}

static void drop_locked(struct viommu_backend *backend, struct vbe_miss *miss) REQUIRES(backend->lock)
{
	miss->used = false;
	backend->miss_count--;
}

/*
 * The miss of an address: it is asked for unless it has been. NULL: too much is asked already; -EAGAIN will come again.
 */
static const struct vbe_miss *miss_locked(struct viommu_backend *backend, struct range iova, unsigned access)
	REQUIRES(backend->lock)
{
	struct vbe_miss *miss = find_locked(backend, iova.first, access);

	if (miss)
		return miss;
	miss = add_locked(backend, iova, access);
	if (miss)
		ask_locked(backend, miss);
	return miss;
}

/* Where a miss is served. */
static int walk(void *opaque, const struct memory *memory, uint64_t iova, unsigned access, struct walk_result *result)
{
	struct viommu_backend *backend = opaque;
	int err = -EAGAIN;

	(void)memory;
	*result = (struct walk_result){.reason = VIOMMU_FAULT_NOT_MAPPED};
	if (vbe_shared_find(backend, iova, access, result))
		return 0;
	lock_take(&backend->lock);
	const struct vbe_miss *miss = miss_locked(backend, (struct range){iova, iova | (VBE_PAGE - 1)}, access);

	if (miss && miss->failed) {
		result->reason = miss->failed;
		err = -EFAULT;
	}
	lock_drop(&backend->lock);
	return err;
}

const struct walk_ops vbe_walk_ops = {.walk = walk};

/* A guest can cause as many faults as it likes; front ends write a line for each. */
static bool may_tell_locked(struct viommu_backend *backend) REQUIRES(backend->lock)
{
	uint64_t second = clock_ns() / (NS_PER_S);

	if (second != backend->told_second)
		backend->told = 0;
	backend->told_second = second;
	return backend->told++ < FAULTS_PER_SECOND;
}

void vbe_fault(void *opaque, const struct viommu_fault *fault)
{
	struct viommu_backend *backend = opaque;
	const struct vhu_iotlb iotlb = {
		.iova = fault->iova.value,
		.size = 1,
		.access = access_word(fault->access),
		.type = VHU_IOTLB_ACCESS_FAIL,
	};

	lock_take(&backend->lock);
	struct vbe_miss *miss = find_locked(backend, fault->iova.value, fault->access);

	/* It has been said. The next access there asks again. */
	if (miss && miss->failed)
		drop_locked(backend, miss);
	backend->stats.faults++;
	/* Who does not read does not hear of it: the fault is counted and logged here all the same. */
	if (fault->in_domain && may_tell_locked(backend))
		send_locked(backend, &iotlb, 0);
	lock_drop(&backend->lock);
}

static void fail_locked(struct viommu_backend *backend, struct vbe_miss *miss, enum viommu_fault_reason reason)
	REQUIRES(backend->lock)
{
	miss->failed = reason;
	miss->until_ns = clock_ns() + (uint64_t)FORGET_MS * NS_PER_MS;
	vbe_alarm_set(&backend->alarm, miss->until_ns);
	backend->retry = true;
}

static void answer_locked(struct viommu_backend *backend, struct vbe_miss *miss, struct range iova, unsigned access)
	REQUIRES(backend->lock)
{
	if ((miss->access & access) != miss->access) {
		fail_locked(backend, miss, access ? VIOMMU_FAULT_PERMISSION : VIOMMU_FAULT_NOT_MAPPED);
		return;
	}
	if (iova.last < miss->iova.last)
		backend->short_answers = true;
	drop_locked(backend, miss);
}

void vbe_miss_update(struct viommu_backend *backend, struct range iova, unsigned access)
{
	lock_take(&backend->lock);
	backend->stats.updates++;
	for (unsigned i = 0; backend->miss_count && i < VBE_MISSES; i++)
		if (backend->misses[i].used && range_has(iova, backend->misses[i].iova.first))
			answer_locked(backend, &backend->misses[i], iova, access);
	lock_drop(&backend->lock);
	backend->retry = true;
}

void vbe_miss_refuse(struct viommu_backend *backend, struct range iova)
{
	lock_take(&backend->lock);
	for (unsigned i = 0; backend->miss_count && i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &backend->misses[i];

		if (miss->used && !miss->failed && range_has(iova, miss->iova.first))
			fail_locked(backend, miss, VIOMMU_FAULT_NOT_MAPPED);
	}
	lock_drop(&backend->lock);
}

/* A reply that is not 0 to the message with this number: there is nothing at that address. */
static void refused_locked(struct viommu_backend *backend, uint64_t sequence) REQUIRES(backend->lock)
{
	for (unsigned i = 0; i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &backend->misses[i];

		if (miss->used && !miss->failed && miss->sequence == sequence)
			fail_locked(backend, miss, VIOMMU_FAULT_NOT_MAPPED);
	}
}

/* A reply of 0, where there is a shared table: by now it is there, or an UPDATE is on its way. */
static void granted_locked(struct viommu_backend *backend, uint64_t sequence) REQUIRES(backend->lock)
{
	for (unsigned i = 0; i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &backend->misses[i];

		if (!miss->used || miss->failed || miss->sequence != sequence)
			continue;
		drop_locked(backend, miss);
		backend->retry = true;
	}
}

static int reply_locked(struct viommu_backend *backend, const struct channel_message *message) REQUIRES(backend->lock)
{
	if (!(message->header.flags & VHU_REPLY) || message->header.request != VHU_BACKEND_IOTLB_MSG ||
	    message->header.size != sizeof(message->u64) || message->fd_count || backend->answered == backend->asked)
		return -EPROTO;
	backend->answered++;
	if (message->u64)
		refused_locked(backend, backend->answered);
	else if (atomic_load_explicit(&backend->view, memory_order_relaxed))
		granted_locked(backend, backend->answered);
	return 0;
}

static int replies_locked(struct viommu_backend *backend) REQUIRES(backend->lock)
{
	struct channel_message message;
	int err = 0;

	for (unsigned i = 0; !err && i < REPLIES_PER_ROUND; i++) {
		err = channel_receive(&backend->back, &message);
		if (err)
			break;
		err = reply_locked(backend, &message);
		channel_close_fds(&message);
	}
	return err == -EAGAIN ? 0 : err;
}

static void ask_again_locked(struct viommu_backend *backend) REQUIRES(backend->lock)
{
	for (unsigned i = 0; backend->miss_count && i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &backend->misses[i];

		if (miss->used && !miss->sent && !miss->failed)
			ask_locked(backend, miss);
	}
}

/* A front end that closes it, as one that stops does, is asked no more: what is missing now is a fault in time. */
static void close_locked(struct viommu_backend *backend) REQUIRES(backend->lock)
{
	/* Closing does not end the watching: the front end may have kept our end of the socket, too. */
	epoll_ctl(backend->epoll_fd, EPOLL_CTL_DEL, backend->back.fd, NULL);
	channel_fini(&backend->back);
	backend->has_back = false;
}

int vbe_back_serve(struct viommu_backend *backend)
{
	int err = 0;

	lock_take(&backend->lock);
	if (backend->has_back) {
		err = replies_locked(backend);
		if (!err && backend->back_out)
			err = channel_flush(&backend->back);
		if (err == -EPIPE)
			close_locked(backend);
		else
			await_locked(backend);
		if (!err)
			ask_again_locked(backend);
	}
	lock_drop(&backend->lock);
	if (err == -EAGAIN || err == -EPIPE)
		return 0;
	if (err)
		vbe_log(&backend->log, "the channel for the back end's messages fails: %s", strerror(-err));
	return err;
}

/* Other files may wait when they are polled. */
static bool is_unix_stream(int fd)
{
	int domain, type;
	socklen_t domain_size = sizeof(domain), type_size = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_size) && domain == AF_UNIX &&
	       !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) && type == SOCK_STREAM;
}

int vbe_back_set(struct viommu_backend *backend, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct channel back;
	int err = is_unix_stream(fd) ? channel_init(&back, fd, backend->account) : -EINVAL;

	if (err) {
		reaper_close(backend->account, fd);
		return err;
	}
	if (epoll_ctl(backend->epoll_fd, EPOLL_CTL_ADD, fd, &event)) {
		err = -errno;
		channel_fini(&back);
		return err;
	}
	lock_take(&backend->lock);
	if (backend->has_back)
		close_locked(backend);
	backend->back = back;
	backend->has_back = true;
	backend->back_out = false;
	/* What was asked over the old one is asked again. */
	backend->asked = backend->answered = 0;
	for (unsigned i = 0; i < VBE_MISSES; i++) {
		backend->misses[i].sent = false;
		backend->misses[i].sequence = 0;
	}
	ask_again_locked(backend);
	lock_drop(&backend->lock);
	return 0;
}

void vbe_miss_expire(struct viommu_backend *backend)
{
	uint64_t now = clock_ns(), next = 0;

	lock_take(&backend->lock);
	for (unsigned i = 0; backend->miss_count && i < VBE_MISSES; i++) {
		struct vbe_miss *miss = &backend->misses[i];

		if (!miss->used)
			continue;
		if (miss->until_ns <= now && miss->failed)
			drop_locked(backend, miss);
		else if (miss->until_ns <= now)
			fail_locked(backend, miss, VIOMMU_FAULT_NOT_MAPPED);
		if (miss->used && (!next || miss->until_ns < next))
			next = miss->until_ns;
	}
	if (next)
		vbe_alarm_set(&backend->alarm, next);
	lock_drop(&backend->lock);
}

/* The first address from *at on, and not beyond `last`, that the shared table does not have. False: it has all. */
static bool find_hole_shared(struct viommu_backend *backend, uint64_t *at, uint64_t last, unsigned access)
{
	struct walk_result result;

	while (vbe_shared_find(backend, *at, access, &result)) {
		if (result.iova.last >= last)
			return false;
		*at = result.iova.last + 1;
	}
	return true;
}

/* The first address from *at on, and not beyond `last`, that is not kept with these rights. False: all are. */
static bool find_hole(const struct viommu_section *section, uint64_t *at, uint64_t last, unsigned access)
{
	struct viommu__leaf leaf;

	while (viommu__section_kept(section, *at, &leaf) && (leaf.access & access) == access) {
		if (leaf.len - 1 >= last - *at)
			return false;
		*at += leaf.len;
	}
	return true;
}

/* The same of both together. False: nothing is missing. */
static bool find_missing(struct viommu_backend *backend, const struct viommu_section *section, uint64_t *at,
			 uint64_t last, unsigned access)
{
	uint64_t before;

	do {
		before = *at;
		if (!find_hole_shared(backend, at, last, access) || !find_hole(section, at, last, access))
			return false;
	} while (*at != before);
	return true;
}

/*
 * Ask for what is missing from here on: with one message, or for one page where the front end answers no more than
 * that. Returns the last address that was asked for; false: too much is asked already.
 */
static bool want(struct viommu_backend *backend, struct range iova, unsigned access, uint64_t *last)
{
	lock_take(&backend->lock);
	if (backend->short_answers && page_of(iova.last) != page_of(iova.first))
		iova.last = iova.first | (VBE_PAGE - 1);
	const struct vbe_miss *miss = miss_locked(backend, iova, access);

	lock_drop(&backend->lock);
	*last = iova.last;
	return miss;
}

/*
 * Pages that are there are left out: who asks for them, uses them and gives them back before the front end reads it
 * asks for nothing.
 */
void viommu_backend_prefetch(struct viommu_backend *backend, struct viommu_section *section, struct viommu_iova iova,
			     uint64_t len, unsigned access)
{
	struct range range;
	uint64_t last;

	enum viommu__space space = viommu__section_space(section);

	if (space == VIOMMU__SPACE_NONE || space == VIOMMU__SPACE_KNOWN || !range_from_len(iova.value, len, &range))
		return;
	while (find_missing(backend, section, &range.first, range.last, access)) {
		if (!want(backend, range, access, &last) || last == range.last)
			return;
		range.first = last + 1;
	}
}
