/* SPDX-License-Identifier: Apache-2.0 */
#include "nvml.h"

#include <dlfcn.h>

#include "nvml_functions.h"

void *nvml_function(const struct nvml *nvml, const char *name)
{
	return dlsym(nvml->library, name);
}

int nvml_open(struct nvml *ret_nvml)
{
	struct nvml nvml = {.library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)};
	nvml_no_arguments *init;

	if (!nvml.library)
		return NVML_ERROR_LIBRARY_NOT_FOUND;
	init = (nvml_no_arguments *)nvml_function(&nvml, "nvmlInit_v2");
	nvml.count = (nvml_count *)nvml_function(&nvml, "nvmlDeviceGetCount_v2");
	nvml.handle = (nvml_handle *)nvml_function(&nvml, "nvmlDeviceGetHandleByIndex_v2");
	nvml.uuid = (nvml_text *)nvml_function(&nvml, "nvmlDeviceGetUUID");
	*ret_nvml = nvml;
	return init && nvml.count && nvml.handle && nvml.uuid ? init() : NVML_ERROR_FUNCTION_NOT_FOUND;
}
