/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Managed memory has one copy that both sides use: prefetching and advice have
 * nothing to do, and every range is where it always was.
 */
#include "context.h"
#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "stream.h"

static CUresult managed_check(CUdeviceptr address, size_t bytes)
{
	struct memory_range range;
	struct context *context;
	CUresult result = context_current(&context);

	if (result)
		return result;
	if (!bytes || !memory_find(address, &range) || range.kind != MEMORY_MANAGED ||
	    bytes > range.base + range.bytes - address)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

static CUresult location_check(CUmemLocation location)
{
	switch (location.type) {
	case CU_MEM_LOCATION_TYPE_DEVICE:
		return device_exists(location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
	case CU_MEM_LOCATION_TYPE_HOST:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA:
	case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

static CUresult stream_check(CUstream handle)
{
	struct context *context;
	struct stream *stream;
	CUresult result = context_current(&context);

	if (!result)
		result = stream_acquire(context, handle, &stream);
	if (!result)
		stream_release(stream);
	return result;
}

ENTRY_STREAM(cuMemPrefetchAsync_v2,
	     (CUdeviceptr address, size_t bytes, CUmemLocation location, unsigned int flags, CUstream stream),
	     (address, bytes, location, flags, stream))
{
	CUresult result = managed_check(address, bytes);

	if (!result)
		result = flags ? CUDA_ERROR_INVALID_VALUE : location_check(location);
	return result ? result : stream_check(stream);
}

ENTRY_STREAM(cuMemPrefetchAsync, (CUdeviceptr address, size_t bytes, CUdevice device, CUstream stream),
	     (address, bytes, device, stream))
{
	CUresult result = managed_check(address, bytes);

	if (!result && !device_exists(device) && device != CU_DEVICE_CPU)
		result = CUDA_ERROR_INVALID_DEVICE;
	return result ? result : stream_check(stream);
}

static CUresult advise(CUdeviceptr address, size_t bytes, CUmem_advise advice)
{
	if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY)
		return CUDA_ERROR_INVALID_VALUE;
	return managed_check(address, bytes);
}

ENTRY(cuMemAdvise_v2, (CUdeviceptr address, size_t bytes, CUmem_advise advice, CUmemLocation location))
{
	(void)location; /* ignored by some kinds of advice; harmless for the others */
	return advise(address, bytes, advice);
}

ENTRY(cuMemAdvise, (CUdeviceptr address, size_t bytes, CUmem_advise advice, CUdevice device))
{
	(void)device;
	return advise(address, bytes, advice);
}

/* One attribute of a managed range, of which 'bytes' is the size of the answer. */
static CUresult range_attribute(void *ret_value, size_t bytes, CUmem_range_attribute name)
{
	switch (name) {
	case CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY:
		if (bytes != sizeof(int))
			return CUDA_ERROR_INVALID_VALUE;
		*(int *)ret_value = 0;
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION:
	case CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION:
		if (bytes != sizeof(int))
			return CUDA_ERROR_INVALID_VALUE;
		*(int *)ret_value = CU_DEVICE_INVALID; /* none was set: advice is not kept */
		return CUDA_SUCCESS;
	case CU_MEM_RANGE_ATTRIBUTE_ACCESSED_BY:
		if (!bytes || bytes % sizeof(int))
			return CUDA_ERROR_INVALID_VALUE;
		for (size_t index = 0; index < bytes / sizeof(int); index++)
			((int *)ret_value)[index] = CU_DEVICE_INVALID;
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
}

ENTRY(cuMemRangeGetAttribute,
      (void *ret_value, size_t value_bytes, CUmem_range_attribute name, CUdeviceptr address, size_t bytes))
{
	CUresult result = managed_check(address, bytes);

	if (result)
		return result;
	return ret_value ? range_attribute(ret_value, value_bytes, name) : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuMemRangeGetAttributes, (void **ret_values, size_t *value_bytes, CUmem_range_attribute *names, size_t count,
				CUdeviceptr address, size_t bytes))
{
	CUresult result = managed_check(address, bytes);

	if (!result && (!ret_values || !value_bytes || !names || !count))
		result = CUDA_ERROR_INVALID_VALUE;
	for (size_t index = 0; !result && index < count; index++)
		result = ret_values[index] ? range_attribute(ret_values[index], value_bytes[index], names[index])
					   : CUDA_ERROR_INVALID_VALUE;
	return result;
}
