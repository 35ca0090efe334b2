/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical memory that processes share.  On the host it is a descriptor of the
 * driver's; what the program has is one of a file that holds the host's name for it.
 */
#include "host_calls.h"
#include "name_file.h"
#include "virtual.h"

API(cuMemExportToShareableHandle, void *shareable, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
    unsigned long long flags)
{
	struct object *object;
	CUipcMemHandle name;
	uint32_t context, bytes = 0;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!shareable || flags || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR)
		return CUDA_ERROR_INVALID_VALUE;
	/* Like a mapping it must not go meanwhile. */
	result = memory_handle_map(handle, &object);
	if (result)
		return result;
	result = object->words[MEMORY_HANDLE_TYPES] & (uint64_t)type
			 ? host_cuMemExportToShareableHandle(context, object->id, &name, sizeof(name), &bytes)
			 : CUDA_ERROR_INVALID_VALUE;
	(void)memory_handle_unmap(context, object);
	return result ? result : name_file_make(&name, bytes, shareable);
}

API(cuMemImportFromShareableHandle, CUmemGenericAllocationHandle *handle, void *shareable,
    CUmemAllocationHandleType type)
{
	CUmemAllocationProp properties = {
		.type = CU_MEM_ALLOCATION_TYPE_PINNED,
		.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR,
		.location = {.type = CU_MEM_LOCATION_TYPE_DEVICE},
	};
	uint32_t context, compression;
	struct object *object;
	CUipcMemHandle name;
	uint64_t bytes;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);

	if (result)
		return result;
	if (!handle || type != CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR ||
	    !name_file_read((int)(intptr_t)shareable, &name))
		return CUDA_ERROR_INVALID_VALUE;
	object = object_mint(VGPU_KIND_MEMORY_HANDLE, 0);
	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuMemImportFromShareableHandle(context, object->id, &name, &bytes, &properties.location.id,
						     &compression);
	if (result) {
		object_release(object);
		return result;
	}
	properties.allocFlags.compressionType = (unsigned char)compression;
	*handle = memory_handle_publish(object, bytes, &properties);
	return CUDA_SUCCESS;
}
