/* SPDX-License-Identifier: Apache-2.0 */
/* The tenant's processes on a device, as the host knows them, with their ids in the guest. */
#ifndef NVML_PROCESS_H
#define NVML_PROCESS_H

#include <stddef.h>

#include "vgpu_nvml.h"

struct nvml_device;

/*
 * Stores up to 'room' processes that compute on the device; *ret_count is how many there are. NVML's
 * result. Any thread.
 */
int processes_get(const struct nvml_device *device, struct vgpu_nvml_process *processes, size_t room,
		  size_t *ret_count);

/* *count = 0: a guest has neither graphics nor MPS, nobody uses the device so. */
int processes_none(const struct nvml_device *device, unsigned int *count);

/* The name of a process of the guest: its first argument. NVML_ERROR_NOT_FOUND: there is no such process. */
int process_name_get(unsigned int process_id, char *name, size_t bytes);

#endif
