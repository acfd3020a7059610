/* SPDX-License-Identifier: BSD-2-Clause */
/* As lib/util/lock.h, for the monitor, which knows the library only from outside: a mutex that clang understands. */
#ifndef VMM_UTIL_MUTEX_H
#define VMM_UTIL_MUTEX_H

#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#if defined(__clang__)
#define LOCK_ATTR(x) __attribute__((x))
#else
#define LOCK_ATTR(x)
#endif

/* What each means, and what the compiler does not see: lib/util/lock.h. */
#ifdef LOCK_CHECKS_FIELDS
#define GUARDED_BY(lock) LOCK_ATTR(guarded_by(&lock))
#else
#define GUARDED_BY(lock)
#endif
#define REQUIRES(lock) LOCK_ATTR(requires_capability(lock))
#define NO_OTHER_THREAD LOCK_ATTR(no_thread_safety_analysis)

struct LOCK_ATTR(capability("mutex")) mutex {
	pthread_mutex_t posix;
};

static inline int mutex_init(struct mutex *mutex)
{
	return -pthread_mutex_init(&mutex->posix, NULL);
}

static inline void mutex_fini(struct mutex *mutex)
{
	pthread_mutex_destroy(&mutex->posix);
}

static inline void mutex_take(struct mutex *mutex) LOCK_ATTR(acquire_capability(mutex))
	LOCK_ATTR(no_thread_safety_analysis)
{
	pthread_mutex_lock(&mutex->posix);
}

/* True: it is taken. */
static inline bool mutex_try(struct mutex *mutex) LOCK_ATTR(try_acquire_capability(true, mutex))
	LOCK_ATTR(no_thread_safety_analysis)
{
	return !pthread_mutex_trylock(&mutex->posix);
}

static inline void mutex_drop(struct mutex *mutex) LOCK_ATTR(release_capability(mutex))
	LOCK_ATTR(no_thread_safety_analysis)
{
	pthread_mutex_unlock(&mutex->posix);
}

/* The lock is free meanwhile. */
static inline void mutex_wait(struct mutex *mutex, pthread_cond_t *condition) REQUIRES(mutex)
{
	pthread_cond_wait(condition, &mutex->posix);
}

/* 0 or ETIMEDOUT. */
static inline int mutex_wait_until(struct mutex *mutex, pthread_cond_t *condition, const struct timespec *until)
	REQUIRES(mutex)
{
	return pthread_cond_timedwait(condition, &mutex->posix, until);
}

#endif
