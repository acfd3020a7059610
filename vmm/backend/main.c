/* SPDX-License-Identifier: BSD-2-Clause */
/* viommu-net-backend: a network device for other programs' guests, over vhost-user. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vmm/backend/device.h"
#include "vmm/backend/listen.h"
#include "vmm/util/listener.h"
#include "vmm/util/log.h"

enum { STATUS_OK = 0, STATUS_UNUSABLE = 2, STATUS_FAILED = 4 };

struct options {
	const char *socket, *tap;
	unsigned queues;
	bool once;
};

struct server {
	struct options options;
	struct loop *loop;
	int listen_fd;
	struct listener listener;
	struct net_backend device;
	int status;
};

static struct server server;

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
	"Ends with 0 after SIGTERM or SIGINT, with 2 where the arguments or this machine are of no use,\n"
	"with 4 where it fails later.\n";

static int unusable(const char *what)
{
	vmm_log("%s; see viommu-net-backend --help", what);
	return STATUS_UNUSABLE;
}

static bool parse_queues(const char *text, unsigned *queues)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	*queues = (unsigned)value;
	return *text >= '1' && *text <= '9' && !*end && value <= NET_MAX_PAIRS;
}

/* -1: go on; else the status to end with. */
static int parse(int argc, char **argv, struct options *options)
{
	static const struct option known[] = {
		{"socket", required_argument, NULL, 's'},
		{"tap", required_argument, NULL, 't'},
		{"queues", required_argument, NULL, 'q'},
		{"once", no_argument, NULL, 'o'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	char line[256];

	*options = (struct options){.queues = 1};
	for (int option; (option = getopt_long(argc, argv, "+:", known, NULL)) != -1;) {
		switch (option) {
		case 's':
			options->socket = optarg;
			break;
		case 't':
			options->tap = optarg;
			break;
		case 'q':
			if (!parse_queues(optarg, &options->queues))
				return unusable("--queues needs a number from 1 to 8");
			break;
		case 'o':
			options->once = true;
			break;
		case 'h':
			fputs(help, stdout);
			return STATUS_OK;
		case 'v':
			puts("viommu-net-backend " VIOMMU_VERSION);
			return STATUS_OK;
		default:
			snprintf(line, sizeof(line), option == ':' ? "%.200s needs a value" : "%.200s is no option",
				 argv[optind - 1]);
			return unusable(line);
		}
	}
	if (optind < argc) {
		snprintf(line, sizeof(line), "%.200s is no option", argv[optind]);
		return unusable(line);
	}
	if (!options->socket)
		return unusable("--socket SOCK is missing");
	return options->tap ? -1 : unusable("--tap NAME is missing");
}

/* A front end that breaks the rules has had its line in the log. */
static void connection_over(void *opaque, int error)
{
	(void)opaque;
	if (net_backend_may_log())
		vmm_log("the front end has gone%s%s", error ? ": " : "", error ? strerror(-error) : "");
	if (server.options.once || server.device.card.tap_gone) {
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

/* One at a time; who comes meanwhile waits. */
static bool may_come(void *opaque)
{
	(void)opaque;
	return !server.device.connection && !net_backend_crowded(&server.device);
}

static const struct listener_ops listener_ops = {.accepted = take_connection, .ready = may_come};

static void end_cb(int signal)
{
	(void)signal;
	loop_stop(server.loop);
}

/*
 * The front end made a file of its memory shorter. What is missing becomes zeroes of ours; nobody but its own guest is any the worse. Any other
 * such signal ends the program.
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

static void catch_signals(void)
{
	struct sigaction end = {.sa_handler = end_cb}, lost = {.sa_sigaction = memory_lost, .sa_flags = SA_SIGINFO};

	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGBUS, &lost, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static int run(void)
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
	int status;

	vmm_log_name("viommu-net-backend");
	status = parse(argc, argv, &server.options);
	if (status >= 0)
		return status;
	if (loop_create(&server.loop))
		return unusable("there is no memory, or there are no file descriptors");
	server.device.over = connection_over;
	if (net_backend_init(&server.device, server.loop, server.options.tap, server.options.queues))
		return STATUS_UNUSABLE;
	if (listen_at(server.options.socket, &server.listen_fd))
		return STATUS_UNUSABLE;
	if (listener_init(&server.listener, server.listen_fd, server.options.socket, &listener_ops, NULL)) {
		unlink(server.options.socket);
		return unusable("there are no file descriptors");
	}
	catch_signals();
	status = run();
	listener_fini(&server.listener);
	net_backend_fini(&server.device);
	close(server.listen_fd);
	unlink(server.options.socket);
	loop_destroy(server.loop);
	return status;
}
