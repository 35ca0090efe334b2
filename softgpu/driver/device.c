/* SPDX-License-Identifier: Apache-2.0 */
/* cuDevice*: what the software GPU is and can do.  What it cannot do reads 0. */
#include "device.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "softgpu/engine/engine.h"

#define DEVICE_NAME  "softgpu (PTX on the CPU)"
#define BUS_ID_BYTES 13 /* "0000:01:00.0" */

struct attribute {
	CUdevice_attribute name;
	int value;
};

static const struct attribute attributes[] = {
	{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, DEVICE_BLOCK_THREADS_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X, DEVICE_BLOCK_X_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y, DEVICE_BLOCK_Y_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z, DEVICE_BLOCK_Z_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X, DEVICE_GRID_X_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y, DEVICE_GRID_Y_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z, DEVICE_GRID_Z_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK, DEVICE_SHARED_BYTES_DEFAULT},
	{CU_DEVICE_ATTRIBUTE_TOTAL_CONSTANT_MEMORY, 65536},
	{CU_DEVICE_ATTRIBUTE_WARP_SIZE, DEVICE_WARP_LANES},
	{CU_DEVICE_ATTRIBUTE_MAX_PITCH, 2147483647},
	{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_BLOCK, DEVICE_REGISTERS},
	{CU_DEVICE_ATTRIBUTE_CLOCK_RATE, 1000000}, /* clock64 counts nanoseconds */
	{CU_DEVICE_ATTRIBUTE_TEXTURE_ALIGNMENT, DEVICE_TEXTURE_ALIGNMENT},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_WIDTH, DEVICE_TEXTURE_WIDTH_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_WIDTH, DEVICE_TEXTURE_WIDTH_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_HEIGHT, DEVICE_TEXTURE_HEIGHT_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_WIDTH, DEVICE_TEXTURE_3D_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_HEIGHT, DEVICE_TEXTURE_3D_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH, DEVICE_TEXTURE_3D_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_WIDTH_ALTERNATE, DEVICE_TEXTURE_3D_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_HEIGHT_ALTERNATE, DEVICE_TEXTURE_3D_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE3D_DEPTH_ALTERNATE, DEVICE_TEXTURE_3D_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LAYERED_WIDTH, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LAYERED_LAYERS, DEVICE_LAYERS_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_WIDTH, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_HEIGHT, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LAYERED_LAYERS, DEVICE_LAYERS_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_GATHER_WIDTH, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_GATHER_HEIGHT, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURECUBEMAP_WIDTH, DEVICE_CUBEMAP_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURECUBEMAP_LAYERED_WIDTH, DEVICE_CUBEMAP_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURECUBEMAP_LAYERED_LAYERS, DEVICE_CUBEMAP_LAYERS_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_LINEAR_WIDTH, DEVICE_LINEAR_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_WIDTH, DEVICE_PITCH_WIDTH_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_HEIGHT, DEVICE_PITCH_HEIGHT_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_LINEAR_PITCH, DEVICE_PITCH_BYTES_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE1D_MIPMAPPED_WIDTH, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_MIPMAPPED_WIDTH, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_TEXTURE2D_MIPMAPPED_HEIGHT, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE1D_WIDTH, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_WIDTH, DEVICE_TEXTURE_WIDTH_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_HEIGHT, DEVICE_TEXTURE_HEIGHT_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE3D_WIDTH, DEVICE_TEXTURE_3D_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE3D_HEIGHT, DEVICE_TEXTURE_3D_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE3D_DEPTH, DEVICE_TEXTURE_3D_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE1D_LAYERED_WIDTH, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE1D_LAYERED_LAYERS, DEVICE_LAYERS_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_LAYERED_WIDTH, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_LAYERED_HEIGHT, DEVICE_LAYERED_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACE2D_LAYERED_LAYERS, DEVICE_LAYERS_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_WIDTH, DEVICE_CUBEMAP_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_LAYERED_WIDTH, DEVICE_CUBEMAP_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_MAXIMUM_SURFACECUBEMAP_LAYERED_LAYERS, DEVICE_CUBEMAP_LAYERS_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_GPU_OVERLAP, 1},
	{CU_DEVICE_ATTRIBUTE_INTEGRATED, 0},
	{CU_DEVICE_ATTRIBUTE_CAN_MAP_HOST_MEMORY, 1},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_MODE, CU_COMPUTEMODE_DEFAULT},
	{CU_DEVICE_ATTRIBUTE_SURFACE_ALIGNMENT, 512},
	{CU_DEVICE_ATTRIBUTE_CONCURRENT_KERNELS, 1},
	{CU_DEVICE_ATTRIBUTE_TCC_DRIVER, 0},
	{CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE, 1000000},
	{CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH, 64},
	{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, DEVICE_MULTIPROCESSOR_THREADS},
	{CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT, 2},
	{CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING, 1},
	{CU_DEVICE_ATTRIBUTE_TEXTURE_PITCH_ALIGNMENT, DEVICE_PITCH_ALIGNMENT},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, DEVICE_CAPABILITY_MAJOR},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, DEVICE_CAPABILITY_MINOR},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR, DEVICE_SHARED_BYTES_MULTIPROCESSOR},
	{CU_DEVICE_ATTRIBUTE_MAX_REGISTERS_PER_MULTIPROCESSOR, DEVICE_REGISTERS},
	{CU_DEVICE_ATTRIBUTE_MANAGED_MEMORY, 1},
	{CU_DEVICE_ATTRIBUTE_HOST_NATIVE_ATOMIC_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO, 2},
	{CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS, 1},
	{CU_DEVICE_ATTRIBUTE_COMPUTE_PREEMPTION_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM, 1},
	{CU_DEVICE_ATTRIBUTE_COOPERATIVE_LAUNCH, 1},
	{CU_DEVICE_ATTRIBUTE_COOPERATIVE_MULTI_DEVICE_LAUNCH, 1},
	{CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, DEVICE_SHARED_BYTES_OPTIN},
	{CU_DEVICE_ATTRIBUTE_HOST_REGISTER_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_DIRECT_MANAGED_MEM_ACCESS_FROM_HOST, 1},
	{CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR, DEVICE_MULTIPROCESSOR_BLOCKS_MAXIMUM},
	{CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK, DEVICE_SHARED_BYTES_RESERVED},
	{CU_DEVICE_ATTRIBUTE_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_READ_ONLY_HOST_REGISTER_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_MEMPOOL_SUPPORTED_HANDLE_TYPES, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR},
	{CU_DEVICE_ATTRIBUTE_IPC_EVENT_SUPPORTED, 1},
	{CU_DEVICE_ATTRIBUTE_CAN_USE_64_BIT_STREAM_MEM_OPS, 1},
	{CU_DEVICE_ATTRIBUTE_CAN_USE_STREAM_WAIT_VALUE_NOR, 1},
	{CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT, 1},
	{CU_DEVICE_ATTRIBUTE_NUMA_CONFIG, CU_DEVICE_NUMA_CONFIG_NONE},
	{CU_DEVICE_ATTRIBUTE_NUMA_ID, -1},
	{CU_DEVICE_ATTRIBUTE_HOST_NUMA_ID, 0},
};

