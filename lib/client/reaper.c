/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/client/reaper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LEAVE_TRIES = 200, LEAVE_PAUSE_NS = 100000 };

struct reaper_account {
	_Atomic unsigned references; /* the owner, and each descriptor */
};

struct job {
	struct job *next;
	struct reaper_account *account;
	int fd;
};

/* The process's one reaper. Its jobs are done one after the other: one that does not end keeps those behind it, which wait for nobody. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static struct job *first, **last = &first;
static bool running;

static void release(struct reaper_account *account)
{
	/* Release and acquire: who frees it comes after all that others did with it. */
	if (atomic_fetch_sub_explicit(&account->references, 1, memory_order_acq_rel) == 1)
		free(account);
}

static struct job *next_job(void)
{
	pthread_mutex_lock(&lock);
	while (!first)
		pthread_cond_wait(&more, &lock);
	struct job *job = first;

	first = job->next;
	if (!first)
		last = &first;
	pthread_mutex_unlock(&lock);
	return job;
}

static void *reap(void *opaque)
{
	(void)opaque;
	for (;;) {
		struct job *job = next_job();

		close(job->fd);
		release(job->account);
		free(job);
	}
	return NULL;
}

/* The child has no such thread; what it was to close are copies. */
static void forget(void)
{
	pthread_mutex_init(&lock, NULL);
	pthread_cond_init(&more, NULL);
	running = false;
}

/* Signals are for the embedder's threads. */
static bool start_locked(void)
{
	static bool watching;
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;

	if (!watching)
		pthread_atfork(NULL, NULL, forget);
	watching = true;
	if (pthread_attr_init(&attributes))
		return false;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool started = !pthread_create(&thread, &attributes, reap, NULL);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return started;
}

int reaper_open(struct reaper_account **out)
{
	struct reaper_account *account = malloc(sizeof(*account));

	if (!account)
		return -ENOMEM;
	atomic_init(&account->references, 1);
	*out = account;
	return 0;
}

unsigned reaper_unclosed(const struct reaper_account *account)
{
	return atomic_load_explicit(&account->references, memory_order_relaxed) - 1;
}

void reaper_leave(struct reaper_account *account)
{
	const struct timespec pause = {.tv_nsec = LEAVE_PAUSE_NS};

	if (!account)
		return;
	for (unsigned i = 0; i < LEAVE_TRIES && reaper_unclosed(account); i++)
		nanosleep(&pause, NULL);
	release(account);
}

static bool hand_over(struct job *job)
{
	pthread_mutex_lock(&lock);
	if (!running)
		running = start_locked();
	if (running) {
		*last = job;
		last = &job->next;
		pthread_cond_signal(&more);
	}
	bool taken = running;

	pthread_mutex_unlock(&lock);
	return taken;
}

void reaper_close(struct reaper_account *account, int fd)
{
	struct job *job = account ? malloc(sizeof(*job)) : NULL;

	if (!job) {
		close(fd);
		return;
	}
	*job = (struct job){.account = account, .fd = fd};
	atomic_fetch_add_explicit(&account->references, 1, memory_order_relaxed);
	if (hand_over(job))
		return;
	close(fd);
	release(account);
	free(job);
}
