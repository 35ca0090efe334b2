/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The software GPU's driver, but loading a module takes four seconds, in which it uses no processor; where
 * VGPU_EXECUTOR_STUCK is set it never ends, as stuck.h says. All other functions are found in the library that this is
 * linked with.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

#include "cuda_abi.h"
#include "stuck.h"

__attribute__((visibility("default"))) CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count,
								   CUjit_option *options, void **values);

CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned count, CUjit_option *options, void **values)
{
	const struct timespec four_seconds = {.tv_sec = 4};
	void *library = dlopen("libsoftgpu.so.1", RTLD_NOW | RTLD_NOLOAD);
	const char *stuck = getenv("VGPU_EXECUTOR_STUCK");
	CUresult (*load)(CUmodule *, const void *, unsigned, CUjit_option *, void **) = NULL;

	if (library)
		*(void **)&load = dlsym(library, "cuModuleLoadDataEx");
	if (!load)
		return CUDA_ERROR_UNKNOWN;
	if (stuck)
		stuck_sleep(stuck);
	nanosleep(&four_seconds, NULL);
	return load(module, image, count, options, values);
}
