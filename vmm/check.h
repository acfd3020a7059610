/* SPDX-License-Identifier: BSD-2-Clause */
/* Files and devices that the command line names, looked at before there is any machine. */
#ifndef VMM_CHECK_H
#define VMM_CHECK_H

struct run_config;

/* 0, or -errno after one line that says what is wrong. Leaves nothing open and makes nothing. */
int check_devices(const struct run_config *config);

#endif
