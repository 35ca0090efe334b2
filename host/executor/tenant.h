/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tenant's part of a device: which of its processes use it and with how much memory, asked from the
 * mediator, which alone knows them; and what the guest is shown for the device's memory.
 *
 * Waits for the mediator's answer, so it is for executors that serve telemetry only.
 */
#ifndef EXECUTOR_TENANT_H
#define EXECUTOR_TENANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vgpu_control.h"
#include "vgpu_nvml.h"

struct executor;

struct tenant_use {
	uint64_t quota_bytes; /* of the device's memory; 0: none */
	size_t count;
	struct vgpu_control_tenant_process processes[VGPU_NVML_PROCESSES_MAX];
};

/* False: the mediator does not answer. Of more processes than fit, the first. */
bool tenant_use_fetch(struct executor *executor, uint32_t pci_place, struct tenant_use *ret_use);

/* Says which process of the guest has greeted; for NVML the answer decides which device there is. Waits for it. */
void tenant_process_tell(struct executor *executor, uint32_t process_id, bool is_telemetry);

/* What its processes have of the device. */
uint64_t tenant_used_bytes(const struct tenant_use *use);

struct tenant_memory {
	uint64_t total_bytes;
	uint64_t free_bytes;
	uint64_t used_bytes;
};

/*
 * A device's memory as a tenant has it: the whole is its quota, where there is one (quota_bytes 0: none);
 * used is what its own processes have; free is what it can really get now, so that others' use makes it
 * smaller and is not shown as anybody's.
 */
struct tenant_memory tenant_memory_view(uint64_t quota_bytes, uint64_t real_total_bytes, uint64_t real_free_bytes,
					uint64_t used_bytes);

#endif
