/* SPDX-License-Identifier: Apache-2.0 */
#include "device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mirror.h"
#include "session.h"

/* What cannot work over this transport yet, whatever the device can do. Calls for it are refused. */
static const CUdevice_attribute unsupported[] = {
	CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS,
	CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS_USES_HOST_PAGE_TABLES,
	CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST,
	CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_ONLY_PARTIAL_HOST_NATIVE_ATOMIC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM,
	CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_WITH_CUDA_VMM_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_GPU_DIRECT_RDMA_FLUSH_WRITES_OPTIONS,
	CU_DEVICE_ATTRIBUTE_DMA_BUF_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_ALLOC_DMA_BUF_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_MULTICAST_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_TIMELINE_SEMAPHORE_INTEROP_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_UNIFIED_FUNCTION_POINTERS,
	CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_ALGORITHM_MASK,
	CU_DEVICE_ATTRIBUTE_MEM_DECOMPRESS_MAXIMUM_LENGTH,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_MEMORY_POOLS_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_NUMA_MULTINODE_IPC_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_MEMORY_POOLS_SUPPORTED,
	CU_DEVICE_ATTRIBUTE_HOST_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
};

static bool is_unsupported(CUdevice_attribute attribute)
{
	if (attribute == CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY)
		return !session_shares_memory() && !mirror_is_supported();
	if (attribute == CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY ||
	    attribute == CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS)
		return !session_shares_memory();
	if (attribute == CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED ||
	    attribute == CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES)
		return !(session.features & VGPU_FEATURE_SHARE);
	for (size_t i = 0; i < sizeof(unsupported) / sizeof(unsupported[0]); i++) {
		if (unsupported[i] == attribute)
			return true;
	}
	return false;
}

static CUresult device_find(CUdevice device, const void *answer, const struct vgpu_snapshot_reply **ret_snapshot)
{
	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!answer)
		return CUDA_ERROR_INVALID_VALUE;
	if (device < 0 || (uint32_t)device >= session.device_count)
		return CUDA_ERROR_INVALID_DEVICE;
	*ret_snapshot = &session.devices[device];
	return CUDA_SUCCESS;
}

CUresult device_attribute(CUdevice device, CUdevice_attribute attribute, int *ret_value)
{
	const struct vgpu_snapshot_reply *snapshot;
	CUresult result = device_find(device, ret_value, &snapshot);

	if (result)
		return result;
	if ((int)attribute <= 0 || (uint32_t)attribute >= VGPU_ATTRIBUTES_MAX ||
	    (uint32_t)attribute >= snapshot->attribute_count)
		return CUDA_ERROR_INVALID_VALUE;
	result = (CUresult)snapshot->attribute_results[attribute];
	if (!result)
		*ret_value = is_unsupported(attribute) ? 0 : snapshot->attribute_values[attribute];
	if (!result && attribute == CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES)
		*ret_value &= CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
	return result;
}

static struct device_limits limits[SESSION_DEVICES_MAX];

static uint32_t limit_of(CUdevice device, CUdevice_attribute attribute)
{
	int value = 0;

	return device_attribute(device, attribute, &value) ? 0 : (uint32_t)value;
}

const struct device_limits *device_limits_of(CUdevice device)
{
	struct device_limits *found;

	if (device < 0 || (uint32_t)device >= session.device_count)
		return NULL;
	found = &limits[device];
	if (__atomic_load_n(&found->block_threads, __ATOMIC_ACQUIRE))
		return found;
	/* Threads that do this at the same time write the same values. */
	for (int i = 0; i < 3; i++) {
		found->block[i] = limit_of(device, CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X + i);
		found->grid[i] = limit_of(device, CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X + i);
	}
	found->block_registers = limit_of(device, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK);
	found->shared_bytes = limit_of(device, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK);
	__atomic_store_n(&found->block_threads, limit_of(device, CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK),
			 __ATOMIC_RELEASE);
	return found;
}

API(cuDeviceGetCount, int *count)
{
	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	*count = (int)session.device_count;
	return CUDA_SUCCESS;
}

API(cuDeviceGet, CUdevice *device, int ordinal)
{
	const struct vgpu_snapshot_reply *snapshot;
	CUresult result = device_find(ordinal, device, &snapshot);

	if (!result)
		*device = ordinal;
	return result;
}

uint64_t device_majors(void)
{
	uint64_t majors = 0;

	for (uint32_t i = 0; i < session.device_count; i++) {
		int major;

		if (device_attribute((CUdevice)i, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, &major) || major < 0 ||
		    major >= 64)
			return UINT64_MAX;
		majors |= 1ull << major;
	}
	return majors;
}

API(cuDeviceGetAttribute, int *value, CUdevice_attribute attribute, CUdevice dev)
{
	return device_attribute(dev, attribute, value);
}

