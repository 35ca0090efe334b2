/* SPDX-License-Identifier: Apache-2.0 */
/* cuKernel*: the entry points of libraries. */
#include <stdlib.h>
#include <string.h>

#include "device_table.h"
#include "driver.h"
#include "entry.h"
#include "library_private.h"

static void kernel_destroy(struct object *object)
{
	struct kernel *kernel = (struct kernel *)object;

	object_release(&kernel->library->object);
	free(kernel->parameters);
	free(kernel->name);
	free(kernel);
}

static CUresult kernel_create(struct library *library, const struct engine_function *code)
{
	struct kernel *kernel = calloc(1, sizeof(*kernel));
	size_t bytes;

	if (!kernel)
		return CUDA_ERROR_OUT_OF_MEMORY;
	object_prepare(&kernel->object, OBJECT_KERNEL, library, kernel_destroy);
	kernel->library = library;
	object_retain(&library->object);
	kernel->index = library->kernel_count;
	function_settings_reset(&kernel->settings);
	engine_function_get_info(code, &kernel->info);
	/* The module that this comes from may be gone before the kernel. */
	bytes = kernel->info.parameter_count * sizeof(*kernel->parameters);
	kernel->name = strdup(kernel->info.name);
	kernel->parameters = malloc(bytes ? bytes : 1);
	if (!kernel->name || !kernel->parameters)
		goto fail;
	if (bytes)
		memcpy(kernel->parameters, kernel->info.parameters, bytes);
	kernel->info.name = kernel->name;
	kernel->info.parameters = kernel->parameters;
	if (!object_publish(&kernel->object))
		goto fail;
	library->kernels[library->kernel_count++] = kernel;
	return CUDA_SUCCESS;
fail:
	object_release(&kernel->object);
	return CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult kernels_create(struct library *library)
{
	const struct engine_function *code;
	CUresult result = CUDA_SUCCESS;
	size_t count = 0;

	while (engine_module_function_at(library->unused, count))
		count++;
	library->kernels = calloc(count ? count : 1, sizeof(struct kernel *));
	if (!library->kernels)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (size_t index = 0; !result && (code = engine_module_function_at(library->unused, index)); index++)
		result = kernel_create(library, code);
	return result;
}

static CUresult kernel_acquire(const void *handle, struct kernel **ret_kernel)
{
	CUresult result = driver_check();

	if (result)
		return result;
	*ret_kernel = object_acquire(handle, OBJECT_KERNEL);
	return *ret_kernel ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult kernel_function(const void *handle, struct context *context, struct function **ret_function)
{
	struct kernel *kernel;
	struct module *module;
	CUresult result = kernel_acquire(handle, &kernel);

	if (result)
		return result;
	result = library_module(kernel->library, context, &module);
	if (!result) {
		*ret_function = module->functions[kernel->index];
		object_retain(&(*ret_function)->object);
		object_release(&module->object);
	}
	object_release(&kernel->object);
	return result;
}

ENTRY(cuKernelGetFunction, (CUfunction * ret_function, CUkernel handle))
{
	struct context *context;
	struct function *function;
	CUresult result = context_current(&context);

	if (!result)
		result = kernel_function(handle, context, &function);
	if (result)
		return result;
	if (ret_function)
		*ret_function = (CUfunction)function;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&function->object);
	return result;
}

ENTRY(cuKernelGetLibrary, (CUlibrary * ret_library, CUkernel handle))
{
	struct kernel *kernel;
	CUresult result = kernel_acquire(handle, &kernel);

	if (result)
		return result;
	if (ret_library)
		*ret_library = (CUlibrary)kernel->library;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&kernel->object);
	return result;
}

ENTRY(cuKernelGetName, (const char **ret_name, CUkernel handle))
{
	struct kernel *kernel;
	CUresult result = kernel_acquire(handle, &kernel);

	if (result)
		return result;
	if (ret_name)
		*ret_name = kernel->name;
	else
		result = CUDA_ERROR_INVALID_VALUE;
	object_release(&kernel->object);
	return result;
}

ENTRY(cuKernelGetParamInfo, (CUkernel handle, size_t index, size_t *ret_offset, size_t *ret_bytes))
{
	struct kernel *kernel;
	CUresult result = kernel_acquire(handle, &kernel);

	if (result)
		return result;
	result = function_parameter(&kernel->info, index, ret_offset, ret_bytes);
	object_release(&kernel->object);
	return result;
}

ENTRY(cuKernelGetAttribute, (int *ret_value, CUfunction_attribute name, CUkernel handle, CUdevice device))
{
	struct kernel *kernel;
	CUresult result = kernel_acquire(handle, &kernel);

	if (result)
		return result;
	if (!ret_value)
		result = CUDA_ERROR_INVALID_VALUE;
	else if (!device_exists(device))
		result = CUDA_ERROR_INVALID_DEVICE;
	else
		result = function_attribute(&kernel->info, &kernel->settings, name, ret_value);
	object_release(&kernel->object);
	return result;
}

ENTRY(cuKernelSetAttribute, (CUfunction_attribute name, int value, CUkernel handle, CUdevice device))
{
	struct kernel *kernel;
	CUresult result = kernel_acquire(handle, &kernel);

	if (result)
		return result;
	if (!device_exists(device))
		result = CUDA_ERROR_INVALID_DEVICE;
	else
		result = function_set_attribute(&kernel->info, &kernel->settings, name, value);
	object_release(&kernel->object);
	return result;
}

ENTRY(cuKernelSetCacheConfig, (CUkernel handle, CUfunc_cache config, CUdevice device))
{
	struct kernel *kernel;
	CUresult result = kernel_acquire(handle, &kernel);

	if (result)
		return result;
	if (!device_exists(device))
		result = CUDA_ERROR_INVALID_DEVICE;
	else if ((unsigned)config > CU_FUNC_CACHE_PREFER_EQUAL)
		result = CUDA_ERROR_INVALID_VALUE;
	else
		kernel->settings.cache_config = config;
	object_release(&kernel->object);
	return result;
}
