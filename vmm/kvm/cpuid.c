/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPUID: KVM says what it and the host can do; what names one CPU among its neighbours is ours. `count` vCPUs are the
 * cores of one package, one thread each. Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E.
 */
#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/kvm/vcpu.h"

enum {
	ENTRIES_FIRST_TRY = 128,
	ENTRIES_MAX = 1024,
	ENTRIES_SPARE = 7, /* what add_topology() and add_timing() may add */
	LEAF1_ECX_X2APIC = 1 << 21,
	LEAF1_ECX_TSC_DEADLINE = 1 << 24,
	LEAF1_EDX_HTT = 1 << 28,
	LEAF_TOPOLOGY = 0xb,
	LEAF_TOPOLOGY_V2 = 0x1f,
	LEVEL_THREAD = 1,
	LEVEL_CORE = 2,
	BYTE_MAX = 255, /* classic leaves count CPUs in so many bits; software asks the topology leaves beyond */
	CORES_MAX = 63,
	KVM_EXTENDED_DESTINATIONS = 1 << 15,
	APIC_BUS_KHZ = 1000000, /* KVM's local APIC timers count nanoseconds */
};

#define LEAF1_ECX_HYPERVISOR (1u << 31)
#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_KVM_FEATURES 0x40000001u
#define LEAF_TIMING 0x40000010u
#define LEAF_AMD_FEATURES 0x80000001u
#define LEAF_AMD_SIZES 0x80000008u
#define LEAF_AMD_TOPOLOGY 0x8000001eu
#define LEAF_AMD_TOPOLOGY_V2 0x80000026u
#define AMD_ECX_CMP_LEGACY (1u << 1)

/* Which CPU this is. */
struct place {
	unsigned id, count;
	unsigned id_bits; /* of an APIC id, to number the cores */
};

/* Errors: -E2BIG (KVM has more entries than that), -errno. */
static int get_supported(int sys, unsigned room, struct kvm_cpuid2 **out)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + (room + ENTRIES_SPARE) * sizeof(cpuid->entries[0]));
	int error;

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = room;
	if (ioctl(sys, KVM_GET_SUPPORTED_CPUID, cpuid)) {
		error = -errno;
		free(cpuid);
		return error;
	}
	*out = cpuid;
	return 0;
}

/* The topology leaves are made anew; AMD's newest goes, since kernels then use the classic ones. */
static void drop_topology(struct kvm_cpuid2 *cpuid)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < cpuid->nent; i++) {
		const uint32_t leaf = cpuid->entries[i].function;

		if (leaf != LEAF_TOPOLOGY && leaf != LEAF_TOPOLOGY_V2 && leaf != LEAF_AMD_TOPOLOGY_V2)
			cpuid->entries[kept++] = cpuid->entries[i];
	}
	cpuid->nent = kept;
}

static void add_level(struct kvm_cpuid2 *cpuid, uint32_t leaf, struct kvm_cpuid_entry2 level)
{
	level.function = leaf;
	level.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	level.ecx |= level.index;
	cpuid->entries[cpuid->nent++] = level;
}

/* Threads, cores, and the level that ends the list. */
static void add_topology(struct kvm_cpuid2 *cpuid, uint32_t leaf, const struct place *place)
{
	const struct kvm_cpuid_entry2 thread = {.index = 0, .ebx = 1, .ecx = LEVEL_THREAD << 8, .edx = place->id};
	const struct kvm_cpuid_entry2 core = {
		.index = 1,
		.eax = place->id_bits,
		.ebx = place->count,
		.ecx = LEVEL_CORE << 8,
		.edx = place->id,
	};
	const struct kvm_cpuid_entry2 end = {.index = 2, .edx = place->id};

	add_level(cpuid, leaf, thread);
	add_level(cpuid, leaf, core);
	add_level(cpuid, leaf, end);
}

/*
 * How fast the TSC and the local APIC's timer are, for kernels without kvmclock: they could measure neither
 * but by the PM timer. The leaf is VMware's, and others read it under any hypervisor whose leaves reach so far.
 */
