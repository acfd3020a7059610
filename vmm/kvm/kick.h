/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that sit in the kernel (KVM_RUN, a write to a full pipe) and must come back when asked: a signal without
 * effect of its own ends the system call with EINTR.
 */
#ifndef VMM_KICK_H
#define VMM_KICK_H

#include <pthread.h>

/* Start a thread that takes no signal but the kick. */
int kick_thread_create(pthread_t *thread, const char *name, void *(*run)(void *opaque), void *opaque);

/* Interrupt what the thread, not yet joined, waits for in the kernel now. What it calls later is not interrupted. */
void kick_thread(pthread_t thread);

#endif
