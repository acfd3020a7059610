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

/*
 * On fields: which lock of the same struct has to be held. Compilers before clang 19 cannot name a sibling field in an
 * attribute; the build says when this one can. The check is by field: it does not tell the locks of two objects of one
 * type apart, and it does not follow pointers: neither to a field, nor to functions, nor to an object whose lock guards
 * a field of another object. There a comment says which lock it is. A file's static lock may guard fields and variables
 * alike.
 */
#ifdef LOCK_CHECKS_FIELDS
#define GUARDED_BY(lock) LOCK_ATTR(guarded_by(&lock))
#else
#define GUARDED_BY(lock)
#endif
#define REQUIRES(lock) LOCK_ATTR(requires_capability(lock))
#define EXCLUDES(lock) LOCK_ATTR(locks_excluded(lock))
/*
 * On functions that make an object or destroy it: no other thread knows it yet, or any more, so what it holds is used
 * without its locks. Such a function is not checked at all, so it should do nothing else.
 */
#define NO_OTHER_THREAD LOCK_ATTR(no_thread_safety_analysis)

struct LOCK_ATTR(capability("mutex")) lock {
	pthread_mutex_t mutex;
};

/* For static locks. */
#define LOCK_INITIALIZER {PTHREAD_MUTEX_INITIALIZER}

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

/*
 * In callbacks, whose callers the compiler does not see: they hold the lock, or no other thread knows the object any
 * more. Does nothing.
 */
static inline void lock_is_held(const struct lock *lock) LOCK_ATTR(assert_capability(lock))
{
	(void)lock;
}

#endif