int device_multiprocessor_count(void)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	return online > 0 ? (int)online : 1;
}

ENTRY(cuDeviceGet, (CUdevice * ret_device, int ordinal))
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_device)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_exists(ordinal))
		return CUDA_ERROR_INVALID_DEVICE;
	*ret_device = ordinal;
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceGetCount, (int *ret_count))
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_count)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_count = device_count();
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceGetName, (char *name, int bytes, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!name || bytes <= 0)
		return CUDA_ERROR_INVALID_VALUE;
	snprintf(name, (size_t)bytes, "%s", DEVICE_NAME);
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceGetUuid_v2, (CUuuid * ret_uuid, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!ret_uuid)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_uuid = device_uuid(device);
	return CUDA_SUCCESS;
}
ENTRY_ALIAS(cuDeviceGetUuid, cuDeviceGetUuid_v2, (CUuuid * ret_uuid, CUdevice device));

/* A locally unique identifier exists on Windows only; the real driver on Linux gives zeros. */
ENTRY(cuDeviceGetLuid, (char *luid, unsigned int *ret_node_mask, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!luid || !ret_node_mask)
		return CUDA_ERROR_INVALID_VALUE;
	memset(luid, 0, 8);
	*ret_node_mask = 0;
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceTotalMem_v2, (size_t * ret_bytes, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!ret_bytes)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_bytes = device_memory_bytes(device);
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceGetAttribute, (int *ret_value, CUdevice_attribute name, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!ret_value || name < CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK || name >= CU_DEVICE_ATTRIBUTE_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (name == CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT) {
		*ret_value = device_multiprocessor_count();
		return CUDA_SUCCESS;
	}
	if (name == CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS) {
		*ret_value = device_pageable_access();
		return CUDA_SUCCESS;
	}
	if (name == CU_DEVICE_ATTRIBUTE_PCI_BUS_ID) {
		*ret_value = (int)device_bus(device);
		return CUDA_SUCCESS;
	}
	if (name == CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE) {
		long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);

		*ret_value = bytes > 0 && bytes < 2147483647 ? (int)bytes : 0;
		return CUDA_SUCCESS;
	}
	for (size_t index = 0; index < sizeof(attributes) / sizeof(attributes[0]); index++) {
		if (attributes[index].name == name) {
			*ret_value = attributes[index].value;
			return CUDA_SUCCESS;
		}
	}
	*ret_value = 0;
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceComputeCapability, (int *ret_major, int *ret_minor, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!ret_major || !ret_minor)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_major = DEVICE_CAPABILITY_MAJOR;
	*ret_minor = DEVICE_CAPABILITY_MINOR;
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceGetProperties, (CUdevprop * ret_properties, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!ret_properties)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_properties = (CUdevprop){
		.maxThreadsPerBlock = DEVICE_BLOCK_THREADS_MAXIMUM,
		.maxThreadsDim = {DEVICE_BLOCK_X_MAXIMUM, DEVICE_BLOCK_Y_MAXIMUM, DEVICE_BLOCK_Z_MAXIMUM},
		.maxGridSize = {DEVICE_GRID_X_MAXIMUM, DEVICE_GRID_Y_MAXIMUM, DEVICE_GRID_Z_MAXIMUM},
		.sharedMemPerBlock = DEVICE_SHARED_BYTES_DEFAULT,
		.totalConstantMemory = 65536,
		.SIMDWidth = DEVICE_WARP_LANES,
		.memPitch = 2147483647,
		.regsPerBlock = DEVICE_REGISTERS,
		.clockRate = 1000000,
		.textureAlign = 512,
	};
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceGetPCIBusId, (char *text, int bytes, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!text || bytes < BUS_ID_BYTES)
		return CUDA_ERROR_INVALID_VALUE;
	/* No device is on a bus: each has one to itself. */
	snprintf(text, (size_t)bytes, "0000:%02x:00.0", device_bus(device));
	return CUDA_SUCCESS;
}

