/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines for the operator: one line each on stderr, the program's name in front. Any thread. */
#ifndef VMM_LOG_H
#define VMM_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* "viommu" unless another program says so, before there are threads; not copied, at most 60 bytes. */
void vmm_log_name(const char *name);

void vmm_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* For lines that a peer can cause as often as it likes: ten in five seconds. All zero at first; one thread at a time. */
struct log_limit {
	int64_t window; /* the stretch of time in which so many lines were told */
	unsigned lines;
};

/* May there be another one now? */
bool vmm_log_may(struct log_limit *limit);

#endif
