/* SPDX-License-Identifier: Apache-2.0 */
#include "gpu.h"

#include <dlfcn.h>
#include <stdio.h>

#include "kernels_ptx.h"

const char *gpu_error_name(const struct gpu *gpu, CUresult result)
{
	const char *name = NULL;

	if (gpu->error_name(result, &name) != CUDA_SUCCESS || !name)
		name = "an unknown error";
	return name;
}

bool gpu_open(struct gpu *gpu, char *text, size_t text_bytes)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW);
	CUcontext context;
	CUdevice device;
	CUresult result;

	if (!library) {
		snprintf(text, text_bytes, "no CUDA: %s", dlerror());
		return false;
	}
#define GPU_FIND(member, name, parameters)                                   \
	if (!(*(void **)&gpu->member = dlsym(library, #name))) {             \
		snprintf(text, text_bytes, "libcuda.so.1 has no %s", #name); \
		return false;                                                \
	}
	GPU_FUNCTIONS(GPU_FIND)
#undef GPU_FIND
	if ((result = gpu->init(0)) || (result = gpu->device_get(&device, 0)) ||
	    (result = gpu->primary_retain(&context, device)) || (result = gpu->set_current(context)) ||
	    (result = gpu->module_load(&gpu->kernels, kernels_ptx))) {
		snprintf(text, text_bytes, "no GPU: %s", gpu_error_name(gpu, result));
		return false;
	}
	return true;
}
