/* SPDX-License-Identifier: BSD-2-Clause */
/* vCPUs and their threads: making, starting, stopping. */
#include "vmm/kvm/vcpu.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/kvm/kick.h"
#include "vmm/layout/layout.h"
#include "vmm/util/log.h"

struct vcpu_set {
	struct vcpu_config config;
	size_t run_size;
	atomic_bool stopping;
	unsigned made;
	struct vcpu vcpus[]; /* config.count */
};

static void *vcpu_main(void *opaque)
{
	struct vcpu *vcpu = opaque;
	const enum vm_end why = vcpu_run(vcpu);

	if (why != VM_END_NONE)
		vcpu->config->stopped(vcpu->config->opaque, why);
	return NULL;
}

static int set_up(struct vcpu *vcpu)
{
	const struct vcpu_config *config = vcpu->config;
	int error = vcpu_set_cpuid(config->kvm, vcpu->fd, vcpu->id, config->count);

	if (!error)
		error = vcpu_set_defaults(vcpu->fd);
	/* The others get theirs from the boot CPU's SIPI. */
	if (!error && !vcpu->id)
		error = vcpu_set_entry(vcpu->fd, &config->entry);
	return error;
}

static int vcpu_init(struct vcpu_set *set, struct vcpu *vcpu, unsigned id)
{
	int error;

	vcpu->config = &set->config;
	vcpu->stopping = &set->stopping;
	vcpu->id = id;
	vcpu->fd = ioctl(set->config.kvm->vm, KVM_CREATE_VCPU, (unsigned long)id);
	if (vcpu->fd < 0)
		return -errno;
	vcpu->run = mmap(NULL, set->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		error = -errno;
		goto err_fd;
	}
	error = set_up(vcpu);
	if (error)
		goto err_run;
	return 0;

err_run:
	munmap(vcpu->run, set->run_size);
err_fd:
	close(vcpu->fd);
	return error;
}

static int make_all(struct vcpu_set *set)
{
	const int size = ioctl(set->config.kvm->sys, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < (int)sizeof(struct kvm_run))
		return size < 0 ? -errno : -EINVAL;
	set->run_size = (size_t)size;
	for (; set->made < set->config.count; set->made++) {
		const int error = vcpu_init(set, &set->vcpus[set->made], set->made);

		if (error)
			return error;
	}
	return 0;
}

static int start_all(struct vcpu_set *set)
{
	for (unsigned i = 0; i < set->made; i++) {
		char name[16];

		snprintf(name, sizeof(name), "vcpu%u", i);

		const int error = kick_thread_create(&set->vcpus[i].thread, name, vcpu_main, &set->vcpus[i]);

		if (error)
			return error;
		set->vcpus[i].started = true;
	}
	return 0;
}

/* Errors: -EINVAL, -ENOTSUP. */
static int check_count(const struct vcpu_config *config)
{
	const int most = ioctl(config->kvm->vm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	if (!config->count || config->count > LAYOUT_MAX_VCPUS)
		return -EINVAL;
	if (most > 0 && config->count > (unsigned)most) {
		vmm_log("KVM makes no more than %d virtual CPUs here", most);
		return -ENOTSUP;
	}
	if (config->count > LAYOUT_XAPIC_VCPUS && !config->kvm->wide_ids) {
		vmm_log("KVM has no APIC ids of 32 bits here, so no more than %u virtual CPUs", LAYOUT_XAPIC_VCPUS);
		return -ENOTSUP;
	}
	return 0;
}

int vcpus_start(const struct vcpu_config *config, struct vcpu_set **out)
{
	struct vcpu_set *set;
	int error = check_count(config);

	if (error)
		return error;
	set = calloc(1, sizeof(*set) + config->count * sizeof(set->vcpus[0]));
	if (!set)
		return -ENOMEM;
	set->config = *config;
	error = make_all(set);
	if (!error)
		error = start_all(set);
	if (error) {
		vmm_log("cannot make virtual CPUs: %s", strerror(-error));
		vcpus_stop(set);
		return error;
	}
	*out = set;
	return 0;
}

void vcpus_add_processors(const struct vcpu_set *set, cpu_set_t *processors)
{
	for (unsigned i = 0; i < set->made; i++) {
		cpu_set_t own;

		if (set->vcpus[i].started && !pthread_getaffinity_np(set->vcpus[i].thread, sizeof(own), &own))
			CPU_OR(processors, processors, &own);
	}
}

uint64_t vcpus_exits(const struct vcpu_set *set)
{
	uint64_t exits = 0;

	for (unsigned i = 0; i < set->made; i++)
		exits += atomic_load_explicit(&set->vcpus[i].exits, memory_order_relaxed);
	return exits;
}

/*
 * No wake-up is lost: a thread before KVM_RUN finds immediate_exit set when it enters; one that has read it as zero is
 * in the kernel already, and there the signal is either pending before the guest runs or interrupts it.
 */
void vcpus_stop(struct vcpu_set *set)
{
	/* Partner: the load in vcpu_run(). */
	atomic_store(&set->stopping, true);
	for (unsigned i = 0; i < set->made; i++) {
		if (!set->vcpus[i].started)
			continue;
		__atomic_store_n(&set->vcpus[i].run->immediate_exit, 1, __ATOMIC_SEQ_CST);
		kick_thread(set->vcpus[i].thread);
	}
	for (unsigned i = 0; i < set->made; i++) {
		struct vcpu *vcpu = &set->vcpus[i];

		if (vcpu->started)
			pthread_join(vcpu->thread, NULL);
		munmap(vcpu->run, set->run_size);
		close(vcpu->fd);
	}
	free(set);
}
