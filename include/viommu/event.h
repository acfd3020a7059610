/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Eventfds that an untrusted peer has, too: a vhost-user back end, or a front end. A descriptor that
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
 * viommu_event_setup - get ready to signal: the kernel's asynchronous I/O does it, because a write() can be made to
 * wait. What can connect to a peer does this when it is made (viommu_vhu_create(), viommu_backend_create()); a child
 * after fork() has to do it again. Any thread.
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
 *   -errno   of preadv2(): no eventfd
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
