/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telemetry: what libnvidia-ml.so.1 in the guest asks the executor for.
 *
 * A guest process that uses NVML has a channel for it of its own, opened with VGPU_FEATURE_TELEMETRY in
 * HELLO. Its executor never starts the CUDA driver, so it has no context and takes no memory of the GPU;
 * it answers HELLO and the opcodes below, and nothing else. In the HELLO reply 'init_result' is the result
 * of nvmlInit on the host and 'api_checksum' NVML_API_CHECKSUM.
 *
 * Devices are numbered as the guest sees them, from 0. Every reply begins with an NVML result; the record's
 * own result is CUDA_SUCCESS.
 *
 * CALL: a function of api/nvml. The request is struct vgpu_nvml_call and then, for each parameter of the
 * function in order:
 *   DEVICE, IN, SIZE, COUNT   8 bytes: the device's number, the value, the number of elements
 *   VERSIONED                 the structure, whose first word says how long it is
 *   VALUES                    the elements
 * The reply is struct vgpu_nvml_reply and then, for each parameter in order:
 *   COUNT                     8 bytes, with NVML_SUCCESS and NVML_ERROR_INSUFFICIENT_SIZE
 *   OUT, VERSIONED            the value, with NVML_SUCCESS
 *   ARRAY, VALUES             the elements, with NVML_SUCCESS: as many as SIZE asked for; for a COUNT as
 *                             many as there are, or were asked for if that is fewer; none if not present
 * Each is padded to 8 bytes.
 */
#ifndef VGPU_NVML_H
#define VGPU_NVML_H

#include <stdint.h>

struct vgpu_nvml_call {
	uint32_t function; /* its number in api/nvml */
	uint32_t present;  /* a bit for each parameter: a pointer that is not NULL */
};
struct vgpu_nvml_reply {
	int32_t result; /* nvmlReturn_t */
	uint32_t reserved;
};

/* MEMORY, PROCESSES and UTILIZATION: of the device as the tenant has it. */
struct vgpu_nvml_device_request {
	uint32_t device;
	uint32_t reserved;
	uint64_t since_us; /* UTILIZATION: samples after this time only */
};
struct vgpu_nvml_memory_reply {
	int32_t result;
	uint32_t reserved;
	uint64_t total_bytes;
	uint64_t free_bytes;
	uint64_t used_bytes; /* the tenant's */
};
struct vgpu_nvml_process {
	uint32_t process_id; /* in the guest */
	uint32_t reserved;
	uint64_t used_bytes;
};
#define VGPU_NVML_PROCESSES_MAX 1024
/* UTILIZATION: of one process, in percent. */
struct vgpu_nvml_utilization {
	uint32_t process_id; /* in the guest */
	uint32_t compute;
	uint32_t memory;
	uint32_t encoder;
	uint32_t decoder;
	uint32_t reserved;
	uint64_t time_us; /* of the sample, as the host's library gives it */
};
/* Followed by 'count' struct vgpu_nvml_process or struct vgpu_nvml_utilization. */
struct vgpu_nvml_processes_reply {
	int32_t result;
	uint32_t count;
};

#endif
