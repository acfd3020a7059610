/* SPDX-License-Identifier: BSD-2-Clause */
/* A mutex that clang's -Wthread-safety understands, and the words to say what it guards. */
#ifndef LIB_UTIL_LOCK_H
#define LIB_UTIL_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#if defined(__clang__)
#define LOCK_ATTR(x) __attribute__((x))
#else
#define LOCK_ATTR(x)
#endif

/* On fields: for the reader. C compilers cannot yet name a sibling field in an attribute. */
#define GUARDED_BY(lock)
#define REQUIRES(lock) LOCK_ATTR(requires_capability(lock))
#define EXCLUDES(lock) LOCK_ATTR(locks_excluded(lock))

struct LOCK_ATTR(capability("mutex")) lock {
	pthread_mutex_t mutex;
};

static inline int lock_init(struct lock *lock)
{
	return -pthread_mutex_init(&lock->mutex, NULL);
}

static inline void lock_fini(struct lock *lock)
{
	pthread_mutex_destroy(&lock->mutex);
}

static inline void lock_take(struct lock *lock) LOCK_ATTR(acquire_capability(lock)) LOCK_ATTR(no_thread_safety_analysis)
{
	pthread_mutex_lock(&lock->mutex);
}

/* True: taken. */
static inline bool lock_try(struct lock *lock) LOCK_ATTR(try_acquire_capability(true, lock))
	LOCK_ATTR(no_thread_safety_analysis)
{
	return !pthread_mutex_trylock(&lock->mutex);
}

static inline void lock_drop(struct lock *lock) LOCK_ATTR(release_capability(lock)) LOCK_ATTR(no_thread_safety_analysis)
{
	pthread_mutex_unlock(&lock->mutex);
}

#endif
