/* SPDX-License-Identifier: BSD-2-Clause */
/* Routes on a real KVM: what is raised stands in the request register of the right local APIC. No vCPU runs. */
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/support/test.h"
#include "vmm/irqchip/route.h"
#include "vmm/kvm/kvm.h"
#include "vmm/layout/layout.h"
#include "vmm/util/bus.h"
#include "vmm/util/loop.h"

enum { CPUS = 2, FAR = 300, SPURIOUS = 0xf0, ENABLED = 0x1ff, REQUESTS = 0x200, REQUESTER = 0x18, PIN = 3 };

static const unsigned long ids[CPUS] = {0, FAR};
static struct kvm vm;
static struct bus *mmio;
static struct irqchip *chip;
static struct irq_route *route;
static struct loop *loop;
static int vcpus[CPUS];
static bool blocked;
static unsigned reports;

/* Vector and CPU as a table would have them: the message's data, and the far one where it is above 0x80. */
static int remap(void *opaque, uint16_t requester, const struct msi_message *in, struct msi_message *out,
		 uint32_t *index, bool report)
{
	const uint64_t far = 0xfee00000 | (FAR & 0xff) << 12 | (uint64_t)(FAR & ~0xff) << 32;

	(void)opaque;
	(void)requester;
	*index = 0;
	*out = (struct msi_message){in->data > 0x80 ? far : 0xfee00000, in->data};
	reports += blocked && report;
	return blocked ? -1 : 0;
}

static const struct irq_remapper_ops ops = {.remap = remap};

static void enable_apic(int vcpu)
{
	const uint32_t value = ENABLED;
	struct kvm_lapic_state lapic;

	assert_int_equal(ioctl(vcpu, KVM_GET_LAPIC, &lapic), 0);
	memcpy(lapic.regs + SPURIOUS, &value, sizeof(value));
	assert_int_equal(ioctl(vcpu, KVM_SET_LAPIC, &lapic), 0);
}

static int set_up(void **state)
{
	const struct irq_remapper remapper = {&ops, NULL, 0xf0f8};

	(void)state;
	blocked = false;
	reports = 0;
	if (access("/dev/kvm", R_OK | W_OK))
		return 0;
	assert_int_equal(kvm_init(&vm), 0);
	assert_true(vm.wide_ids);
	for (unsigned i = 0; i < CPUS; i++) {
		vcpus[i] = ioctl(vm.vm, KVM_CREATE_VCPU, ids[i]);
		assert_true(vcpus[i] >= 0);
		enable_apic(vcpus[i]);
	}
	assert_int_equal(loop_create(&loop), 0);
	assert_int_equal(bus_create(&mmio), 0);
	assert_int_equal(irqchip_create(&vm, mmio, &chip), 0);
	irqchip_set_remapper(chip, &remapper);
	return irq_route_create(irqchip_router(chip), REQUESTER, &route);
}

static int tear_down(void **state)
{
	(void)state;
	if (access("/dev/kvm", R_OK | W_OK))
		return 0;
	irq_route_destroy(route);
	irqchip_destroy(chip);
	bus_destroy(mmio);
	loop_destroy(loop);
	for (unsigned i = 0; i < CPUS; i++)
		close(vcpus[i]);
	kvm_fini(&vm);
	return 0;
}

static void need_kvm(void)
{
	if (access("/dev/kvm", R_OK | W_OK))
		skip();
}

/* Is the vector requested of this CPU (SDM volume 3, section 10.8.4)? An irqfd may take a moment. */
static bool requested(unsigned cpu, unsigned vector)
{
	struct kvm_lapic_state lapic;
	uint32_t word;

	for (unsigned tries = 0; tries < 200; tries++) {
		assert_int_equal(ioctl(vcpus[cpu], KVM_GET_LAPIC, &lapic), 0);
		memcpy(&word, lapic.regs + REQUESTS + vector / 32 * 16, sizeof(word));
		if (word >> vector % 32 & 1)
			return true;
		usleep(1000);
	}
	return false;
}

static void signal_fd(int fd)
{
	const uint64_t one = 1;

	assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

static void set_vector(unsigned vector)
{
	irq_route_set(route, (struct msi_message){0xfee00010, vector});
}

static void test_a_raised_route_requests_its_vector(void **state)
{
	(void)state;
	need_kvm();
	set_vector(0x51);
	assert_true(irq_route_raise(route));
	assert_true(requested(0, 0x51));
	set_vector(0x91);
	assert_true(irq_route_raise(route));
	assert_true(requested(1, 0x91));
	assert_false(requested(0, 0x91));
}

static void test_an_eventfd_requests_it_too(void **state)
{
	(void)state;
	need_kvm();
	const int fd = irq_route_fd(route, loop);

	assert_true(fd >= 0);
	set_vector(0x52);
	signal_fd(fd);
	assert_true(requested(0, 0x52));
	set_vector(0x92);
	signal_fd(fd);
	assert_true(requested(1, 0x92));
	/* Without a message it waits. */
	irq_route_clear(route);
	signal_fd(fd);
	assert_true(irq_route_pending(route));
	set_vector(0x53);
	assert_true(requested(0, 0x53));
	assert_false(irq_route_pending(route));
}

static void test_a_blocked_eventfd_requests_nothing(void **state)
{
	(void)state;
	need_kvm();
	const int fd = irq_route_fd(route, loop);

	set_vector(0x54);
	blocked = true;
	irqchip_remap_invalidate(chip, 0, 0);
	irqchip_remap_commit(chip);
	signal_fd(fd);
	assert_false(requested(0, 0x54));
	blocked = false;
	irqchip_remap_invalidate(chip, 0, 0);
	irqchip_remap_commit(chip);
	assert_true(requested(0, 0x54)); /* nobody had taken the signal */
}

static void test_a_pin_requests_by_its_table_entry(void **state)
{
	(void)state;
	need_kvm();
	bus_write(mmio, LAYOUT_IOAPIC, 0x10 + 2 * PIN, 4);
	bus_write(mmio, LAYOUT_IOAPIC + 0x10, 0x95, 4);
	irq_set_pin(chip, PIN, true);
	assert_true(requested(1, 0x95));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_raised_route_requests_its_vector),
		TEST(test_an_eventfd_requests_it_too),
		TEST(test_a_blocked_eventfd_requests_nothing),
		TEST(test_a_pin_requests_by_its_table_entry),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
