/* SPDX-License-Identifier: BSD-2-Clause */
#include "net-backend/listen.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/util/log.h"

enum { BACKLOG = 8 };

static int listen_refuse(const char *path, int error, const char *why)
{
	vmm_log("socket %s: %s", path, why);
	return -error;
}

/* True if nothing listens there: the program that made the socket is gone. */
static bool is_stale(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool stale;

	if (fd < 0)
		return false;
	stale = connect(fd, (const struct sockaddr *)address, sizeof(*address)) && errno == ECONNREFUSED;
	close(fd);
	return stale;
}

static int listen_make_room(const struct sockaddr_un *address)
{
	struct stat stat;

	if (lstat(address->sun_path, &stat))
		return errno == ENOENT ? 0 : listen_refuse(address->sun_path, errno, strerror(errno));
	if (!S_ISSOCK(stat.st_mode))
		return listen_refuse(address->sun_path, EEXIST, "there is a file that is not a socket");
	if (!is_stale(address))
		return listen_refuse(address->sun_path, EADDRINUSE, "another program listens there");
	return unlink(address->sun_path) ? listen_refuse(address->sun_path, errno, strerror(errno)) : 0;
}

int listen_at(const char *path, int *fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int ret;

	if (!*path || strlen(path) >= sizeof(address.sun_path))
		return listen_refuse(path, EINVAL, "a path of 1 to 107 bytes is needed");
	memcpy(address.sun_path, path, strlen(path));
	ret = listen_make_room(&address);
	if (ret)
		return ret;
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return listen_refuse(path, errno, strerror(errno));
	if (!bind(*fd, (struct sockaddr *)&address, sizeof(address)) && !listen(*fd, BACKLOG))
		return 0;
	ret = listen_refuse(path, errno, strerror(errno));
	close(*fd);
	return ret;
}
