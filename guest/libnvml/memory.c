/* SPDX-License-Identifier: Apache-2.0 */
/* A device's memory, as the tenant has it. */
#include <stddef.h>

#include "connection.h"
#include "device.h"
#include "entry.h"
#include "library.h"
#include "nvml_abi.h"
#include "vgpu_nvml.h"
#include "vgpu_wire.h"

static int memory_get(const struct nvml_device *device, struct vgpu_nvml_memory_reply *ret_memory)
{
	struct vgpu_nvml_device_request request = {0};
	const struct connection_piece piece = {&request, sizeof(request)};
	size_t bytes;
	int result;

	if (!device_index(device, &request.device))
		return NVML_ERROR_INVALID_ARGUMENT;
	result = connection_request(VGPU_OPCODE_NVML_MEMORY, &piece, 1, ret_memory, sizeof(*ret_memory), &bytes);
	if (result)
		return result;
	return bytes < sizeof(*ret_memory) ? NVML_ERROR_UNKNOWN : ret_memory->result;
}

NVML_API(nvmlDeviceGetMemoryInfo, const struct nvml_device *device, struct nvml_memory *memory)
{
	struct vgpu_nvml_memory_reply reply;
	int result = library_check();

	if (result)
		return result;
	if (!memory)
		return NVML_ERROR_INVALID_ARGUMENT;
	result = memory_get(device, &reply);
	if (result)
		return result;
	*memory = (struct nvml_memory){
		.total = reply.total_bytes,
		.free = reply.free_bytes,
		.used = reply.used_bytes,
	};
	return NVML_SUCCESS;
}

/* Neither free nor the tenant's own is what it cannot have: 'reserved'. */
NVML_API(nvmlDeviceGetMemoryInfo_v2, const struct nvml_device *device, struct nvml_memory_v2 *memory)
{
	struct vgpu_nvml_memory_reply reply;
	int result = library_check();

	if (result)
		return result;
	if (!memory)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (memory->version != NVML_VERSION_WORD(struct nvml_memory_v2, 2))
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	result = memory_get(device, &reply);
	if (result)
		return result;
	memory->total = reply.total_bytes;
	memory->free = reply.free_bytes;
	memory->used = reply.used_bytes;
	memory->reserved = reply.total_bytes - reply.free_bytes - reply.used_bytes;
	return NVML_SUCCESS;
}
