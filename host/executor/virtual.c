/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual memory management. */
#include <stdlib.h>

#include "executor.h"
#include "executor_calls.h"
#include "limit.h"
#include "share.h"
#include "virtual.h"
#include "vgpu_address.h"

/* The driver has all of the calls or none (CUDA 10.2). */
static bool is_there(const struct executor *executor)
{
	const struct driver *driver = &executor->driver;

	return driver->cuMemAddressReserve && driver->cuMemAddressFree && driver->cuMemCreate && driver->cuMemRelease &&
	       driver->cuMemMap && driver->cuMemUnmap && driver->cuMemSetAccess && driver->cuMemGetAccess &&
	       driver->cuMemGetAllocationGranularity;
}

static CUmemAllocationProp properties_of(CUdevice device, uint32_t compression, uint32_t handle_types)
{
	CUmemAllocationProp properties = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = (CUmemAllocationHandleType)handle_types,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = device},
	};

	properties.allocFlags.compressionType = (unsigned char)compression;
	properties.allocFlags.usage = (unsigned short)(compression >> 16);
	return properties;
}

/* Descriptors are the one kind that processes can share here. */
static bool handle_types_valid(const struct executor *executor, uint32_t handle_types)
{
	return handle_types == CU_MEM_HANDLE_TYPE_NONE ||
	       (handle_types == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR && executor->can_share);
}

static CUresult kind_check(const struct executor *executor, uint32_t compression, uint32_t handle_types)
{
	if (!is_there(executor) || !handle_types_valid(executor, handle_types))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (compression >> 16 & ~CU_MEM_CREATE_USAGE_TILE_POOL)
		return CUDA_ERROR_NOT_SUPPORTED;
	return (compression & 0xffff) > CU_MEM_ALLOCATION_COMP_GENERIC ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult execute_cuMemGetAllocationGranularity(struct executor *executor, const struct request *request,
					       const struct wire_cuMemGetAllocationGranularity *arguments,
					       struct wire_cuMemGetAllocationGranularity_reply *reply)
{
	CUmemAllocationProp properties = properties_of(arguments->dev, arguments->compression, arguments->handle_types);
	size_t bytes = 0;
	CUresult result;

	(void)request;
	result = kind_check(executor, arguments->compression, arguments->handle_types);
	if (result)
		return result;
	result = executor->driver.cuMemGetAllocationGranularity(&bytes, &properties,
								(CUmemAllocationGranularity_flags)arguments->option);
	reply->granularity = bytes;
	return result;
}

CUresult execute_cuMemAddressReserve(struct executor *executor, const struct request *request,
				     const struct wire_cuMemAddressReserve *arguments,
				     struct wire_cuMemAddressReserve_reply *reply)
{
	struct virtual_ranges *reservations = &executor->virtual_memory.reservations;
	struct virtual_range range = {.bytes = arguments->size};
	CUdeviceptr address = 0;
	CUresult result;

	(void)request;
	if (!is_there(executor))
		return CUDA_ERROR_NOT_SUPPORTED;
	/* What lies elsewhere may be this process's own memory. */
	if (!arguments->size || (arguments->hint && !vgpu_address_is_device(arguments->hint, arguments->size)))
		return CUDA_ERROR_INVALID_VALUE;
	result = virtual_ranges_reserve(reservations, VIRTUAL_RESERVATIONS_MAX);
	if (!result)
		result = executor->driver.cuMemAddressReserve(&address, arguments->size, arguments->alignment,
							      arguments->hint, 0);
	if (result)
		return result;
	range.address = address;
	virtual_ranges_add(reservations, &range);
	reply->ptr = address;
	return CUDA_SUCCESS;
}

CUresult execute_cuMemAddressFree(struct executor *executor, const struct request *request,
				  const struct wire_cuMemAddressFree *arguments)
{
	struct virtual_memory *memory = &executor->virtual_memory;
	size_t first;
	CUresult result;

	(void)request;
	if (!is_there(executor))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (virtual_ranges_whole(&memory->reservations, arguments->ptr, arguments->size, &first) != 1 ||
	    virtual_ranges_overlap(&memory->mappings, arguments->ptr, arguments->size))
		return CUDA_ERROR_INVALID_VALUE;
	result = executor->driver.cuMemAddressFree(arguments->ptr, arguments->size);
	if (!result)
		virtual_ranges_remove(&memory->reservations, first, 1);
	return result;
}

/* Where the account knows it: no device memory lies where this process has its own. */
static CUdeviceptr account_key(const struct physical *physical)
{
	return (uintptr_t)physical;
}

CUresult execute_cuMemCreate(struct executor *executor, const struct request *request,
			     const struct wire_cuMemCreate *arguments)
{
	CUmemAllocationProp properties = properties_of(arguments->dev, arguments->compression, arguments->handle_types);
	struct physical *physical;
	CUresult result;

	(void)request;
	result = kind_check(executor, arguments->compression, arguments->handle_types);
	if (result)
		return result;
	result = execute_check_mint(executor, VGPU_KIND_MEMORY_HANDLE, arguments->handle);
	if (result)
		return result;
	physical = calloc(1, sizeof(*physical));
	if (!physical)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = account_admit(executor, "cuMemCreate", arguments->size);
	if (!result) {
		result = executor->driver.cuMemCreate(&physical->handle, arguments->size, &properties, 0);
		/* It has no device address, and does not end with a context. */
		account_add(executor, "cuMemCreate", result, account_key(physical), arguments->size, 0);
	}
	if (result) {
		free(physical);
		return result;
	}
	physical->bytes = arguments->size;
	physical->is_held = true;
	execute_mint(executor, arguments->handle, 0, physical);
	return CUDA_SUCCESS;
}

void physical_settle(struct executor *executor, struct physical *physical)
{
	if (physical->is_held || physical->mappings)
		return;
	/* What others have open stays theirs; they have paid for it. */
	if (physical->shared && !share_withdraw(executor, physical))
		return;
	account_remove(executor, account_key(physical));
	free(physical);
}

CUresult physical_import(struct executor *executor, uint32_t id, int descriptor, uint64_t bytes,
			 CUmemAllocationProp *ret_properties)
{
	struct physical *physical = calloc(1, sizeof(*physical));
	CUresult result = physical ? account_admit(executor, "cuMemImport", bytes) : CUDA_ERROR_OUT_OF_MEMORY;

	if (result)
		goto free_physical;
	result = executor->driver.cuMemImportFromShareableHandle(&physical->handle, (void *)(intptr_t)descriptor,
								 CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR);
	if (!result) {
		result = executor->driver.cuMemGetAllocationPropertiesFromHandle(ret_properties, physical->handle);
		if (result)
			executor->driver.cuMemRelease(physical->handle);
	}
	account_add(executor, "cuMemImport", result, account_key(physical), bytes, 0);
	if (result)
		goto free_physical;
	physical->bytes = bytes;
	physical->is_held = true;
	execute_mint(executor, id, 0, physical);
	return CUDA_SUCCESS;
free_physical:
	free(physical);
	return result;
}

CUresult execute_cuMemRelease(struct executor *executor, const struct request *request,
			      const struct wire_cuMemRelease *arguments)
{
	void *object;
	struct physical *physical;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_HANDLE, arguments->handle, &object);

	(void)request;
	if (result)
		return result;
	physical = object;
	result = executor->driver.cuMemRelease(physical->handle);
	if (result)
		return result;
	execute_forget(executor, arguments->handle);
	physical->is_held = false;
	physical_settle(executor, physical);
	return CUDA_SUCCESS;
}

