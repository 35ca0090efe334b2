/* SPDX-License-Identifier: Apache-2.0 */
#include "virtual.h"

#include "context.h"
#include "host_calls.h"
#include "lock.h"
#include "memory.h"
#include "session.h"

static struct lock handles_lock;

static bool handle_types_valid(const CUmemAllocationProp *properties)
{
	return properties->requestedHandleTypes == CU_MEM_HANDLE_TYPE_NONE ||
	       (properties->requestedHandleTypes == CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR &&
		session.features & VGPU_FEATURE_SHARE);
}

static CUresult properties_check(const CUmemAllocationProp *properties)
{
	if (!properties || properties->type != CU_MEM_ALLOCATION_TYPE_PINNED)
		return properties && properties->type == CU_MEM_ALLOCATION_TYPE_MANAGED ? CUDA_ERROR_NOT_SUPPORTED
											: CUDA_ERROR_INVALID_VALUE;
	/* Memory of the host, and what the device's attributes deny: other handles, RDMA, decompression. */
	if (properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE || !handle_types_valid(properties) ||
	    (properties->allocFlags.usage & ~CU_MEM_CREATE_USAGE_TILE_POOL) ||
	    properties->allocFlags.gpuDirectRDMACapable)
		return CUDA_ERROR_NOT_SUPPORTED;
	return context_primary(properties->location.id) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

/* As they cross: what the memory is for in the upper half. */
static uint32_t compression_of(const CUmemAllocationProp *properties)
{
	return properties->allocFlags.compressionType | (uint32_t)properties->allocFlags.usage << 16;
}

API(cuMemGetAllocationGranularity, size_t *granularity, const CUmemAllocationProp *properties,
    CUmemAllocationGranularity_flags option)
{
	uint64_t bytes;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result)
		result = granularity ? properties_check(properties) : CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = host_cuMemGetAllocationGranularity(
			context, &bytes, properties->location.id, compression_of(properties),
			(uint32_t)properties->requestedHandleTypes, (uint32_t)option);
	if (!result)
		*granularity = (size_t)bytes;
	return result;
}

CUmemGenericAllocationHandle memory_handle_publish(struct object *object, uint64_t bytes,
						   const CUmemAllocationProp *properties)
{
	object->words[MEMORY_HANDLE_BYTES] = bytes;
	object->words[MEMORY_HANDLE_DEVICE] = (uint64_t)properties->location.id;
	object->words[MEMORY_HANDLE_COMPRESSION] = compression_of(properties);
	object->words[MEMORY_HANDLE_TYPES] = (uint64_t)properties->requestedHandleTypes;
	object->words[MEMORY_HANDLE_REFERENCES] = 1;
	return (uintptr_t)object;
}

API(cuMemCreate, CUmemGenericAllocationHandle *handle, size_t bytes, const CUmemAllocationProp *properties,
    unsigned long long flags)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (!result)
		result = handle && bytes && !flags ? properties_check(properties) : CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	object = object_mint(VGPU_KIND_MEMORY_HANDLE, 0);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuMemCreate(context, object->id, bytes, properties->location.id, compression_of(properties),
				  (uint32_t)properties->requestedHandleTypes);
	if (result) {
		object_release(object);
		return result;
	}
	*handle = memory_handle_publish(object, bytes, properties);
	return CUDA_SUCCESS;
}

/* A handle that the program holds. With the lock. */
static struct object *handle_find(CUmemGenericAllocationHandle handle)
{
	struct object *object = object_find((const void *)(uintptr_t)handle, VGPU_KIND_MEMORY_HANDLE);

	return object && object->words[MEMORY_HANDLE_REFERENCES] ? object : NULL;
}

/* After a reference or a mapping has gone. With the lock. */
static CUresult handle_settle(uint32_t context, struct object *object)
{
	CUresult result;

	if (object->words[MEMORY_HANDLE_REFERENCES] || object->words[MEMORY_HANDLE_MAPPINGS])
		return CUDA_SUCCESS;
	result = host_cuMemRelease(context, object->id);
	object_release(object);
	return result;
}

API(cuMemRelease, CUmemGenericAllocationHandle handle)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	lock_take(&handles_lock);
	object = handle_find(handle);
	if (object) {
		object->words[MEMORY_HANDLE_REFERENCES]--;
		result = handle_settle(context, object);
	} else {
		result = CUDA_ERROR_INVALID_VALUE;
	}
	lock_release(&handles_lock);
	return result;
}

API(cuMemRetainAllocationHandle, CUmemGenericAllocationHandle *handle, void *address)
{
	struct memory_range range;
	struct object *object = NULL;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!handle)
		return CUDA_ERROR_INVALID_VALUE;
	lock_take(&handles_lock);
	if (memory_lookup((uintptr_t)address, &range) && range.kind == MEMORY_MAPPED)
		object = object_by_id(range.owner);
	if (object)
		object->words[MEMORY_HANDLE_REFERENCES]++;
	lock_release(&handles_lock);
	if (!object)
		return CUDA_ERROR_INVALID_VALUE;
	*handle = (uintptr_t)object;
	return CUDA_SUCCESS;
}

API(cuMemGetAllocationPropertiesFromHandle, CUmemAllocationProp *properties, CUmemGenericAllocationHandle handle)
{
	struct object *object;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!properties)
		return CUDA_ERROR_INVALID_VALUE;
	lock_take(&handles_lock);
	object = handle_find(handle);
	if (object) {
		*properties = (CUmemAllocationProp){
			.type = CU_MEM_ALLOCATION_TYPE_PINNED,
			.requestedHandleTypes = (CUmemAllocationHandleType)object->words[MEMORY_HANDLE_TYPES],
			.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE,
				     .id = (int)object->words[MEMORY_HANDLE_DEVICE]},
		};
		properties->allocFlags.compressionType = (unsigned char)object->words[MEMORY_HANDLE_COMPRESSION];
		properties->allocFlags.usage = (unsigned short)(object->words[MEMORY_HANDLE_COMPRESSION] >> 16);
	}
	lock_release(&handles_lock);
	return object ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult memory_handle_id(CUmemGenericAllocationHandle handle, uint32_t *ret_id)
{
	const struct object *object;

	lock_take(&handles_lock);
	object = handle_find(handle);
	if (object)
		*ret_id = object->id;
	lock_release(&handles_lock);
	return object ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult memory_handle_map(CUmemGenericAllocationHandle handle, struct object **ret_object)
{
	struct object *object;

	lock_take(&handles_lock);
	object = handle_find(handle);
	if (object)
		object->words[MEMORY_HANDLE_MAPPINGS]++;
	lock_release(&handles_lock);
	*ret_object = object;
	return object ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult memory_handle_unmap(uint32_t context, struct object *object)
{
	CUresult result;

	lock_take(&handles_lock);
	object->words[MEMORY_HANDLE_MAPPINGS]--;
	result = handle_settle(context, object);
	lock_release(&handles_lock);
	return result;
}
