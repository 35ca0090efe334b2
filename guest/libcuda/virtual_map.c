/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual memory management: reserved addresses, what is mapped there and who may use it. */
#include <sys/mman.h>

#include "context.h"
#include "host_calls.h"
#include "memory.h"
#include "vgpu_address.h"
#include "virtual.h"

/*
 * Sees to it that nothing of the program is where the host has reserved: false if there is something. The
 * spans of device memory are kept free anyway.
 */
static bool address_claim(uint64_t address, size_t bytes)
{
	void *wanted = (void *)(uintptr_t)address;
	void *space;

	if (vgpu_address_is_device(address, bytes))
		return true;
	space = mmap(wanted, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1,
		     0);
	if (space == wanted)
		return true;
	if (space != MAP_FAILED)
		munmap(space, bytes);
	return false;
}

API(cuMemAddressReserve, CUdeviceptr *address, size_t bytes, size_t alignment, CUdeviceptr hint,
    unsigned long long flags)
{
	uint64_t reserved;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!address || !bytes || flags)
		return CUDA_ERROR_INVALID_VALUE;
	/* The host takes no addresses that may be somebody's own, and a hint need not be followed. */
	if (!vgpu_address_is_device(hint, bytes))
		hint = 0;
	result = host_cuMemAddressReserve(context, &reserved, bytes, alignment, hint);
	if (result)
		return result;
	if (!address_claim(reserved, bytes)) {
		(void)host_cuMemAddressFree(context, reserved, bytes);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	*address = reserved;
	return CUDA_SUCCESS;
}

API(cuMemAddressFree, CUdeviceptr address, size_t bytes)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result)
		result = host_cuMemAddressFree(context, address, bytes);
	if (!result && !vgpu_address_is_device(address, bytes))
		munmap((void *)(uintptr_t)address, bytes);
	return result;
}

static CUresult mapping_make(uint32_t context, struct object *object, CUdeviceptr address, size_t bytes, size_t offset)
{
	struct memory_range range = {
		.address = address,
		.bytes = bytes,
		.kind = MEMORY_MAPPED,
		.owner = object->id,
		.device = (CUdevice)object->words[MEMORY_HANDLE_DEVICE],
	};
	CUresult result = host_cuMemMap(context, address, bytes, offset, object->id);

	if (result)
		return result;
	result = memory_note(&range);
	if (result)
		(void)host_cuMemUnmap(context, address, bytes);
	return result;
}

API(cuMemMap, CUdeviceptr address, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle,
    unsigned long long flags)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!address || !bytes || flags)
		return CUDA_ERROR_INVALID_VALUE;
	result = memory_handle_map(handle, &object);
	if (result)
		return result;
	result = mapping_make(context, object, address, bytes, offset);
	if (result)
		(void)memory_handle_unmap(context, object);
	return result;
}

API(cuMemUnmap, CUdeviceptr address, size_t bytes)
{
	struct memory_range range;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result)
		result = host_cuMemUnmap(context, address, bytes);
	/* The host has seen to it that these are whole mappings. */
	for (size_t done = 0; !result && done < bytes; done += (size_t)range.bytes) {
		struct object *object;

		if (!memory_remove(address + done, 1u << MEMORY_MAPPED, &range))
			return CUDA_ERROR_INVALID_VALUE;
		object = object_by_id(range.owner);
		if (object)
			result = memory_handle_unmap(context, object);
	}
	return result;
}

/* The device of a location; the host's access to device memory is not built. */
static CUresult location_check(const CUmemLocation *location)
{
	if (location->type != CU_MEM_LOCATION_TYPE_DEVICE)
		return location->type == CU_MEM_LOCATION_TYPE_INVALID ? CUDA_ERROR_INVALID_VALUE
								      : CUDA_ERROR_NOT_SUPPORTED;
	return context_primary(location->id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

API(cuMemSetAccess, CUdeviceptr address, size_t bytes, const CUmemAccessDesc *descriptors, size_t count)
{
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result && (!descriptors || !count))
		result = CUDA_ERROR_INVALID_VALUE;
	for (size_t i = 0; !result && i < count; i++)
		result = location_check(&descriptors[i].location);
	for (size_t i = 0; !result && i < count; i++)
		result = host_cuMemSetAccess(context, address, bytes, descriptors[i].location.id,
					     (uint32_t)descriptors[i].flags);
	return result;
}

API(cuMemGetAccess, unsigned long long *flags, const CUmemLocation *location, CUdeviceptr address)
{
	uint64_t answer;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result)
		result = flags && location ? location_check(location) : CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = host_cuMemGetAccess(context, &answer, location->id, address);
	if (!result)
		*flags = answer;
	return result;
}
