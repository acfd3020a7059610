/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Functions for eventfds that an untrusted peer has as well: a vhost-user back end, or a front end. A descriptor that
 * was sent over a socket shares its flags with the one that was kept: the other side may make it blocking at any time,
 * empty its counter just before a read() that then waits for ever, or fill it before a write(). Taking and signalling
 * by these functions does not wait, whatever the other side does.
 */
#ifndef VIOMMU_EVENT_H
#define VIOMMU_EVENT_H

#include <viommu/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * viommu_event_setup - prepare this process for viommu_event_signal(), which signals by the kernel's asynchronous I/O,
 * because a peer can make a write() wait. viommu_vhu_create() and viommu_backend_create() call it; others call it
 * themselves. A child has to call it again after fork(). Any thread.
 *
 * Errors:
 *   -EAGAIN  others have taken all of aio-max-nr, proc_sys_fs(5)
 *   -ENOSYS
 */
VIOMMU_PUBLIC int viommu_event_setup(void);

/*
 * viommu_event_take - empty the counter. Any thread. Needs Linux 5.8.
 *
 * Errors:
 *   -EAGAIN  it was not signalled
 *   -errno   of preadv2(): @fd is no eventfd, or the kernel is too old
 */
VIOMMU_PUBLIC int viommu_event_take(int fd);

/*
 * viommu_event_signal - add one; a counter that is full stays so, which wakes as well. Any thread. As long as
 * viommu_event_setup() has failed it makes the descriptor non-blocking and writes; a peer that is quick enough could
 * then stop the caller.
 *
 * Errors:
 *   -EINVAL  no eventfd
 *   -EBADF   no descriptor
 */
VIOMMU_PUBLIC int viommu_event_signal(int fd);

#ifdef __cplusplus
}
#endif
#endif
