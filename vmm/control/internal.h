/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside vmm/control. All on the I/O thread, but for the fault history. */
#ifndef VMM_CONTROL_INTERNAL_H
#define VMM_CONTROL_INTERNAL_H

#include <jansson.h>
#include <stddef.h>
#include <sys/stat.h>

#include "vmm/control/control.h"
#include "vmm/control/history.h"
#include "vmm/util/listener.h"

enum { CONTROL_LINE_MAX = 64 << 10, CONTROL_CLIENTS_MAX = 16 };

struct control_client;
struct iommu_config;

/* The listening socket and its name; the inode says whether the name is still ours when we remove it. */
struct control_socket {
	const char *path;
	int fd;
	dev_t device;
	ino_t inode;
};

struct control {
	const struct run_config *config;
	struct control_machine machine; /* machine.loop is NULL between two machines */
	unsigned boots;
	uint64_t start_ns;
	bool stopped;
	struct control_socket socket;
	int spare_fd; /* given up for a moment to accept, and turn away, a client when descriptors are used up */
	struct listener listener;
	struct control_client *clients;
	unsigned client_count;
	struct fault_history faults;
};

/* Bind and listen; a stale socket is replaced, anything else in its place is left alone. -errno, logged. */
int control_socket_open(struct control_socket *socket, const char *path);
void control_socket_close(struct control_socket *socket);

/* Take a connected, non-blocking socket; closes it on an error. */
void control_client_add(struct control *control, int fd);
void control_client_attach(struct control_client *client);
void control_client_detach(struct control_client *client);
/* Write what can be written, and close. */
void control_client_remove(struct control_client *client);
struct control_client *control_client_next(const struct control_client *client);

/* The reply to a line, with its newline, to be freed; NULL: no memory. */
char *control_answer(struct control *control, const char *line, size_t len);
char *control_error(const char *text);

/* What an answer says where there are VT-d units. */
void control_add_vtd_info(json_t *info, const struct iommu_config *config);
void control_add_vtd_stats(json_t *answer, const struct control_machine *machine, uint64_t walks);

#endif
