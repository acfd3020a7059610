/* SPDX-License-Identifier: BSD-2-Clause */
#include "vmm/speed.h"

#include <errno.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "vmm/boot/entry.h"
#include "vmm/kvm/kick.h"
#include "vmm/kvm/kvm.h"
#include "vmm/kvm/open.h"
#include "vmm/kvm/ram.h"
#include "vmm/kvm/vcpu.h"

enum {
	LOOP_COUNT = 100000,
	ROUNDS = 3,
	GUEST_MEMORY = 2 << 20,
	GUEST_CODE = 0x10000,
	KICK_INTERVAL_NS = 20000000,
};

#define CPU_LIMIT_NS 200000000ull   /* a native round takes some 50 us */
#define WALL_LIMIT_NS 2000000000ull /* should the machine be too busy to give us that much CPU time */

/* mov ecx, LOOP_COUNT; 1: dec ecx; jnz 1b; out 0x10, al; jmp to the start */
static const uint8_t guest_code[] = {0xb9, 0xa0, 0x86, 0x01, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xe6, 0x10, 0xeb, 0xf3};

/* Below and above these ratios it is certain, or as certain as it gets. */
enum { NATIVE_RATIO = 10, INTERPRETER_RATIO = 300, MEASUREMENTS_TO_REFUSE = 2, MEASUREMENTS_MAX = 5 };

struct guest {
	int sys, vm, vcpu;
	struct kvm_slots slots;
	struct kvm_slot slot;
	size_t run_size;
	struct kvm_run *run;
	struct ram ram;
};

static uint64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