CUresult execute_cuMemMap(struct executor *executor, const struct request *request,
			  const struct wire_cuMemMap *arguments)
{
	struct virtual_memory *memory = &executor->virtual_memory;
	struct virtual_range range = {.address = arguments->ptr, .bytes = arguments->size};
	void *object;
	CUresult result = execute_find(executor, VGPU_KIND_MEMORY_HANDLE, arguments->handle, &object);

	(void)request;
	if (result)
		return result;
	range.physical = object;
	if (!range.bytes || arguments->offset > range.physical->bytes ||
	    range.bytes > range.physical->bytes - arguments->offset ||
	    !virtual_ranges_find(&memory->reservations, range.address, range.bytes) ||
	    virtual_ranges_overlap(&memory->mappings, range.address, range.bytes))
		return CUDA_ERROR_INVALID_VALUE;
	result = virtual_ranges_reserve(&memory->mappings, VIRTUAL_MAPPINGS_MAX);
	if (!result)
		result = executor->driver.cuMemMap(range.address, range.bytes, arguments->offset,
						   range.physical->handle, 0);
	if (result)
		return result;
	virtual_ranges_add(&memory->mappings, &range);
	range.physical->mappings++;
	return CUDA_SUCCESS;
}

CUresult execute_cuMemUnmap(struct executor *executor, const struct request *request,
			    const struct wire_cuMemUnmap *arguments)
{
	struct virtual_ranges *mappings = &executor->virtual_memory.mappings;
	size_t first;
	size_t count = virtual_ranges_whole(mappings, arguments->ptr, arguments->size, &first);
	CUresult result;

	(void)request;
	if (!count)
		return CUDA_ERROR_INVALID_VALUE;
	result = executor->driver.cuMemUnmap(arguments->ptr, arguments->size);
	if (result)
		return result;
	for (size_t i = first; i < first + count; i++) {
		mappings->ranges[i].physical->mappings--;
		physical_settle(executor, mappings->ranges[i].physical);
	}
	virtual_ranges_remove(mappings, first, count);
	return CUDA_SUCCESS;
}

CUresult execute_cuMemSetAccess(struct executor *executor, const struct request *request,
				const struct wire_cuMemSetAccess *arguments)
{
	CUmemAccessDesc descriptor = {
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = arguments->dev},
		.flags = (CUmemAccess_flags)arguments->flags,
	};
	size_t first;

	(void)request;
	if (!virtual_ranges_whole(&executor->virtual_memory.mappings, arguments->ptr, arguments->size, &first) ||
	    (arguments->flags != CU_MEM_ACCESS_FLAGS_PROT_NONE && arguments->flags != CU_MEM_ACCESS_FLAGS_PROT_READ &&
	     arguments->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE))
		return CUDA_ERROR_INVALID_VALUE;
	return executor->driver.cuMemSetAccess(arguments->ptr, arguments->size, &descriptor, 1);
}

CUresult execute_cuMemGetAccess(struct executor *executor, const struct request *request,
				const struct wire_cuMemGetAccess *arguments, struct wire_cuMemGetAccess_reply *reply)
{
	CUmemLocation location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = arguments->dev};
	unsigned long long flags = 0;
	CUresult result;

	(void)request;
	if (!virtual_ranges_find(&executor->virtual_memory.mappings, arguments->ptr, 1))
		return CUDA_ERROR_INVALID_VALUE;
	result = executor->driver.cuMemGetAccess(&flags, &location, arguments->ptr);
	reply->flags = flags;
	return result;
}
