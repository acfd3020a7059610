/* SPDX-License-Identifier: BSD-2-Clause */
/* The raw file or block device behind a disk. */
#ifndef VMM_VIRTIO_BLK_IMAGE_H
#define VMM_VIRTIO_BLK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

enum { BLK_SECTOR = 512 };

struct blk_image {
	const char *path; /* the caller's, for lines */
	int fd;
	uint64_t sectors;
	bool block_device;
	bool readonly;
	/*
	 * Its reads and writes may wait although io_uring asks them not to, as FUSE's do: another thread has to begin
	 * them.
	 */
	bool may_wait;
	/* The file system knows no locks (the error is here, or 0): nothing keeps other programs away. */
	int unlocked;
};

/*
 * Open and lock it: as its only user, or where it is only read as one of several that do. The path is not copied. 0, or
 * -errno after one line that says what is wrong; -EBUSY: another program has it.
 */
int blk_image_open(struct blk_image *image, const char *path, bool readonly);

/* The lock goes at once, even if another descriptor still refers to the open file. */
void blk_image_close(struct blk_image *image);

#endif
