/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where --serial file= goes: opened once, before there is a VM, and kept while the guest reboots, so that a reader sees
 * no end in between.
 */
#ifndef VMM_SERIAL_FILE_H
#define VMM_SERIAL_FILE_H

struct serial_file {
	int fd;     /* or -1 */
	char *made; /* by us, so it is removed on an error; or NULL */
};

/* 0, or -errno after one line. Never waits. */
int serial_file_open(struct serial_file *file, const char *path);

/* From now on the guest may have written to it: it stays. */
void serial_file_keep(struct serial_file *file);
void serial_file_close(struct serial_file *file);

#endif
