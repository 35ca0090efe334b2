/* SPDX-License-Identifier: Apache-2.0 */
/* Modules, libraries and what is launched of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "strict_driver.h"
#include "strict_limits.h"

/* Reads the image to its end, as a driver would. */
static CUresult image_read(const void *image)
{
	uint32_t magic;

	memcpy(&magic, image, sizeof(magic));
	return magic == 0x466243b1 || magic == 0xba55ed50 || magic == 0x464c457f || strlen(image) > 0
		       ? CUDA_SUCCESS
		       : CUDA_ERROR_INVALID_IMAGE;
}

EXPORT(cuModuleLoadDataEx, CUmodule *module, const void *image, unsigned int count, CUjit_option *options,
       void **values)
{
	CUresult result = strict_context_check();

	for (unsigned i = 0; i + 1 < count && !result; i++) {
		if (options[i] == CU_JIT_INFO_LOG_BUFFER)
			snprintf(values[i], (size_t)(uintptr_t)values[i + 1], "all is well");
	}
	if (!result)
		result = image_read(image);
	return result ? result : strict_make(MODULE, NULL, module);
}

EXPORT(cuModuleUnload, CUmodule module)
{
	struct object *object = strict_live(module, MODULE);

	/* A library's. */
	if (object->owner)
		abort();
	strict_owned_end(object);
	object->kind = FREE;
	return CUDA_SUCCESS;
}

static CUresult named(enum kind kind, struct object *owner, const char *name, void *ret_handle)
{
	struct object *object;
	CUresult result;

	if (strcmp(name, "add") != 0 && strcmp(name, "fault") != 0 && strcmp(name, "print") != 0 &&
	    strcmp(name, "flood") != 0)
		return CUDA_ERROR_NOT_FOUND;
	result = strict_make(kind, owner, &object);
	if (result)
		return result;
	snprintf(object->name, sizeof(object->name), "%s", name);
	memcpy(ret_handle, &object, sizeof(object));
	return CUDA_SUCCESS;
}

EXPORT(cuModuleGetFunction, CUfunction *function, CUmodule module, const char *name)
{
	return named(FUNCTION, strict_live(module, MODULE), name, function);
}

EXPORT(cuModuleGetTexRef, CUtexref *reference, CUmodule module, const char *name)
{
	return named(TEXTURE_REFERENCE, strict_live(module, MODULE), name, reference);
}

EXPORT(cuTexRefCreate, CUtexref *reference)
{
	CUresult result = strict_context_check();

	return result ? result : strict_make(TEXTURE_REFERENCE, NULL, reference);
}

/* What it does to one of a module NVIDIA does not say. */
EXPORT(cuTexRefDestroy, CUtexref reference)
{
	struct object *object = strict_live(reference, TEXTURE_REFERENCE);

	if (object->owner)
		abort();
	object->kind = FREE;
	return CUDA_SUCCESS;
}

EXPORT(cuTexRefSetFlags, CUtexref reference, unsigned int flags)
{
	(void)flags;
	strict_live(reference, TEXTURE_REFERENCE);
	return CUDA_SUCCESS;
}

EXPORT(cuLibraryLoadData, CUlibrary *library, const void *image, CUjit_option *jit_options, void **jit_values,
       unsigned int jit_count, CUlibraryOption *options, void **values, unsigned int count)
{
	CUresult result = image_read(image);

	(void)jit_options;
	(void)jit_values;
	(void)jit_count;
	(void)options;
	(void)values;
	(void)count;
	return result ? result : strict_make(LIBRARY, NULL, library);
}

EXPORT(cuLibraryUnload, CUlibrary library)
{
	struct object *object = strict_live(library, LIBRARY);

	strict_owned_end(object);
	object->kind = FREE;
	return CUDA_SUCCESS;
}

EXPORT(cuLibraryGetKernel, CUkernel *kernel, CUlibrary library, const char *name)
{
	return named(KERNEL, strict_live(library, LIBRARY), name, kernel);
}

EXPORT(cuLibraryGetModule, CUmodule *module, CUlibrary library)
{
	CUresult result = strict_context_check();

	return result ? result : strict_make(MODULE, strict_live(library, LIBRARY), module);
}

