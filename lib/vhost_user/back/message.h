/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of the front end: found in a table, checked, performed, answered. */
#ifndef LIB_VHOST_USER_BACK_MESSAGE_H
#define LIB_VHOST_USER_BACK_MESSAGE_H

struct channel_message;
struct viommu_backend;

/* Do what a message of the front end says. Errors end the connection. */
int vbe_message(struct viommu_backend *backend, struct channel_message *message);

#endif
