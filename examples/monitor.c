/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A monitor's virtio-iommu, without a guest: its driver's requests come from an array. A device writes outside of what
 * is mapped, which is a fault for the guest; an unmap stays pending while the device has asynchronous I/O under way,
 * and the event loop goes on until that is over.
 *
 *	cc monitor.c $(pkg-config --cflags --libs viommu) -o monitor
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <endian.h>
#include <linux/virtio_iommu.h>

#include <viommu/viommu.h>

enum { RAM_SIZE = 1 << 20, PAGE = 4096, DEVICE = 0x18, IO_MS = 50 };

/* As the driver would put them into its queue; the status at the end is the device-writable part. */
static struct virtio_iommu_req_attach attach = {{VIRTIO_IOMMU_T_ATTACH}, .domain = 1, .endpoint = DEVICE};
static struct virtio_iommu_req_map map = {{VIRTIO_IOMMU_T_MAP}, 1, 0x10000, 0x10fff, 0x5000, VIRTIO_IOMMU_MAP_F_WRITE};
static struct virtio_iommu_req_unmap unmap = {{VIRTIO_IOMMU_T_UNMAP}, 1, 0x10000, 0x10fff};
static const struct {
	const char *name;
	void *request;
	size_t size;
	const struct virtio_iommu_req_tail *tail;
} queue[] = {
	{"attach", &attach, offsetof(struct virtio_iommu_req_attach, tail), &attach.tail},
	{"map", &map, offsetof(struct virtio_iommu_req_map, tail), &map.tail},
	{"unmap", &unmap, offsetof(struct virtio_iommu_req_unmap, tail), &unmap.tail},
};

static int wake; /* an eventfd: something is to be looked at */

/* From inside the DMA that failed: only wake the loop. */
static void event_ready(void *opaque)
{
	(void)opaque;
	eventfd_write(wake, 1);
}

static void print_events(struct viommu_virtio *iommu)
{
	struct virtio_iommu_fault fault;

	while (!viommu_virtio_event(iommu, &fault, sizeof(fault)))
		printf("fault: endpoint %#x, address %#llx, reason %u\n", le32toh(fault.endpoint),
		       (unsigned long long)le64toh(fault.address), fault.reason);
}

/* Hand over one request; what it points to stays the library's until it is complete. */
static int submit(struct viommu_virtio *iommu, unsigned index)
{
	static struct iovec in, out;
	static struct viommu_virtio_request request;
	int err;

	in = (struct iovec){queue[index].request, queue[index].size};
	out = (struct iovec){(void *)queue[index].tail, sizeof(*queue[index].tail)};
	request = (struct viommu_virtio_request){.in = &in, .in_count = 1, .out = &out, .out_count = 1};
	err = viommu_virtio_submit(iommu, &request, 1);
	if (err == -EAGAIN)
		printf("%s: pending\n", queue[index].name);
	else
		printf("%s: status %u\n", queue[index].name, queue[index].tail->status);
	return err;
}

/* The device begins to write by asynchronous I/O: the span is a hold until that is over. */
static int begin_io(struct viommu_endpoint *device, struct viommu_hold *hold, struct viommu_span *span)
{
	const struct viommu_iova where = {0x10000};
	struct viommu_section section;
	int err = viommu_dma_begin(device, &section);

	if (err)
		return err;
	err = viommu_dma_translate(&section, where, PAGE, VIOMMU_WRITE, span);
	if (!err)
		viommu_dma_hold(&section, hold, span, 1);
	viommu_dma_end(&section);
	return err;
}

/* Until the last request is complete: the I/O ends when the timer says so, and then the unmap goes on. */
static void loop(struct viommu_virtio *iommu, struct viommu_hold *hold, struct viommu_span *span)
{
	const struct itimerspec when = {.it_value = {0, IO_MS * 1000000}};
	struct pollfd fds[] = {{wake, POLLIN, 0}, {timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), POLLIN, 0}};
	eventfd_t count;

	timerfd_settime(fds[1].fd, 0, &when, NULL);
	do {
		poll(fds, 2, -1);
		if (fds[0].revents && !eventfd_read(wake, &count))
			print_events(iommu);
		if (fds[1].revents && read(fds[1].fd, &count, sizeof(count)) == sizeof(count)) {
			memset(span->host, 0x5a, span->len);
			viommu_dma_release(hold);
			printf("the device has written %u bytes\n", (unsigned)span->len);
			eventfd_write(wake, 1);
		}
	} while (viommu_virtio_poll(iommu) == -EAGAIN);
	printf("unmap: status %u, the page is the guest's again\n", unmap.tail.status);
	close(fds[1].fd);
}

int main(void)
{
	const struct viommu_virtio_config config = {.size = sizeof(struct viommu_virtio_config),
						    .event_ready = event_ready};
	uint8_t *ram = aligned_alloc(PAGE, RAM_SIZE);
	struct viommu_hold hold = {.cancel = NULL};
	struct viommu_endpoint *device;
	struct viommu_virtio *iommu;
	struct viommu_span span;
	struct viommu *v;

	setvbuf(stdout, NULL, _IOLBF, 0);
	wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake < 0 || !ram || viommu_create(NULL, &v) ||
	    viommu_mem_add(v, (struct viommu_gpa){0}, RAM_SIZE, ram, -1, 0) ||
	    viommu_virtio_create(v, &config, &iommu) || viommu_endpoint_add(v, DEVICE, "0000:00:03.0", &device) ||
	    viommu_virtio_manage(iommu, device))
		return EXIT_FAILURE;
	/* The driver looks at the features first. */
	viommu_virtio_set_features(iommu, viommu_virtio_features(iommu));
	if (submit(iommu, 0) || submit(iommu, 1))
		return EXIT_FAILURE;
	viommu_dma_write(device, (struct viommu_iova){0x20000}, "x", 1); /* not mapped */
	if (begin_io(device, &hold, &span) || submit(iommu, 2) != -EAGAIN)
		return EXIT_FAILURE;
	loop(iommu, &hold, &span);
	viommu_virtio_destroy(iommu);
	viommu_endpoint_remove(device);
	viommu_destroy(v);
	free(ram);
	return EXIT_SUCCESS;
}
