/* SPDX-License-Identifier: BSD-2-Clause */
/* viommu-net-backend: a network device for other programs' guests, over vhost-user. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net-backend/device.h"
#include "net-backend/listen.h"
#include "vmm/util/listener.h"
#include "vmm/util/log.h"
#include "vmm/util/number.h"
#include "vmm/util/options.h"
#include "vmm/util/signals.h"
#include "vmm/util/streams.h"

enum { STATUS_OK = 0, STATUS_UNUSABLE = 2, STATUS_FAILED = 4 };

struct request {
	const char *socket, *tap;
	unsigned queues;
	bool once, help, version;
};

struct server {
	struct request request;
	struct loop *loop;
	int listen_fd;
	struct listener listener;
	struct net_backend device;
	int status;
};

static struct server server;

enum { SOCKET, TAP, QUEUES, ONCE, HELP, VERSION, OPTIONS };

static const char help[] =
	"Usage: viommu-net-backend --socket SOCK --tap NAME [--queues N] [--once]\n"
	"\n"
	"A vhost-user network device: connects the guest of a program that speaks vhost-user\n"
	"(viommu, QEMU, ...) with a tap interface of this machine. Where that guest has an IOMMU,\n"
	"every access to its memory goes through it.\n"
	"\n"
	"  --socket SOCK  the Unix socket to listen on; one front end at a time is served\n"
	"  --tap NAME     an existing tap interface: ip tuntap add dev NAME mode tap && ip link set NAME up\n"
	"  --queues N     queue pairs, 1 to 8 (1); more than 1 need a tap made with multi_queue\n"
	"  --once         end when the first front end has gone\n"
	"  --help         this text\n"
	"  --version      the version\n"
	"\n"
	"With QEMU, whose guest's memory must be shared:\n"
	"\n"
	"  qemu-system-x86_64 -machine q35,kernel-irqchip=split -m 1G \\\n"
	"    -object memory-backend-memfd,id=ram,size=1G,share=on -machine memory-backend=ram \\\n"
	"    -device intel-iommu,intremap=on,device-iotlb=on \\\n"
	"    -chardev socket,id=net,path=SOCK -netdev vhost-user,id=net,chardev=net \\\n"
	"    -device virtio-net-pci,netdev=net,iommu_platform=on,ats=on ...\n"
	"\n"
	"Ends with 0 after SIGTERM, SIGINT or SIGHUP, with 2 where the arguments or this machine are of\n"
	"no use, with 4 where it fails later.\n";

static int unusable(const char *what)
{
	vmm_log("%s; see viommu-net-backend --help", what);
	return STATUS_UNUSABLE;
}

static int take_option(struct request *request, int option, const char *value)
{
	switch (option) {
	case SOCKET:
		request->socket = value;
		return 0;
	case TAP:
		request->tap = value;
		return 0;
	case QUEUES:
		return number_option("queues", value, 1, NET_MAX_PAIRS, &request->queues);
	case ONCE:
		request->once = true;
		return 0;
	case HELP:
		request->help = true;
		return 0;
	case VERSION:
		request->version = true;
		return 0;
	default:
		return -EINVAL;
	}
}

static int read_options(int argc, char **argv, struct request *request)
{
	static const struct option_spec specs[OPTIONS] = {
		[SOCKET] = {"socket", OPTION_VALUE, false, false}, [TAP] = {"tap", OPTION_VALUE, false, false},
		[QUEUES] = {"queues", OPTION_VALUE, false, false}, [ONCE] = {"once", OPTION_ALONE, false, false},
		[HELP] = {"help", OPTION_ALONE, false, false},     [VERSION] = {"version", OPTION_ALONE, false, false},
	};
	struct options words = {
		.command = "viommu-net-backend", .specs = specs, .count = OPTIONS, .argc = argc, .argv = argv};
	const char *value;
	int option, err = 0;

	*request = (struct request){.queues = 1};
	while (!err && (option = options_next(&words, &value)) >= 0)
		err = take_option(request, option, value);
	if (!err && option == OPTIONS_WORD)
		options_unexpected(&words, value);
	return err || option == OPTIONS_END ? err : -EINVAL;
}

/* -1: go on; else the status to end with. */
static int main_parse(int argc, char **argv, struct request *request)
{
	if (read_options(argc, argv, request))
		return STATUS_UNUSABLE;
	if (request->help || request->version) {
		fputs(request->help ? help : "viommu-net-backend " VIOMMU_VERSION "\n", stdout);
		return streams_finish(STATUS_OK);
	}
	if (!request->socket)
		return unusable("--socket SOCK is missing");
	return request->tap ? -1 : unusable("--tap NAME is missing");
}

