/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/kvm/kick.h"

#include <signal.h>
#include <stddef.h>

static pthread_once_t handler_once = PTHREAD_ONCE_INIT;

static int kick_signal(void)
{
	return SIGRTMIN;
}

static void kick_handler(int signal)
{
	(void)signal;
}

/* No SA_RESTART: the interruption is the point. */
static void install_handler(void)
{
	struct sigaction action = {.sa_handler = kick_handler};

	sigemptyset(&action.sa_mask);
	sigaction(kick_signal(), &action, NULL);
}

int kick_thread_create(pthread_t *thread, const char *name, void *(*run)(void *opaque), void *opaque)
{
	sigset_t quiet, before;

	pthread_once(&handler_once, install_handler);
	sigfillset(&quiet);
	sigdelset(&quiet, kick_signal());
	/* The thread inherits the mask, so there is no moment in which it could take another signal. */
	pthread_sigmask(SIG_SETMASK, &quiet, &before);

	const int error = pthread_create(thread, NULL, run, opaque);

	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (error)
		return -error;
	pthread_setname_np(*thread, name);
	return 0;
}

void kick_thread(pthread_t thread)
{
	pthread_kill(thread, kick_signal());
}
