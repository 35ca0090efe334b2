/* SPDX-License-Identifier: Apache-2.0 */
/* Pools that processes share, and their memory: handles are the host's names (name_file.h), opaque here too. */
#include <string.h>

#include "host_calls.h"
#include "memory.h"
#include "name_file.h"
#include "object.h"
#include "pool.h"

_Static_assert(sizeof(CUmemPoolPtrExportData) == sizeof(CUipcMemHandle), "a name fits");

API(cuMemPoolExportToShareableHandle, void *shareable, CUmemoryPool pool, CUmemAllocationHandleType type,
    unsigned long long flags)
{
	const struct object *object;
	CUipcMemHandle name;
	uint32_t context, bytes = 0;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	object = object_find(pool, VGPU_KIND_MEMORY_POOL);
	if (!shareable || !object || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    !(object->words[POOL_HANDLE_TYPES] & (uint64_t)type))
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuMemPoolExportToShareableHandle(context, object->id, &name, sizeof(name), &bytes);
	return result ? result : name_file_make(&name, bytes, shareable);
}

API(cuMemPoolImportFromShareableHandle, CUmemoryPool *pool, void *shareable, CUmemAllocationHandleType type,
    unsigned long long flags)
{
	struct object *object;
	CUipcMemHandle name;
	uint32_t context;
	int32_t device;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!pool || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    !name_file_read((int)(intptr_t)shareable, &name))
		return CUDA_ERROR_INVALID_VALUE;
	object = object_mint(VGPU_KIND_MEMORY_POOL, 0);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuMemPoolImportFromShareableHandle(context, object->id, &name, &device);
	if (result) {
		object_release(object);
		return result;
	}
	object->words[POOL_IS_IMPORTED] = true;
	object->words[POOL_DEVICE] = (uint64_t)device;
	*pool = (CUmemoryPool)object;
	return CUDA_SUCCESS;
}

API(cuMemPoolExportPointer, CUmemPoolPtrExportData *data, CUdeviceptr ptr)
{
	CUmemPoolPtrExportData answer;
	uint32_t context, bytes = 0;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!data)
		return CUDA_ERROR_INVALID_VALUE;
	result = host_cuMemPoolExportPointer(context, ptr, &answer, sizeof(answer), &bytes);
	if (result)
		return result;
	if (bytes != sizeof(answer))
		return CUDA_ERROR_UNKNOWN;
	*data = answer;
	return CUDA_SUCCESS;
}

API(cuMemPoolImportPointer, CUdeviceptr *ptr, CUmemoryPool pool, CUmemPoolPtrExportData *data)
{
	struct memory_range range = {.kind = MEMORY_POOL};
	const struct object *object;
	CUipcMemHandle name;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	object = object_find(pool, VGPU_KIND_MEMORY_POOL);
	if (!ptr || !data || !object || !object->words[POOL_IS_IMPORTED])
		return CUDA_ERROR_INVALID_VALUE;
	memcpy(&name, data, sizeof(name));
	result = host_cuMemPoolImportPointer(context, object->id, &name, &range.address, &range.bytes);
	if (result)
		return result;
	range.device = (CUdevice)object->words[POOL_DEVICE];
	result = memory_note(&range);
	if (result) {
		(void)host_cuMemFree_v2(context, range.address);
		return result;
	}
	*ptr = range.address;
	return CUDA_SUCCESS;
}
