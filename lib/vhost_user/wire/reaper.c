/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/vhost_user/wire/reaper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/util/lock.h"

enum { SETTLE_TRIES = 200, SETTLE_PAUSE_NS = 100000 };

/* For a few instructions at a time, whatever the accounts' threads wait for. */
static struct lock lock = LOCK_INITIALIZER;
/* Counts forks, for a child has none of its parent's threads. */
static unsigned process GUARDED_BY(lock) = 1;

struct job {
	struct job *next;
	int fd;
};

struct reaper_account {
	_Atomic unsigned references; /* the owner, and its thread */
	_Atomic unsigned unclosed;
	struct job *first GUARDED_BY(lock), **last GUARDED_BY(lock);
	unsigned thread GUARDED_BY(lock); /* the `process` whose thread is at it; 0: none */
};

static void reaper_release(struct reaper_account *account)
{
	/* Release and acquire: the thread that frees it comes after all that others did with it. */
	if (atomic_fetch_sub_explicit(&account->references, 1, memory_order_acq_rel) == 1)
		free(account);
}

/* NULL: there is nothing left to do, and from now on the account has no thread. */
static struct job *next_job(struct reaper_account *account)
{
	lock_take(&lock);
	struct job *job = account->first;

	if (job)
		account->first = job->next;
	else
		account->thread = 0;
	if (!account->first)
		account->last = &account->first;
	lock_drop(&lock);
	return job;
}

static void *reap(void *opaque)
{
	struct reaper_account *account = opaque;
	struct job *job;

	while ((job = next_job(account))) {
		close(job->fd);
		free(job);
		/* Release: a thread that sees this count finds the number of the descriptor free. */
		atomic_fetch_sub_explicit(&account->unclosed, 1, memory_order_release);
	}
	reaper_release(account);
	return NULL;
}

/* What the parent's threads were to close are copies in the child. */
static void reaper_forget(void) NO_OTHER_THREAD
{
	lock_init(&lock);
	process++;
}

static void reaper_watch_forks(void)
{
	pthread_atfork(NULL, NULL, reaper_forget);
}

/* Signals are for the embedder's threads. */
static bool reaper_start(struct reaper_account *account)
{
	sigset_t all, before;
	pthread_attr_t attributes;
	pthread_t thread;

	if (pthread_attr_init(&attributes))
		return false;
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	bool started = !pthread_create(&thread, &attributes, reap, account);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	return started;
}

static void reaper_init(struct reaper_account *account) NO_OTHER_THREAD
{
	atomic_init(&account->references, 1);
	account->last = &account->first;
}

int reaper_open(struct reaper_account **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct reaper_account *account = calloc(1, sizeof(*account));

	if (!account)
		return -ENOMEM;
	pthread_once(&once, reaper_watch_forks);
	reaper_init(account);
	*out = account;
	return 0;
}

unsigned reaper_unclosed(const struct reaper_account *account)
{
	return atomic_load_explicit(&account->unclosed, memory_order_acquire);
}

void reaper_settle(struct reaper_account *account)
{
	const struct timespec pause = {.tv_nsec = SETTLE_PAUSE_NS};

	for (unsigned i = 0; i < SETTLE_TRIES && reaper_unclosed(account); i++)
		nanosleep(&pause, NULL);
}

void reaper_leave(struct reaper_account *account)
{
	if (!account)
		return;
	reaper_settle(account);
	reaper_release(account);
}

/* True: the account had no thread of this process, and is to get one. */
static bool reaper_add(struct reaper_account *account, struct job *job)
{
	lock_take(&lock);
	const bool idle = account->thread != process;

	*account->last = job;
	account->last = &job->next;
	account->thread = process;
	lock_drop(&lock);
	return idle;
}

void reaper_close(struct reaper_account *account, int fd)
{
	struct job *job = account ? malloc(sizeof(*job)) : NULL;

	if (!job) {
		close(fd);
		return;
	}
	*job = (struct job){.fd = fd};
	atomic_fetch_add_explicit(&account->unclosed, 1, memory_order_relaxed);
	if (!reaper_add(account, job))
		return;
	atomic_fetch_add_explicit(&account->references, 1, memory_order_relaxed);
	if (!reaper_start(account))
		reap(account);
}
