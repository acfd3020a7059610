/* SPDX-License-Identifier: BSD-2-Clause */
/* The socket's name in the file system: made, replaced where it is stale, removed. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/control/internal.h"
#include "vmm/util/log.h"

enum { BACKLOG = 8 };

static int socket_complain(const char *path, const char *why)
{
	vmm_log("--control: %s: %s", path, why);
	return -EINVAL;
}

/* True if a program listens there, even one whose backlog is full. */
static bool is_live(const struct sockaddr_un *address)
{
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const bool live =
		fd >= 0 && (!connect(fd, (const struct sockaddr *)address, sizeof(*address)) || errno != ECONNREFUSED);

	if (fd >= 0)
		close(fd);
	return live;
}

static int remove_stale(const struct sockaddr_un *address)
{
	struct stat status;

	if (lstat(address->sun_path, &status))
		return errno == ENOENT ? 0 : socket_complain(address->sun_path, strerror(errno));
	if (!S_ISSOCK(status.st_mode))
		return socket_complain(address->sun_path, "exists, and is not a socket");
	if (is_live(address))
		return socket_complain(address->sun_path, "in use by another program");
	return unlink(address->sun_path) ? socket_complain(address->sun_path, strerror(errno)) : 0;
}

/* The mode counts from the first moment, so it is the file mode mask that makes it 0600. */
static int bind_private(int fd, const struct sockaddr_un *address)
{
	const mode_t before = umask(0177);
	const int failed = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	const int error = errno;

	umask(before);
	return failed ? -error : 0;
}

static int bind_and_listen(struct control_socket *sock, const struct sockaddr_un *address)
{
	struct stat status;
	int error = bind_private(sock->fd, address);

	if (error == -EADDRINUSE) {
		error = remove_stale(address);
		if (error)
			return error;
		error = bind_private(sock->fd, address);
	}
	if (error)
		return socket_complain(sock->path, strerror(-error));
	if (lstat(sock->path, &status) || listen(sock->fd, BACKLOG)) {
		socket_complain(sock->path, strerror(errno));
		unlink(sock->path);
		return -EINVAL;
	}
	sock->device = status.st_dev;
	sock->inode = status.st_ino;
	return 0;
}

int control_socket_open(struct control_socket *sock, const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int error;

	*sock = (struct control_socket){.path = path, .fd = -1};
	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return socket_complain(path, "a socket's path has 1 to 107 characters");
	memcpy(address.sun_path, path, strlen(path));
	sock->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock->fd < 0)
		return socket_complain(path, strerror(errno));
	error = bind_and_listen(sock, &address);
	if (error) {
		close(sock->fd);
		sock->fd = -1;
	}
	return error;
}

/* Another monitor may have taken the name after ours was removed. */
void control_socket_close(struct control_socket *sock)
{
	struct stat status;

	if (!lstat(sock->path, &status) && status.st_dev == sock->device && status.st_ino == sock->inode)
		unlink(sock->path);
	close(sock->fd);
}
