/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/virtio/blk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "vmm/util/file.h"
#include "vmm/util/log.h"

static int set_lock(int fd, short type)
{
	/* From the first byte on, without end. */
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET};

	return fcntl(fd, F_OFD_SETLK, &lock) ? -errno : 0;
}

/* A lock of the open file, which lives until it is closed, and not one of the process. */
static int lock_image(struct blk_image *image, const char *path)
{
	int err = set_lock(image->fd, image->readonly ? F_RDLCK : F_WRLCK);

	if (err == -EAGAIN || err == -EACCES) {
		vmm_log(image->readonly ? "disk %s: another program writes to it (it is locked)"
					: "disk %s: another program uses it (it is locked)",
			path);
		return -EBUSY;
	}
	image->unlocked = err;
	return 0;
}

/* lseek() tells the size of block devices, too. */
static int blk_image_measure(struct blk_image *image, const char *path)
{
	struct stat stat;
	off_t size;

	size = lseek(image->fd, 0, SEEK_END);
	if (fstat(image->fd, &stat) || size < BLK_SECTOR) {
		vmm_log("disk %s: not a file of at least %d bytes", path, BLK_SECTOR);
		return -EINVAL;
	}
	image->block_device = S_ISBLK(stat.st_mode);
	image->sectors = (uint64_t)size / BLK_SECTOR;
	return 0;
}

/* File systems that are known to say -EAGAIN where they would have to wait. */
static bool keeps_promise(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs))
		return false;
	switch (fs.f_type) {
	case BTRFS_SUPER_MAGIC:
	case EXT4_SUPER_MAGIC:
	case TMPFS_MAGIC:
	case XFS_SUPER_MAGIC:
		return true;
	}
	return false;
}

int blk_image_open(struct blk_image *image, const char *path, bool readonly)
{
	int fd = file_open(path, readonly ? O_RDONLY : O_RDWR, 0, FILE_REGULAR | FILE_BLOCK), err;

	*image = (struct blk_image){.path = path, .fd = fd, .readonly = readonly};
	if (fd < 0) {
		vmm_log("disk %s: %s", path,
			fd == -EMEDIUMTYPE ? "neither a file nor a block device, or one of the kernel's own"
					   : strerror(-fd));
		return fd;
	}
	fcntl(fd, F_SETFL, 0); /* O_NONBLOCK would keep io_uring from waiting for a file */
	err = blk_image_measure(image, path);
	image->may_wait = !image->block_device && !keeps_promise(image->fd);
	if (!err)
		err = lock_image(image, path);
	if (err)
		close(image->fd);
	return err;
}

void blk_image_close(struct blk_image *image)
{
	set_lock(image->fd, F_UNLCK);
	close(image->fd);
}