static struct object *function_of(CUfunction function)
{
	struct object *object = (struct object *)function;

	return object->kind == KERNEL ? strict_live(function, KERNEL) : strict_live(function, FUNCTION);
}

EXPORT(cuFuncGetAttribute, int *value, CUfunction_attribute attribute, CUfunction function)
{
	function_of(function);
	*value = 1024;
	return attribute >= CU_FUNC_ATTRIBUTE_MAX ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

EXPORT(cuKernelGetAttribute, int *value, CUfunction_attribute attribute, CUkernel kernel, CUdevice device)
{
	return device ? CUDA_ERROR_INVALID_DEVICE : cuFuncGetAttribute(value, attribute, (CUfunction)kernel);
}

EXPORT(cuFuncGetParamInfo, CUfunction function, size_t index, size_t *offset, size_t *bytes)
{
	function_of(function);
	if (index >= 3)
		return CUDA_ERROR_INVALID_VALUE;
	*offset = index * 8;
	*bytes = 8;
	return CUDA_SUCCESS;
}

EXPORT(cuKernelGetParamInfo, CUkernel kernel, size_t index, size_t *offset, size_t *bytes)
{
	return cuFuncGetParamInfo((CUfunction)kernel, index, offset, bytes);
}

EXPORT(cuLaunchKernel, CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
       unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream,
       void **parameters, void **extra)
{
	CUresult result = strict_context_check();
	struct object *object = function_of(function);
	struct object *busy = strict_stream_of(stream);
	uint64_t now = strict_now_ns();
	uint64_t arguments[3];
	uint64_t sum;

	(void)shared_bytes;
	if (result)
		return result;
	if (!grid_x || !grid_y || !grid_z || !block_x || !block_y || !block_z || parameters ||
	    grid_x > STRICT_KERNEL_US_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	if (strict_graphs_launch(function, stream))
		return CUDA_SUCCESS;
	if (strcmp(object->name, "print") == 0)
		strict_prints_waiting++;
	for (unsigned i = 0; i < grid_x && strcmp(object->name, "flood") == 0; i++) {
		char kibibyte[1024];

		memset(kibibyte, 'f', sizeof(kibibyte));
		if (write(STDOUT_FILENO, kibibyte, sizeof(kibibyte)) != sizeof(kibibyte))
			return CUDA_ERROR_UNKNOWN;
	}
	if (strcmp(object->name, "fault") == 0)
		strict_current->error = CUDA_ERROR_ILLEGAL_ADDRESS;
	if (strcmp(object->name, "add") == 0) {
		if (*(size_t *)extra[3] < sizeof(arguments))
			return CUDA_ERROR_INVALID_VALUE;
		memcpy(arguments, extra[1], sizeof(arguments));
		if (!strict_device_span(arguments[0], sizeof(sum)))
			return CUDA_ERROR_INVALID_VALUE;
		sum = arguments[1] + arguments[2];
		memcpy((void *)(uintptr_t)arguments[0], &sum, sizeof(sum));
	}
	if (busy->busy_until_ns < now)
		busy->busy_until_ns = now;
	busy->busy_until_ns += (uint64_t)grid_x * 1000;
	return CUDA_SUCCESS;
}

/* As many pointers as there are parameters, each to all of one. */
EXPORT(cuLaunchCooperativeKernelMultiDevice, CUDA_LAUNCH_PARAMS *list, unsigned int count, unsigned int flags)
{
	CUresult result = flags & ~3u || !count ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;

	for (unsigned int i = 0; i < count && !result; i++) {
		const CUDA_LAUNCH_PARAMS *launch = &list[i];
		uint64_t arguments[3];
		size_t bytes = sizeof(arguments);
		void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, arguments, CU_LAUNCH_PARAM_BUFFER_SIZE, &bytes,
				 CU_LAUNCH_PARAM_END};

		for (int j = 0; j < 3; j++)
			memcpy(&arguments[j], launch->kernelParams[j], sizeof(arguments[j]));
		result = cuLaunchKernel(launch->function, launch->gridDimX, launch->gridDimY, launch->gridDimZ,
					launch->blockDimX, launch->blockDimY, launch->blockDimZ, launch->sharedMemBytes,
					launch->hStream, NULL, extra);
	}
	return result;
}
