/* SPDX-License-Identifier: Apache-2.0 */
/* cuPointerGetAttribute, cuPointerGetAttributes, cuPointerSetAttribute. */
#include <string.h>

#include "context.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"

/* What is known of a range that the driver knows. */
static CUresult attribute_read(const struct memory_range *range, uint64_t address, CUpointer_attribute name,
			       void *value)
{
	bool host = memory_kind_is_host(range->kind);
	bool managed = range->kind == MEMORY_MANAGED;

	switch (name) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
		*(CUcontext *)value = (CUcontext)range->context;
		break;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
		*(CUmemorytype *)value = host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
		break;
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
		*(CUdeviceptr *)value = address;
		break;
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
		if (!host && !managed)
			return CUDA_ERROR_INVALID_VALUE;
		*(void **)value = (void *)(uintptr_t)address;
		break;
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
		*(unsigned *)value = range->synchronous;
		break;
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
		*(unsigned long long *)value = range->id;
		break;
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
		*(unsigned *)value = managed;
		break;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)value = range->device;
		break;
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		*(unsigned *)value = 0;
		break;
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
		*(CUdeviceptr *)value = range->base;
		break;
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
		*(size_t *)value = range->bytes;
		break;
	case CU_POINTER_ATTRIBUTE_MAPPED:
		*(unsigned *)value = 1;
		break;
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
		*(unsigned long long *)value = 0;
		break;
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
		*(CUDA_POINTER_ATTRIBUTE_ACCESS_FLAGS *)value = CU_POINTER_ATTRIBUTE_ACCESS_FLAG_READWRITE;
		break;
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
		if (!range->pool)
			return CUDA_ERROR_INVALID_VALUE;
		*(CUmemoryPool *)value = (CUmemoryPool)range->pool;
		break;
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
		*(size_t *)value = range->bytes;
		break;
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
		*(CUdeviceptr *)value = range->base;
		break;
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		*(unsigned long long *)value = range->id;
		break;
	case CU_POINTER_ATTRIBUTE_P2P_TOKENS:
		return CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	return CUDA_SUCCESS;
}

/* For a pointer that the driver does not know, cuPointerGetAttributes answers all zeros, and this for the ordinal. */
static CUresult attribute_clear(CUpointer_attribute name, void *value)
{
	switch (name) {
	case CU_POINTER_ATTRIBUTE_CONTEXT:
	case CU_POINTER_ATTRIBUTE_DEVICE_POINTER:
	case CU_POINTER_ATTRIBUTE_HOST_POINTER:
	case CU_POINTER_ATTRIBUTE_BUFFER_ID:
	case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR:
	case CU_POINTER_ATTRIBUTE_RANGE_SIZE:
	case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
	case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
	case CU_POINTER_ATTRIBUTE_MAPPING_SIZE:
	case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR:
	case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID:
		memset(value, 0, 8);
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
		*(int *)value = CU_DEVICE_INVALID;
		return CUDA_SUCCESS;
	case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
	case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS:
	case CU_POINTER_ATTRIBUTE_IS_MANAGED:
	case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
	case CU_POINTER_ATTRIBUTE_MAPPED:
	case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS:
	case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE:
	case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE:
		memset(value, 0, 4);
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

ENTRY(cuPointerGetAttribute, (void *ret_value, CUpointer_attribute name, CUdeviceptr address))
{
	struct memory_range range;
	CUresult result = driver_check();

	if (result)
		return result;
	if (!ret_value || !memory_find(address, &range))
		return CUDA_ERROR_INVALID_VALUE;
	return attribute_read(&range, address, name, ret_value);
}

ENTRY(cuPointerGetAttributes, (unsigned int count, CUpointer_attribute *names, void **ret_values, CUdeviceptr address))
{
	struct memory_range range;
	CUresult result = driver_check();
	bool known;

	if (result)
		return result;
	if (!count || !names || !ret_values)
		return CUDA_ERROR_INVALID_VALUE;
	known = memory_find(address, &range);
	for (unsigned index = 0; index < count; index++) {
		if (!ret_values[index])
			return CUDA_ERROR_INVALID_VALUE;
		if (known && !attribute_read(&range, address, names[index], ret_values[index]))
			continue;
		result = attribute_clear(names[index], ret_values[index]);
		if (result)
			return result;
	}
	return CUDA_SUCCESS;
}

ENTRY(cuPointerSetAttribute, (const void *value, CUpointer_attribute name, CUdeviceptr address))
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!value || name != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS)
		return CUDA_ERROR_INVALID_VALUE;
	return memory_set_synchronous(address, *(const unsigned *)value != 0) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