ENTRY(cuDeviceGetByPCIBusId, (CUdevice * ret_device, const char *text))
{
	unsigned domain = 0, bus, slot, function = 0;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_device || !text)
		return CUDA_ERROR_INVALID_VALUE;
	/* [domain:]bus:device[.function], hexadecimal */
	if (sscanf(text, "%x:%x:%x.%x", &domain, &bus, &slot, &function) < 3) {
		domain = function = 0;
		if (sscanf(text, "%x:%x.%x", &bus, &slot, &function) < 2)
			return CUDA_ERROR_INVALID_VALUE;
	}
	for (int device = 0; device < device_count(); device++) {
		if (domain || bus != device_bus(device) || slot || function)
			continue;
		*ret_device = device;
		return CUDA_SUCCESS;
	}
	return CUDA_ERROR_INVALID_DEVICE;
}

ENTRY(cuDeviceCanAccessPeer, (int *ret_can, CUdevice device, CUdevice peer))
{
	CUresult result = device_check(device);

	if (!result)
		result = device_check(peer);
	if (result)
		return result;
	if (!ret_can)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_can = device != peer;
	return CUDA_SUCCESS;
}

/* Devices share the host's memory and its processors. */
ENTRY(cuDeviceGetP2PAttribute, (int *ret_value, CUdevice_P2PAttribute name, CUdevice source, CUdevice destination))
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_value)
		return CUDA_ERROR_INVALID_VALUE;
	if (!device_exists(source) || !device_exists(destination) || source == destination)
		return CUDA_ERROR_INVALID_DEVICE;
	switch (name) {
	case CU_DEVICE_P2P_ATTRIBUTE_PERFORMANCE_RANK:
		*ret_value = 0;
		return CUDA_SUCCESS;
	case CU_DEVICE_P2P_ATTRIBUTE_ACCESS_SUPPORTED:
	case CU_DEVICE_P2P_ATTRIBUTE_NATIVE_ATOMIC_SUPPORTED:
	case CU_DEVICE_P2P_ATTRIBUTE_CUDA_ARRAY_ACCESS_SUPPORTED:
		*ret_value = 1;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

/* Affinity by number of multiprocessors is not supported. */
ENTRY(cuDeviceGetExecAffinitySupport, (int *ret_supported, CUexecAffinityType type, CUdevice device))
{
	CUresult result = device_check(device);

	if (result)
		return result;
	if (!ret_supported || type != CU_EXEC_AFFINITY_TYPE_SM_COUNT)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_supported = 0;
	return CUDA_SUCCESS;
}

/* Graphs hold no memory of their own: no node allocates any. */
ENTRY(cuDeviceGraphMemTrim, (CUdevice device))
{
	return device_check(device);
}