/* A front end that breaks the rules has had its line in the log. */
static void connection_over(void *opaque, int error)
{
	(void)opaque;
	if (net_backend_may_log())
		vmm_log("the front end has gone%s%s", error ? ": " : "", error ? strerror(-error) : "");
	if (server.request.once || server.device.card.tap_gone) {
		server.status = server.device.card.tap_gone ? STATUS_FAILED : STATUS_OK;
		loop_stop(server.loop);
	}
}

static void take_connection(void *opaque, int fd)
{
	int err = net_backend_connect(&server.device, fd);

	(void)opaque;
	if (!net_backend_may_log())
		return;
	if (err)
		vmm_log("a front end cannot be served: %s", strerror(-err));
	else
		vmm_log("a front end has come");
}

/* One at a time; a front end that comes meanwhile waits. */
static bool may_come(void *opaque)
{
	(void)opaque;
	return !server.device.connection && !viommu_backend_peer_crowded(server.device.peer);
}

static const struct listener_ops listener_ops = {.accepted = take_connection, .ready = may_come};

static void end_cb(int signal)
{
	(void)signal;
	loop_stop(server.loop);
}

/*
 * The front end made a file of its memory shorter. What is missing becomes zeroes of ours; nobody but its own guest is
 * any the worse. Any other such signal ends the program.
 */
static void memory_lost(int number, siginfo_t *info, void *context)
{
	void *page = (void *)((uintptr_t)info->si_addr & ~(uintptr_t)4095);

	(void)context;
	if (info->si_code == BUS_ADRERR && server.device.connection &&
	    mmap(page, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page)
		return;
	signal(number, SIG_DFL);
}

static int main_run(void)
{
	int err = listener_start(&server.listener, server.loop);

	if (!err)
		err = loop_run(server.loop);
	if (!err)
		return server.status;
	vmm_log("epoll: %s", strerror(-err));
	return STATUS_FAILED;
}

int main(int argc, char **argv)
{
	const struct sigaction lost = {.sa_sigaction = memory_lost, .sa_flags = SA_SIGINFO};
	int status;

	vmm_log_name("viommu-net-backend");
	if (!streams_open())
		return STATUS_UNUSABLE;
	status = main_parse(argc, argv, &server.request);
	if (status >= 0)
		return status;
	if (loop_create(&server.loop))
		return unusable("there is no memory, or there are no file descriptors");
	server.device.over = connection_over;
	if (net_backend_init(&server.device, server.loop, server.request.tap, server.request.queues))
		return STATUS_UNUSABLE;
	if (listen_at(server.request.socket, &server.listen_fd))
		return STATUS_UNUSABLE;
	if (listener_init(&server.listener, server.listen_fd, server.request.socket, &listener_ops, NULL)) {
		unlink(server.request.socket);
		return unusable("there are no file descriptors");
	}
	signals_catch_end(end_cb);
	sigaction(SIGBUS, &lost, NULL);
	status = main_run();
	listener_fini(&server.listener);
	net_backend_fini(&server.device);
	/* The socket is left to the kernel: front ends that wait there may have sent descriptors whose closing takes
	 * long. */
	unlink(server.request.socket);
	loop_destroy(server.loop);
	return status;
}