/* CPU time, guest time included: other load on the machine must not make it look slow. */
static uint64_t cpu_now(void)
{
	return now(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t host_round(void)
{
	const uint64_t start = cpu_now();
	uint32_t count = LOOP_COUNT;

	__asm__ volatile("1: decl %0\n\tjnz 1b" : "+r"(count) : : "cc");
	return cpu_now() - start;
}

/* 0, -ETIME (the limit was reached) or -errno. */
static int guest_round(struct guest *guest, uint64_t *took)
{
	const uint64_t start = cpu_now(), wall = now(CLOCK_MONOTONIC);

	while (ioctl(guest->vcpu, KVM_RUN, 0)) {
		if (errno != EINTR && errno != EAGAIN)
			return -errno;
		if (cpu_now() - start > CPU_LIMIT_NS || now(CLOCK_MONOTONIC) - wall > WALL_LIMIT_NS)
			return -ETIME;
	}
	*took = cpu_now() - start;
	return guest->run && guest->run->exit_reason == KVM_EXIT_IO ? 0 : -EIO;
}

static int make_memory(struct guest *guest, struct vcpu_entry *entry)
{
	int error = ram_init(&guest->ram, GUEST_MEMORY);

	if (error)
		return error;
	error = entry_prepare(&guest->ram, entry);
	if (error)
		return error;
	memcpy(ram_at(&guest->ram, GUEST_CODE, sizeof(guest_code)), guest_code, sizeof(guest_code));
	entry->rip = GUEST_CODE;
	guest->slot = (struct kvm_slot){.size = GUEST_MEMORY, .host = guest->ram.base};
	return kvm_slot_add(&guest->slots, &guest->slot);
}

/* What it made before an error is for guest_fini(). */
static int guest_init(struct guest *guest)
{
	struct vcpu_entry entry;
	int error, size;

	guest->vm = kvm_create_vm(guest->sys);
	if (guest->vm < 0)
		return guest->vm;
	kvm_slots_init(&guest->slots, guest->vm, 1);
	error = make_memory(guest, &entry);
	if (error)
		return error;
	guest->vcpu = ioctl(guest->vm, KVM_CREATE_VCPU, 0);
	if (guest->vcpu < 0)
		return -errno;
	size = ioctl(guest->sys, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < (int)sizeof(*guest->run))
		return -EIO;
	guest->run_size = (size_t)size;
	guest->run = mmap(NULL, guest->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, guest->vcpu, 0);
	if (guest->run == MAP_FAILED) {
		guest->run = NULL;
		return -errno;
	}
	/* Long mode exists for a vCPU only if its CPUID says so. */
	const struct kvm kvm = {.sys = guest->sys, .vm = guest->vm};

	error = vcpu_set_cpuid(&kvm, guest->vcpu, 0, 1);
	return error ? error : vcpu_set_entry(guest->vcpu, &entry);
}

static void guest_fini(struct guest *guest)
{
	if (guest->run)
		munmap(guest->run, guest->run_size);
	if (guest->vcpu >= 0)
		close(guest->vcpu);
	if (guest->vm >= 0) {
		kvm_slots_fini(&guest->slots);
		close(guest->vm);
	}
	ram_fini(&guest->ram);
}

/*
 * The best of some rounds each: the first one in the guest also pays for its page faults. One that is given up took at
 * least its limit, and is the last.
 */
static int compare(struct guest *guest, uint64_t *host, uint64_t *in_guest)
{
	int error = 0;

	*host = *in_guest = UINT64_MAX;
	for (unsigned i = 0; i < ROUNDS && !error; i++) {
		const uint64_t here = host_round();
		uint64_t there = CPU_LIMIT_NS;

		error = guest_round(guest, &there);
		*host = here < *host ? here : *host;
		*in_guest = there < *in_guest ? there : *in_guest;
	}
	return error == -ETIME ? 0 : error;
}

struct measurement {
	int sys;
	int error; /* 0 or -errno */
	uint64_t host, guest;
};

static void *measure_main(void *opaque)
{
	struct measurement *m = opaque;
	struct guest guest = {.sys = m->sys, .vm = -1, .vcpu = -1, .ram = {.fd = -1}};

	m->error = guest_init(&guest);
	if (!m->error)
		m->error = compare(&guest, &m->host, &m->guest);
	guest_fini(&guest);
	return NULL;
}

/* A thread of its own takes the kicks that end KVM_RUN when it does not come back by itself. */
static int measure(struct measurement *m)
{
	pthread_t thread;
	const int error = kick_thread_create(&thread, "speed", measure_main, m);

	if (error)
		return error;
	for (;;) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += KICK_INTERVAL_NS;
		if (until.tv_nsec >= 1000000000) {
			until.tv_nsec -= 1000000000;
			until.tv_sec++;
		}
		if (!pthread_timedjoin_np(thread, NULL, &until))
			return m->error;
		kick_thread(thread);
	}
}

enum kvm_verdict kvm_judge(double best, unsigned count)
{
	if (best < NATIVE_RATIO)
		return KVM_SAYS_NATIVE;
	if (best >= INTERPRETER_RATIO && count >= MEASUREMENTS_TO_REFUSE)
		return KVM_SAYS_SLOW;
	return count < MEASUREMENTS_MAX ? KVM_MEASURE_AGAIN : KVM_SAYS_BUSY;
}

/* As often as it takes to be sure. 0 or -errno. */
static int measure_until_sure(int sys, enum kvm_verdict *verdict, double *best)
{
	unsigned count = 0;

	do {
		struct measurement m = {.sys = sys};
		const int error = measure(&m);

		if (error)
			return error;

		const double ratio = (double)m.guest / (double)(m.host ? m.host : 1);

		*best = !count || ratio < *best ? ratio : *best;
		*verdict = kvm_judge(*best, ++count);
	} while (*verdict == KVM_MEASURE_AGAIN);
	return 0;
}

static int open_or_say(char *detail, size_t size)
{
	const int sys = kvm_open();

	if (sys < 0)
		snprintf(detail, size, "%s", strerror(-sys));
	return sys;
}

static void say_error(int error, char *detail, size_t size)
{
	snprintf(detail, size, "it opens, but runs no guest: %s", strerror(-error));
}

bool kvm_runs_guests(char *detail, size_t size)
{
	struct measurement m = {.sys = open_or_say(detail, size)};

	if (m.sys < 0)
		return false;

	const int error = measure(&m);

	close(m.sys);
	if (error)
		say_error(error, detail, size);
	return !error;
}

enum kvm_speed kvm_measure_speed(char *detail, size_t size)
{
	const int sys = open_or_say(detail, size);
	enum kvm_verdict verdict;
	double ratio;

	if (sys < 0)
		return KVM_ABSENT;

	const int error = measure_until_sure(sys, &verdict, &ratio);

	close(sys);
	if (error) {
		say_error(error, detail, size);
		return KVM_ABSENT;
	}
	switch (verdict) {
	case KVM_SAYS_NATIVE:
		snprintf(detail, size, "native, %.1fx the host's time", ratio);
		return KVM_NATIVE;
	case KVM_SAYS_SLOW:
		snprintf(detail, size, "interprets guests, %.0fx the host's time", ratio);
		return KVM_SLOW;
	default:
		snprintf(detail, size, "native on a busy machine, %.0fx the host's time at best", ratio);
		return KVM_BUSY;
	}
}
