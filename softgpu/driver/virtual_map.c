/* SPDX-License-Identifier: Apache-2.0 */
/* The addresses of virtual memory management: reserving them, mapping physical memory there, letting devices at it. */
#include <sys/mman.h>

#include "arena.h"
#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "memory.h"
#include "virtual.h"

ENTRY(cuMemAddressReserve,
      (CUdeviceptr * ret_address, size_t bytes, size_t alignment, CUdeviceptr hint, unsigned long long flags))
{
	CUresult result = driver_check();

	(void)hint; /* a hint that is not followed */
	if (result)
		return result;
	if (!ret_address || !bytes || bytes % GRANULARITY_BYTES || alignment & (alignment - 1) || flags)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_address = arena_reserve(bytes, alignment < GRANULARITY_BYTES ? GRANULARITY_BYTES : alignment);
	return *ret_address ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

/* Nothing is mapped in [address, address + bytes)? With the lock. */
static bool is_unmapped(uint64_t address, uint64_t bytes)
{
	struct memory_range range;

	for (uint64_t at = address; at < address + bytes; at += GRANULARITY_BYTES) {
		if (memory_find(at, &range))
			return false;
	}
	return true;
}

ENTRY(cuMemAddressFree, (CUdeviceptr address, size_t bytes))
{
	CUresult result = driver_check();

	if (result)
		return result;
	pthread_mutex_lock(&virtual_lock);
	if (arena_reserved(address, bytes, true) && is_unmapped(address, bytes))
		arena_release(address);
	else
		result = CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

/* With the lock and a reference that is the mapping's on success. */
static CUresult map(struct physical *physical, uint64_t address, uint64_t bytes, uint64_t offset)
{
	struct memory_range range = {
		.base = address,
		.bytes = bytes,
		.kind = MEMORY_MAPPED,
		.device = physical->properties.location.id,
		.physical = &physical->object,
	};

	if (offset > physical->bytes || bytes > physical->bytes - offset || !arena_reserved(address, bytes, false) ||
	    !is_unmapped(address, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	if (mmap((void *)address, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, physical_file(physical),
		 (off_t)(physical->offset + offset)) == MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	return memory_register(&range);
}

ENTRY(cuMemMap,
      (CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle, unsigned long long flags))
{
	CUresult result = driver_check();
	struct physical *physical;

	if (result)
		return result;
	if (!bytes || address % GRANULARITY_BYTES || bytes % GRANULARITY_BYTES || offset % GRANULARITY_BYTES || flags)
		return CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_lock(&virtual_lock);
	physical = physical_acquire(handle);
	result = physical ? map(physical, address, bytes, offset) : CUDA_ERROR_INVALID_VALUE;
	if (physical && result)
		object_release(&physical->object);
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

/* Is [address, address + bytes) made of whole mappings? With the lock. */
static bool is_whole(uint64_t address, uint64_t bytes)
{
	struct memory_range range;

	if (!bytes || !arena_reserved(address, bytes, false))
		return false;
	while (bytes) {
		if (!memory_find(address, &range) || range.kind != MEMORY_MAPPED || range.base != address ||
		    range.bytes > bytes)
			return false;
		address += range.bytes;
		bytes -= range.bytes;
	}
	return true;
}

/* With the lock. */
static CUresult unmap(uint64_t address, uint64_t bytes)
{
	struct memory_range range;

	/* First from the table, so that no copy is running there. */
	for (uint64_t at = address; at < address + bytes; at += range.bytes) {
		CUresult result = memory_free(at, MEMORY_MASK(MEMORY_MAPPED), &range);

		if (result)
			return result;
		object_release(range.physical);
	}
	if (mmap((void *)address, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) ==
	    MAP_FAILED)
		return CUDA_ERROR_OUT_OF_MEMORY;
	(void)madvise((void *)address, bytes, MADV_DONTDUMP);
	return CUDA_SUCCESS;
}

ENTRY(cuMemUnmap, (CUdeviceptr address, size_t bytes))
{
	CUresult result = driver_check();

	if (result)
		return result;
	pthread_mutex_lock(&virtual_lock);
	result = is_whole(address, bytes) ? unmap(address, bytes) : CUDA_ERROR_INVALID_VALUE;
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

/* With the lock. */
static CUresult access_set(uint64_t address, uint64_t bytes, CUdevice device, bool accessible)
{
	struct memory_range range;

	if (!is_whole(address, bytes))
		return CUDA_ERROR_INVALID_VALUE;
	for (uint64_t at = address; at < address + bytes; at += range.bytes) {
		uint32_t devices;

		if (!memory_find(at, &range))
			return CUDA_ERROR_INVALID_VALUE;
		devices = accessible ? range.access_devices | 1u << device : range.access_devices & ~(1u << device);
		/* The pages are the process's: whom one device is let at, all can reach. */
		if (mprotect((void *)at, range.bytes, devices ? PROT_READ | PROT_WRITE : PROT_NONE))
			return CUDA_ERROR_OUT_OF_MEMORY;
		memory_set_access(at, devices);
	}
	return CUDA_SUCCESS;
}

static CUresult descriptor_check(const CUmemAccessDesc *descriptor)
{
	if (descriptor->location.type != CU_MEM_LOCATION_TYPE_DEVICE || !device_exists(descriptor->location.id))
		return CUDA_ERROR_INVALID_VALUE;
	/* Memory that can be read only is not built here. */
	if (descriptor->flags == CU_MEM_ACCESS_FLAGS_PROT_READ)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (descriptor->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE &&
	    descriptor->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
		return CUDA_ERROR_INVALID_VALUE;
	return CUDA_SUCCESS;
}

ENTRY(cuMemSetAccess, (CUdeviceptr address, size_t bytes, const CUmemAccessDesc *descriptors, size_t count))
{
	CUresult result = driver_check();

	if (result)
		return result;
	if (!descriptors || !count)
		return CUDA_ERROR_INVALID_VALUE;
	for (size_t index = 0; !result && index < count; index++)
		result = descriptor_check(&descriptors[index]);
	pthread_mutex_lock(&virtual_lock);
	for (size_t index = 0; !result && index < count; index++)
		result = access_set(address, bytes, descriptors[index].location.id,
				    descriptors[index].flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE);
	pthread_mutex_unlock(&virtual_lock);
	return result;
}

ENTRY(cuMemGetAccess, (unsigned long long *ret_flags, const CUmemLocation *location, CUdeviceptr address))
{
	CUresult result = driver_check();
	struct memory_range range;

	if (result)
		return result;
	if (!ret_flags || !location || location->type != CU_MEM_LOCATION_TYPE_DEVICE || !device_exists(location->id) ||
	    !memory_find(address, &range) || range.kind != MEMORY_MAPPED)
		return CUDA_ERROR_INVALID_VALUE;
	*ret_flags = range.access_devices & 1u << location->id ? CU_MEM_ACCESS_FLAGS_PROT_READWRITE
							       : CU_MEM_ACCESS_FLAGS_PROT_NONE;
	return CUDA_SUCCESS;
}