static CUresult text_give(char *buffer, int length, const char *text)
{
	if (length <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	snprintf(buffer, (size_t)length, "%s", text);
	return CUDA_SUCCESS;
}

API(cuDeviceGetName, char *name, int length, CUdevice dev)
{
	const struct vgpu_snapshot_reply *snapshot;
	CUresult result = device_find(dev, name, &snapshot);

	return result ? result : text_give(name, length, snapshot->name);
}

API(cuDeviceGetPCIBusId, char *id, int length, CUdevice dev)
{
	const struct vgpu_snapshot_reply *snapshot;
	CUresult result = device_find(dev, id, &snapshot);

	return result ? result : text_give(id, length, snapshot->pci_bus_id);
}

/* [domain:]bus:device[.function], in hexadecimal. */
static bool bus_id_parse(const char *text, unsigned int ret_parts[3])
{
	unsigned int domain = 0, bus, device;

	if (sscanf(text, "%x:%x:%x", &domain, &bus, &device) != 3) {
		domain = 0;
		if (sscanf(text, "%x:%x", &bus, &device) != 2)
			return false;
	}
	ret_parts[0] = domain;
	ret_parts[1] = bus;
	ret_parts[2] = device;
	return true;
}

API(cuDeviceGetByPCIBusId, CUdevice *dev, const char *id)
{
	unsigned int wanted[3], parts[3];

	if (!session_ready())
		return CUDA_ERROR_NOT_INITIALIZED;
	if (!dev || !id || !bus_id_parse(id, wanted))
		return CUDA_ERROR_INVALID_VALUE;
	for (uint32_t i = 0; i < session.device_count; i++) {
		if (bus_id_parse(session.devices[i].pci_bus_id, parts) && memcmp(parts, wanted, sizeof(parts)) == 0) {
			*dev = (CUdevice)i;
			return CUDA_SUCCESS;
		}
	}
	return CUDA_ERROR_INVALID_DEVICE;
}

API(cuDeviceGetUuid, CUuuid *uuid, CUdevice dev)
{
	const struct vgpu_snapshot_reply *snapshot;
	CUresult result = device_find(dev, uuid, &snapshot);

	if (!result)
		memcpy(uuid->bytes, snapshot->uuid, sizeof(uuid->bytes));
	return result;
}

API(cuDeviceGetUuid_v2, CUuuid *uuid, CUdevice dev)
{
	const struct vgpu_snapshot_reply *snapshot;
	CUresult result = device_find(dev, uuid, &snapshot);

	if (!result)
		memcpy(uuid->bytes, snapshot->uuid_v2, sizeof(uuid->bytes));
	return result;
}

API(cuDeviceGetLuid, char *luid, unsigned int *node_mask, CUdevice dev)
{
	const struct vgpu_snapshot_reply *snapshot;
	CUresult result = device_find(dev, luid, &snapshot);

	if (result)
		return result;
	if (!node_mask)
		return CUDA_ERROR_INVALID_VALUE;
	if (snapshot->luid_result)
		return (CUresult)snapshot->luid_result;
	memcpy(luid, snapshot->luid, sizeof(snapshot->luid));
	*node_mask = snapshot->luid_node_mask;
	return CUDA_SUCCESS;
}

API(cuDeviceTotalMem_v2, size_t *bytes, CUdevice dev)
{
	const struct vgpu_snapshot_reply *snapshot;
	CUresult result = device_find(dev, bytes, &snapshot);

	if (!result)
		*bytes = (size_t)snapshot->total_bytes;
	return result;
}

/* The unversioned forms are of the 32-bit API before CUDA 3.2: sizes saturate. */
API(cuDeviceTotalMem, unsigned int *bytes, CUdevice dev)
{
	const struct vgpu_snapshot_reply *snapshot;
	CUresult result = device_find(dev, bytes, &snapshot);

	if (!result)
		*bytes = snapshot->total_bytes > UINT32_MAX ? UINT32_MAX : (unsigned int)snapshot->total_bytes;
	return result;
}

API(cuDeviceComputeCapability, int *major, int *minor, CUdevice dev)
{
	CUresult result;

	if (!major || !minor)
		return session_ready() ? CUDA_ERROR_INVALID_VALUE : CUDA_ERROR_NOT_INITIALIZED;
	result = device_attribute(dev, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, major);
	return result ? result : device_attribute(dev, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, minor);
}

API(cuDeviceGetProperties, CUdevprop *properties, CUdevice dev)
{
	const struct vgpu_snapshot_reply *snapshot;
	const struct device_limits *found;
	CUresult result = device_find(dev, properties, &snapshot);

	if (result)
		return result;
	found = device_limits_of(dev);
	*properties = (CUdevprop){
		.maxThreadsPerBlock = (int)found->block_threads,
		.maxThreadsDim = {(int)found->block[0], (int)found->block[1], (int)found->block[2]},
		.maxGridSize = {(int)found->grid[0], (int)found->grid[1], (int)found->grid[2]},
		.sharedMemPerBlock = (int)found->shared_bytes,
		.totalConstantMemory = (int)limit_of(dev, CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY),
		.SIMDWidth = (int)limit_of(dev, CU_DEVICE_ATTRIBUTE_WARP_SIZE),
		.memPitch = (int)limit_of(dev, CU_DEVICE_ATTRIBUTE_MAX_PITCH),
		.regsPerBlock = (int)limit_of(dev, CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK),
		.clockRate = (int)limit_of(dev, CU_DEVICE_ATTRIBUTE_CLOCK_RATE),
		.textureAlign = (int)limit_of(dev, CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT),
	};
	return CUDA_SUCCESS;
}
