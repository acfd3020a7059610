/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/util/signals.h"

#include <signal.h>
#include <stddef.h>

void signals_catch_end(void (*handler)(int number))
{
	const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	const struct sigaction action = {.sa_handler = handler};

	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct sigaction inherited;

		if (numbers[i] == SIGTERM || sigaction(numbers[i], NULL, &inherited) || inherited.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
	signal(SIGPIPE, SIG_IGN);
}
