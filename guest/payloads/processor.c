/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a kernel without kvmclock learns of time: the rates that CPUID has are those that the ACPI timer measures. And
 * caches are as firmware leaves them.
 */
#include "payload.h"

enum {
	PORT_PM_TIMER = 0x608,
	PM_TIMER_MASK = 0xffffff,
	PM_TICKS = 357954, /* in 100 ms */
	INTERVAL_MS = 100,
	PERCENT = 20, /* a busy host is in no hurry */
	LAPIC_DIVIDE = 0x3e0,
	LAPIC_DIVIDE_BY_1 = 0xb,
	LAPIC_TIMER = 0x320,
	LAPIC_TIMER_MASKED = 1 << 16,
	LAPIC_INITIAL = 0x380,
	LAPIC_CURRENT = 0x390,
	LAPIC_SPURIOUS = 0xf0,
	LAPIC_ENABLED = 0x1ff,
};

#define LAPIC 0xfee00000u
#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_TIMING 0x40000010u

struct leaf {
	uint32_t eax, ebx, ecx, edx;
};

static struct leaf cpuid(uint32_t number)
{
	struct leaf leaf;

	__asm__ volatile("cpuid"
			 : "=a"(leaf.eax), "=b"(leaf.ebx), "=c"(leaf.ecx), "=d"(leaf.edx)
			 : "a"(number), "c"(0));
	return leaf;
}

static uint32_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return low;
}

static bool near(const char *name, uint32_t found, uint32_t wanted)
{
	const uint32_t slack = wanted / 100 * PERCENT;

	if (wanted && found >= wanted - slack && found <= wanted + slack)
		return check(name, true);
	print("not ok %s: %u kHz measured, %u kHz told\n", name, found, wanted);
	return check_quietly(false);
}

static uint32_t passed(uint32_t start)
{
	return (inl(PORT_PM_TIMER) - start) & PM_TIMER_MASK;
}

/* Both at once. What is read last is read at the same distance from the PM timer as in the beginning. */
static void measure(uint32_t *tsc_khz, uint32_t *apic_khz)
{
	uint32_t start, tsc_start, apic_start, ticks;

	write32(LAPIC + LAPIC_SPURIOUS, LAPIC_ENABLED);
	write32(LAPIC + LAPIC_TIMER, LAPIC_TIMER_MASKED);
	write32(LAPIC + LAPIC_DIVIDE, LAPIC_DIVIDE_BY_1);
	write32(LAPIC + LAPIC_INITIAL, UINT32_MAX);
	start = inl(PORT_PM_TIMER);
	tsc_start = tsc();
	apic_start = read32(LAPIC + LAPIC_CURRENT);
	do
		ticks = passed(start);
	while (ticks < PM_TICKS);
	*tsc_khz = (tsc() - tsc_start) / INTERVAL_MS;
	*apic_khz = (apic_start - read32(LAPIC + LAPIC_CURRENT)) / INTERVAL_MS;
	write32(LAPIC + LAPIC_INITIAL, 0);
	check("the ACPI timer goes on, in 24 bits", ticks < 2 * PM_TICKS && !(inl(PORT_PM_TIMER) & ~PM_TIMER_MASK));
}

static void check_rates(void)
{
	const struct leaf told = cpuid(LEAF_TIMING);
	uint32_t tsc_khz, apic_khz;

	if (!check("the hypervisor's leaves reach to that of the rates", cpuid(LEAF_HYPERVISOR).eax >= LEAF_TIMING))
		return;
	measure(&tsc_khz, &apic_khz);
	print("# CPUID: the TSC has %u kHz\n", told.eax);
	near("the rate of the TSC", tsc_khz, told.eax);
	near("the rate of the local APIC's timer", apic_khz, told.ebx);
}

void payload(void)
{
	check_equal("caches are on: MTRR default type", (uint32_t)read_msr(MSR_MTRR_DEF_TYPE), MTRR_ON_WRITE_BACK);
	check_rates();
}
