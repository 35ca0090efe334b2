/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few functions of the CUDA driver API that the test programs and the
 * benchmarks call, fetched from the library under test by dlopen, so that one
 * binary tests softgpu, the guest's libcuda.so.1 and a real driver.  A member is
 * the library's own function: nothing stands between the caller and it.
 */
#ifndef TESTS_KERNELS_DRIVER_H
#define TESTS_KERNELS_DRIVER_H

#include <stddef.h>

#include "cuda_abi.h"

/* member of struct driver, exported name, parameters */
#define DRIVER_FUNCTIONS(F)                                                                                            \
	F(init, cuInit, (unsigned flags))                                                                              \
	F(get_error_name, cuGetErrorName, (CUresult error, const char **name))                                         \
	F(driver_get_version, cuDriverGetVersion, (int *version))                                                      \
	F(device_get, cuDeviceGet, (CUdevice * device, int ordinal))                                                   \
	F(device_get_name, cuDeviceGetName, (char *name, int bytes, CUdevice device))                                  \
	F(device_get_attribute, cuDeviceGetAttribute, (int *value, int attribute, CUdevice device))                    \
	F(primary_retain, cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                            \
	F(primary_release, cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                            \
	F(set_current, cuCtxSetCurrent, (CUcontext context))                                                           \
	F(synchronize, cuCtxSynchronize, (void))                                                                       \
	F(module_load_data, cuModuleLoadData, (CUmodule * module, const void *image))                                  \
	F(module_unload, cuModuleUnload, (CUmodule module))                                                            \
	F(module_get_function, cuModuleGetFunction, (CUfunction * function, CUmodule module, const char *name))        \
	F(module_get_global, cuModuleGetGlobal_v2,                                                                     \
	  (CUdeviceptr * address, size_t * bytes, CUmodule module, const char *name))                                  \
	F(memory_allocate, cuMemAlloc_v2, (CUdeviceptr * address, size_t bytes))                                       \
	F(memory_free, cuMemFree_v2, (CUdeviceptr address))                                                            \
	F(host_allocate, cuMemHostAlloc, (void **memory, size_t bytes, unsigned flags))                                \
	F(host_free, cuMemFreeHost, (void *memory))                                                                    \
	F(copy_to_device, cuMemcpyHtoD_v2, (CUdeviceptr to, const void *from, size_t bytes))                           \
	F(copy_to_host, cuMemcpyDtoH_v2, (void *to, CUdeviceptr from, size_t bytes))                                   \
	F(set_bytes, cuMemsetD8_v2, (CUdeviceptr address, unsigned char value, size_t bytes))                          \
	F(stream_create, cuStreamCreate, (CUstream * stream, unsigned flags))                                          \
	F(stream_synchronize, cuStreamSynchronize, (CUstream stream))                                                  \
	F(event_create, cuEventCreate, (CUevent * event, unsigned flags))                                              \
	F(event_record, cuEventRecord, (CUevent event, CUstream stream))                                               \
	F(event_query, cuEventQuery, (CUevent event))                                                                  \
	F(event_synchronize, cuEventSynchronize, (CUevent event))                                                      \
	F(launch, cuLaunchKernel,                                                                                      \
	  (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, \
	   unsigned block_z, unsigned shared_bytes, CUstream stream, void **parameters, void **extra))                 \
	F(launch_cooperative, cuLaunchCooperativeKernel,                                                               \
	  (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, \
	   unsigned block_z, unsigned shared_bytes, CUstream stream, void **parameters))

/* The same for arrays, textures and surfaces, which few programs use. */
#define DRIVER_ARRAY_FUNCTIONS(F)                                                                             \
	F(array_create, cuArray3DCreate_v2, (CUarray * array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor))     \
	F(array_destroy, cuArrayDestroy, (CUarray array))                                                     \
	F(array_describe, cuArray3DGetDescriptor_v2, (CUDA_ARRAY3D_DESCRIPTOR * descriptor, CUarray array))   \
	F(mipmap_create, cuMipmappedArrayCreate,                                                              \
	  (CUmipmappedArray * mipmap, const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned levels))            \
	F(mipmap_level, cuMipmappedArrayGetLevel, (CUarray * array, CUmipmappedArray mipmap, unsigned level)) \
	F(mipmap_destroy, cuMipmappedArrayDestroy, (CUmipmappedArray mipmap))                                 \
	F(copy_box, cuMemcpy3D_v2, (const CUDA_MEMCPY3D *copy))                                               \
	F(copy_box_async, cuMemcpy3DAsync_v2, (const CUDA_MEMCPY3D *copy, CUstream stream))                   \
	F(texture_create, cuTexObjectCreate,                                                                  \
	  (CUtexObject * texture, const CUDA_RESOURCE_DESC *resource, const CUDA_TEXTURE_DESC *description,   \
	   const CUDA_RESOURCE_VIEW_DESC *view))                                                              \
	F(texture_destroy, cuTexObjectDestroy, (CUtexObject texture))                                         \
	F(texture_resource, cuTexObjectGetResourceDesc, (CUDA_RESOURCE_DESC * resource, CUtexObject texture)) \
	F(surface_create, cuSurfObjectCreate, (CUsurfObject * surface, const CUDA_RESOURCE_DESC *resource))   \
	F(surface_destroy, cuSurfObjectDestroy, (CUsurfObject surface))

#define DRIVER_MEMBER(member, name, parameters) CUresult(*member) parameters;
struct driver {
	void *library;
	DRIVER_FUNCTIONS(DRIVER_MEMBER)
	DRIVER_ARRAY_FUNCTIONS(DRIVER_MEMBER)
};
#undef DRIVER_MEMBER

/*
 * Opens the library and finds its functions, but those for arrays, which are NULL. Returns NULL or, on failure, a
 * message that lives until the next call.
 */
const char *driver_open(const char *path, struct driver *ret_driver);
/* Finds those for arrays too; apart, so that a library without one of them can be measured. The same answer. */
const char *driver_find_arrays(struct driver *driver);

/* "CUDA_ERROR_…", or a number for an error that the library does not know; lives until the thread's next call. */
const char *driver_error_name(const struct driver *driver, CUresult error);

#endif
