/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Physical memory that processes share.  On the host it is a descriptor of the
 * driver's; what the program has is one of a small file that holds the host's name
 * for it, so that it can go to other processes as the real one can.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host_calls.h"
#include "virtual.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* -1: the system has no file for it. */
static int name_file_make(const CUipcMemHandle *name)
{
	int file = memfd_create("cuda-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (file < 0)
		return -1;
	if (write(file, name, sizeof(*name)) == (ssize_t)sizeof(*name) && fcntl(file, F_ADD_SEALS, SEALS) == 0)
		return file;
	close(file);
	return -1;
}

static bool name_file_read(int file, CUipcMemHandle *ret_name)
{
	struct stat status;

	return fstat(file, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == (off_t)sizeof(*ret_name) &&
	       pread(file, ret_name, sizeof(*ret_name), 0) == (ssize_t)sizeof(*ret_name);
}

API(cuMemExportToShareableHandle, void *shareable, CUmemGenericAllocationHandle handle, CUmemAllocationHandleType type,
    unsigned long long flags)
{
	struct object *object;
	CUipcMemHandle name;
	uint32_t context, bytes = 0;
	CUresult result = call_begin(CALL_NEEDS_INIT, &context);
	int file;

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
	if (result)
		return result;
	if (bytes != sizeof(name))
		return CUDA_ERROR_UNKNOWN;
	file = name_file_make(&name);
	if (file < 0)
		return CUDA_ERROR_OPERATING_SYSTEM;
	*(int *)shareable = file;
	return CUDA_SUCCESS;
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