static void add_timing(struct kvm_cpuid2 *cpuid, int vcpu)
{
	const int tsc_khz = ioctl(vcpu, KVM_GET_TSC_KHZ, 0);

	if (tsc_khz <= 0)
		return;
	for (unsigned i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == LEAF_TIMING)
			return;
		if (entry->function == LEAF_HYPERVISOR && entry->eax < LEAF_TIMING)
			entry->eax = LEAF_TIMING;
	}
	cpuid->entries[cpuid->nent++] =
		(struct kvm_cpuid_entry2){.function = LEAF_TIMING, .eax = (uint32_t)tsc_khz, .ebx = APIC_BUS_KHZ};
}

static uint32_t at_most(uint32_t value, uint32_t limit)
{
	return value < limit ? value : limit;
}

static void adjust_leaf1(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
	entry->ebx = (entry->ebx & 0xffff) | at_most(1u << place->id_bits, BYTE_MAX) << 16 | place->id << 24;
	entry->ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_TSC_DEADLINE | LEAF1_ECX_X2APIC;
	if (place->count > 1)
		entry->edx |= LEAF1_EDX_HTT;
	else
		entry->edx &= ~(uint32_t)LEAF1_EDX_HTT;
}

/* Intel's caches: levels 1 and 2 are a core's own, level 3 is the package's. */
static void adjust_leaf4(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
	const unsigned kind = entry->eax & 0x1f, level = entry->eax >> 5 & 7;
	const uint32_t ids = (1u << place->id_bits) - 1;

	if (!kind)
		return;
	entry->eax = (entry->eax & 0x3fff) | at_most(ids, CORES_MAX) << 26 | (level >= 3 ? ids : 0) << 14;
}

static void adjust(struct kvm_cpuid_entry2 *entry, const struct place *place)
{
	switch (entry->function) {
	case 1:
		adjust_leaf1(entry, place);
		break;
	case 4:
		adjust_leaf4(entry, place);
		break;
	case LEAF_KVM_FEATURES:
		/* Destinations beyond 8 bits go by interrupt remapping alone, or not at all. */
		entry->eax &= ~(uint32_t)KVM_EXTENDED_DESTINATIONS;
		break;
	case LEAF_AMD_FEATURES:
		if (place->count > 1 && entry->ecx)
			entry->ecx |= AMD_ECX_CMP_LEGACY;
		break;
	case LEAF_AMD_SIZES:
		/* Cores less one, and the bits of an APIC id; Intel keeps this register zero. */
		entry->ecx = entry->ecx ? place->id_bits << 12 | at_most(place->count - 1, BYTE_MAX) : 0;
		break;
	case LEAF_AMD_TOPOLOGY:
		entry->eax = place->id;
		entry->ebx = place->id; /* core id; threads per core less one stays 0 */
		entry->ecx = 0;         /* node 0 of one */
		break;
	default:
		break;
	}
}

static unsigned bits_to_number(unsigned count)
{
	unsigned bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

int vcpu_set_cpuid(const struct kvm *kvm, int vcpu, unsigned id, unsigned count)
{
	const struct place place = {.id = id, .count = count, .id_bits = bits_to_number(count)};
	struct kvm_cpuid2 *cpuid = NULL;
	uint32_t last_leaf = 0;
	int error = -E2BIG;

	for (unsigned room = ENTRIES_FIRST_TRY; error == -E2BIG && room <= ENTRIES_MAX; room *= 2)
		error = get_supported(kvm->sys, room, &cpuid);
	if (error || !cpuid)
		return error;
	drop_topology(cpuid);
	for (unsigned i = 0; i < cpuid->nent; i++) {
		if (!cpuid->entries[i].function)
			last_leaf = cpuid->entries[i].eax;
		adjust(&cpuid->entries[i], &place);
	}
	if (last_leaf >= LEAF_TOPOLOGY)
		add_topology(cpuid, LEAF_TOPOLOGY, &place);
	if (last_leaf >= LEAF_TOPOLOGY_V2)
		add_topology(cpuid, LEAF_TOPOLOGY_V2, &place);
	add_timing(cpuid, vcpu);
	error = ioctl(vcpu, KVM_SET_CPUID2, cpuid) ? -errno : 0;
	free(cpuid);
	return error;
}
