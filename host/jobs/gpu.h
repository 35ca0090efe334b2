/* SPDX-License-Identifier: Apache-2.0 */
/* The calls of the CUDA driver API that jobs make, found in libcuda.so.1 at run time. One thread. */
#ifndef JOBS_GPU_H
#define JOBS_GPU_H

#include <stdbool.h>
#include <stddef.h>

#include "cuda_abi.h"

#define GPU_FUNCTIONS(F)                                                                                               \
	F(init, cuInit, (unsigned flags))                                                                              \
	F(error_name, cuGetErrorName, (CUresult error, const char **name))                                             \
	F(device_get, cuDeviceGet, (CUdevice * device, int ordinal))                                                   \
	F(primary_retain, cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                            \
	F(set_current, cuCtxSetCurrent, (CUcontext context))                                                           \
	F(synchronize, cuCtxSynchronize, (void))                                                                       \
	F(module_load, cuModuleLoadData, (CUmodule * module, const void *image))                                       \
	F(module_unload, cuModuleUnload, (CUmodule module))                                                            \
	F(module_function, cuModuleGetFunction, (CUfunction * function, CUmodule module, const char *name))            \
	F(allocate, cuMemAlloc_v2, (CUdeviceptr * address, size_t bytes))                                              \
	F(release, cuMemFree_v2, (CUdeviceptr address))                                                                \
	F(clear, cuMemsetD8_v2, (CUdeviceptr address, unsigned char value, size_t bytes))                              \
	F(copy_in, cuMemcpyHtoD_v2, (CUdeviceptr to, const void *from, size_t bytes))                                  \
	F(copy_out, cuMemcpyDtoH_v2, (void *to, CUdeviceptr from, size_t bytes))                                       \
	F(launch, cuLaunchKernel,                                                                                      \
	  (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, \
	   unsigned block_z, unsigned shared_bytes, CUstream stream, void **parameters, void **extra))

#define GPU_MEMBER(member, name, parameters) CUresult(*member) parameters;
struct gpu {
	GPU_FUNCTIONS(GPU_MEMBER)
	CUmodule kernels; /* the built-in operations */
};
#undef GPU_MEMBER

/* Opens the library, makes the first device's context current, loads the built-in kernels. False: why is in 'text'. */
bool gpu_open(struct gpu *gpu, char *text, size_t text_bytes);

const char *gpu_error_name(const struct gpu *gpu, CUresult result);

#endif
