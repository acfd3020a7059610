/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines for the operator: one line each on stderr, the program's name in front. Any thread. */
#ifndef VMM_LOG_H
#define VMM_LOG_H

/* "viommu" unless another program says so, before there are threads; not copied, at most 60 bytes. */
void vmm_log_name(const char *name);

void vmm_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
