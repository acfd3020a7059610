/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines for the operator: one line each on stderr, "viommu: " in front. Any thread. */
#ifndef VMM_LOG_H
#define VMM_LOG_H

void vmm_log(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
