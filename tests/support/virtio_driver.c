/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "lib/util/le.h"
#include "tests/support/virtio_driver.h"

static void count_event(void *opaque)
{
	((struct driver *)opaque)->events++;
}

struct driver *driver_create(const struct viommu_virtio_config *config)
{
	struct driver *driver = calloc(1, sizeof(*driver));
	struct viommu_virtio_config own = *config;

	own.event_ready = count_event;
	own.opaque = driver;
	driver->ram = aligned_alloc(4096, DRIVER_RAM);
	for (unsigned i = 0; i < DRIVER_RAM; i++)
		driver->ram[i] = (uint8_t)(i >> 12);
	assert_int_equal(viommu_create(&(struct viommu_config){.size = sizeof(struct viommu_config), .deadline_ms = 60},
				       &driver->v),
			 0);
	assert_int_equal(viommu_mem_add(driver->v, (struct viommu_gpa){0}, DRIVER_RAM, driver->ram, -1, 0), 0);
	assert_int_equal(viommu_endpoint_add(driver->v, ENDPOINT_A, "0000:00:03.0", &driver->a), 0);
	assert_int_equal(viommu_endpoint_add(driver->v, ENDPOINT_B, "0000:00:04.0", &driver->b), 0);
	assert_int_equal(viommu_virtio_create(driver->v, &own, &driver->dev), 0);
	assert_int_equal(viommu_virtio_manage(driver->dev, driver->a), 0);
	assert_int_equal(viommu_virtio_manage(driver->dev, driver->b), 0);
	viommu_virtio_set_features(driver->dev, viommu_virtio_features(driver->dev));
	return driver;
}

void driver_destroy(struct driver *driver)
{
	viommu_virtio_destroy(driver->dev);
	assert_int_equal(viommu_endpoint_remove(driver->a), 0);
	assert_int_equal(viommu_endpoint_remove(driver->b), 0);
	viommu_destroy(driver->v);
	free(driver->ram);
	free(driver);
}

int driver_setup(void **state)
{
	static const struct viommu_reserved resv[] = {{{MSI_FIRST}, {MSI_LAST}, true},
						      {{0x40000000}, {0x4000ffff}, false}};
	const struct viommu_virtio_config config = {.size = sizeof(struct viommu_virtio_config),
						    .input_bits = 48,
						    .domain_first = 1,
						    .domain_last = 100,
						    .resv = resv,
						    .resv_count = 2};

	*state = driver_create(&config);
	return 0;
}

int driver_teardown(void **state)
{
	driver_destroy(*state);
	return 0;
}

static void packet_init(struct packet *packet, uint8_t type, size_t in, size_t out)
{
	memset(packet, 0, sizeof(*packet));
	memset(packet->out, 0xcc, sizeof(packet->out));
	packet->in[0] = type;
	packet->in_iov = (struct iovec){packet->in, in};
	packet->out_iov = (struct iovec){packet->out, out};
	packet->request = (struct viommu_virtio_request){&packet->in_iov, 1, &packet->out_iov, 1, 0xdead};
}

void packet_attach(struct packet *packet, uint32_t domain, uint32_t endpoint, uint32_t flags)
{
	packet_init(packet, VIO_T_ATTACH, VIO_ATTACH_SIZE, VIO_TAIL_SIZE);
	le32_put(packet->in + VIO_ATTACH_DOMAIN, domain);
	le32_put(packet->in + VIO_ATTACH_ENDPOINT, endpoint);
	le32_put(packet->in + VIO_ATTACH_FLAGS, flags);
}

void packet_detach(struct packet *packet, uint32_t domain, uint32_t endpoint)
{
	packet_init(packet, VIO_T_DETACH, VIO_DETACH_SIZE, VIO_TAIL_SIZE);
	le32_put(packet->in + VIO_DETACH_DOMAIN, domain);
	le32_put(packet->in + VIO_DETACH_ENDPOINT, endpoint);
}

void packet_map(struct packet *packet, uint32_t domain, uint64_t first, uint64_t last, uint64_t phys, uint32_t flags)
{
	packet_init(packet, VIO_T_MAP, VIO_MAP_SIZE, VIO_TAIL_SIZE);
	le32_put(packet->in + VIO_MAP_DOMAIN, domain);
	le64_put(packet->in + VIO_MAP_VIRT_START, first);
	le64_put(packet->in + VIO_MAP_VIRT_END, last);
	le64_put(packet->in + VIO_MAP_PHYS_START, phys);
	le32_put(packet->in + VIO_MAP_FLAGS, flags);
}

void packet_unmap(struct packet *packet, uint32_t domain, uint64_t first, uint64_t last)
{
	packet_init(packet, VIO_T_UNMAP, VIO_UNMAP_SIZE, VIO_TAIL_SIZE);
	le32_put(packet->in + VIO_UNMAP_DOMAIN, domain);
	le64_put(packet->in + VIO_UNMAP_VIRT_START, first);
	le64_put(packet->in + VIO_UNMAP_VIRT_END, last);
}

void packet_probe(struct packet *packet, uint32_t endpoint, size_t properties)
{
	packet_init(packet, VIO_T_PROBE, VIO_PROBE_SIZE, properties + VIO_TAIL_SIZE);
	le32_put(packet->in + VIO_PROBE_ENDPOINT, endpoint);
}

int packet_status(const struct packet *packet)
{
	uint32_t written = packet->request.written;

	if (!written)
		return NOT_WRITTEN;
	assert_true(written >= VIO_TAIL_SIZE && written <= sizeof(packet->out));
	const uint8_t *tail = packet->out + written - VIO_TAIL_SIZE;

	assert_true(tail[1] == 0 && tail[2] == 0 && tail[3] == 0);
	return tail[0];
}

int driver_send(struct driver *driver, struct packet *packet)
{
	assert_int_equal(viommu_virtio_submit(driver->dev, &packet->request, 1), 0);
	return packet_status(packet);
}

int driver_attach(struct driver *driver, uint32_t domain, uint32_t endpoint)
{
	struct packet packet;

	packet_attach(&packet, domain, endpoint, 0);
	return driver_send(driver, &packet);
}

int driver_detach(struct driver *driver, uint32_t domain, uint32_t endpoint)
{
	struct packet packet;

	packet_detach(&packet, domain, endpoint);
	return driver_send(driver, &packet);
}

int driver_map(struct driver *driver, uint32_t domain, uint64_t first, uint64_t last, uint64_t phys, uint32_t flags)
{
	struct packet packet;

	packet_map(&packet, domain, first, last, phys, flags);
	return driver_send(driver, &packet);
}

int driver_unmap(struct driver *driver, uint32_t domain, uint64_t first, uint64_t last)
{
	struct packet packet;

	packet_unmap(&packet, domain, first, last);
	return driver_send(driver, &packet);
}

bool driver_reads(struct viommu_endpoint *endpoint, uint64_t iova)
{
	uint8_t byte;

	return !viommu_dma_read(endpoint, (struct viommu_iova){iova}, &byte, 1);
}

bool driver_writes(struct viommu_endpoint *endpoint, uint64_t iova)
{
	uint8_t byte = 0xff;

	return !viommu_dma_write(endpoint, (struct viommu_iova){iova}, &byte, 1);
}
