/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A libcuda that accepts every call and computes nothing: launches return
 * success, memory is host memory.  Every kernel case must fail with it; one
 * that passes tests nothing.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define EXPORT			   __attribute__((visibility("default")))
#define DECLARE(member, name, par) EXPORT CUresult name par;
DRIVER_FUNCTIONS(DECLARE)
DRIVER_ARRAY_FUNCTIONS(DECLARE)
#undef DECLARE

enum { VARIABLE_BYTES_MAX = 8192 };

static char variable[VARIABLE_BYTES_MAX];
static int handle;

CUresult cuInit(unsigned flags)
{
	return flags == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuGetErrorName(CUresult error, const char **name)
{
	(void)error;
	*name = "error";
	return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version)
{
	*version = 13000;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	*device = ordinal;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int bytes, CUdevice device)
{
	(void)device;
	strncpy(name, "idle", (size_t)bytes);
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device)
{
	(void)device;
	*value = attribute == CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR ? 9 : 1;
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
	(void)device;
	*context = (CUcontext)&handle;
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
	(void)device;
	return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
	(void)context;
	return CUDA_SUCCESS;
}

CUresult cuCtxSynchronize(void)
{
	return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule *module, const void *image)
{
	(void)image;
	*module = (CUmodule)&handle;
	return CUDA_SUCCESS;
}

CUresult cuModuleUnload(CUmodule module)
{
	(void)module;
	return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name)
{
	(void)module;
	(void)name;
	*function = (CUfunction)&handle;
	return CUDA_SUCCESS;
}

/* The sizes that the cases expect of their variables. */
CUresult cuModuleGetGlobal_v2(CUdeviceptr *address, size_t *bytes, CUmodule module, const char *name)
{
	(void)module;
	*address = (CUdeviceptr)(uintptr_t)variable;
	*bytes = strcmp(name, "counter") == 0 ? 4 : (strcmp(name, "table") == 0 ? 256 : 1024);
	if (strcmp(name, "filter") == 0)
		*bytes = 36;
	return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
	void *memory = malloc(bytes);
	*address = (CUdeviceptr)(uintptr_t)memory;
	return memory != NULL ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
	free((void *)(uintptr_t)address);
	return CUDA_SUCCESS;
}

CUresult cuMemHostAlloc(void **memory, size_t bytes, unsigned flags)
{
	(void)flags;
	*memory = calloc(1, bytes);
	return *memory ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFreeHost(void *memory)
{
	free(memory);
	return CUDA_SUCCESS;
}

CUresult cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
	memcpy((void *)(uintptr_t)to, from, bytes);
	return CUDA_SUCCESS;
}

CUresult cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
	memcpy(to, (const void *)(uintptr_t)from, bytes);
	return CUDA_SUCCESS;
}

CUresult cuMemsetD8_v2(CUdeviceptr address, unsigned char value, size_t bytes)
{
	memset((void *)(uintptr_t)address, value, bytes);
	return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *stream, unsigned flags)
{
	(void)flags;
	*stream = (CUstream)&handle;
	return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream stream)
{
	(void)stream;
	return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent *event, unsigned flags)
{
	(void)flags;
	*event = (CUevent)&handle;
	return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
	(void)event;
	(void)stream;
	return CUDA_SUCCESS;
}

CUresult cuEventQuery(CUevent event)
{
	(void)event;
	return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent event)
{
	(void)event;
	return CUDA_SUCCESS;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
			unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream stream, void **parameters,
			void **extra)
{
	(void)extra;
	return cuLaunchCooperativeKernel(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes,
					 stream, parameters);
}

CUresult cuLaunchCooperativeKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
				   unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
				   CUstream stream, void **parameters)
{
	(void)function;
	(void)shared_bytes;
	(void)stream;
	(void)parameters;
	return grid_x * grid_y * grid_z * block_x * block_y * block_z != 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuArray3DCreate_v2(CUarray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
	(void)descriptor;
	*array = (CUarray)&handle;
	return CUDA_SUCCESS;
}

CUresult cuArrayDestroy(CUarray array)
{
	(void)array;
	return CUDA_SUCCESS;
}

CUresult cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray array)
{
	(void)array;
	*descriptor = (CUDA_ARRAY3D_DESCRIPTOR){0};
	return CUDA_SUCCESS;
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray *mipmap, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned levels)
{
	(void)descriptor;
	(void)levels;
	*mipmap = (CUmipmappedArray)&handle;
	return CUDA_SUCCESS;
}

CUresult cuMipmappedArrayGetLevel(CUarray *array, CUmipmappedArray mipmap, unsigned level)
{
	(void)mipmap;
	(void)level;
	*array = (CUarray)&handle;
	return CUDA_SUCCESS;
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray mipmap)
{
	(void)mipmap;
	return CUDA_SUCCESS;
}

CUresult cuMemcpy3D_v2(const CUDA_MEMCPY3D *copy)
{
	(void)copy;
	return CUDA_SUCCESS;
}

CUresult cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy, CUstream stream)
{
	(void)copy;
	(void)stream;
	return CUDA_SUCCESS;
}

CUresult cuTexObjectCreate(CUtexObject *texture, const CUDA_RESOURCE_DESC *resource,
			   const CUDA_TEXTURE_DESC *description, const CUDA_RESOURCE_VIEW_DESC *view)
{
	(void)resource;
	(void)description;
	(void)view;
	*texture = 1;
	return CUDA_SUCCESS;
}

CUresult cuTexObjectDestroy(CUtexObject texture)
{
	(void)texture;
	return CUDA_SUCCESS;
}

CUresult cuTexObjectGetResourceDesc(CUDA_RESOURCE_DESC *resource, CUtexObject texture)
{
	(void)texture;
	*resource = (CUDA_RESOURCE_DESC){0};
	return CUDA_SUCCESS;
}

CUresult cuSurfObjectCreate(CUsurfObject *surface, const CUDA_RESOURCE_DESC *resource)
{
	(void)resource;
	*surface = 1;
	return CUDA_SUCCESS;
}

CUresult cuSurfObjectDestroy(CUsurfObject surface)
{
	(void)surface;
	return CUDA_SUCCESS;
}
