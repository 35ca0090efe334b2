/* SPDX-License-Identifier: Apache-2.0 */
/* Loading of modules and libraries, and what is in them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "executor.h"
#include "executor_calls.h"
#include "image.h"
#include "image_packed.h"
#include "jit_options.h"
#include "overhead.h"
#include "print_scan.h"

CUresult execute_cuModuleLoadDataEx(struct executor *executor, const struct request *request,
				    const struct wire_cuModuleLoadDataEx *arguments, const void *wire_options,
				    struct wire_cuModuleLoadDataEx_reply *reply, void *logs, size_t logs_capacity)
{
	const struct jit_request wanted = {
		.wire = wire_options,
		.wire_bytes = arguments->options_bytes,
		.count = arguments->option_count,
		.info_bytes = arguments->info_log_bytes,
		.error_bytes = arguments->error_log_bytes,
	};
	struct jit_options options = {0};
	struct overhead_mark mark;
	struct image image;
	CUmodule module = NULL;
	struct timespec start, end;
	CUresult result =
		image_take(&executor->stage, arguments->image_kind, image_families(&executor->driver), &image);

	if (result)
		return result;
	result = execute_check_mint(executor, VGPU_KIND_MODULE, arguments->module);
	if (!result)
		result = jit_options_build(&options, &wanted, logs_capacity);
	if (!result) {
		overhead_module_begin(executor, &mark);
		clock_gettime(CLOCK_MONOTONIC, &start);
		result = executor->driver.cuModuleLoadDataEx(&module, managed_image_of(executor, &image), options.count,
							     options.ids, options.values);
		managed_image_release(&executor->managed);
		clock_gettime(CLOCK_MONOTONIC, &end);
		reply->wall_time_us =
			(uint64_t)((end.tv_sec - start.tv_sec) * 1000000 + (end.tv_nsec - start.tv_nsec) / 1000);
		jit_options_give_logs(&options, logs, &reply->logs_bytes, &reply->info_log_filled,
				      &reply->error_log_filled);
		if (!result) {
			result = overhead_module_end(executor, &mark);
			if (result)
				executor->driver.cuModuleUnload(module);
		}
	}
	if (!result)
		execute_mint(executor, arguments->module, request->context, module);
	jit_options_release(&options);
	print_scan(&executor->print, &image);
	return result;
}

CUresult execute_cuModuleUnload(struct executor *executor, const struct request *request,
				const struct wire_cuModuleUnload *arguments)
{
	const struct handle *handle = handles_find(&executor->handles, VGPU_KIND_MODULE, arguments->hmod);
	struct overhead_mark mark;
	CUresult result;

	(void)request;
	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	/* A library's module ends with the library, and may have several ids. */
	if (handle->owner)
		return CUDA_ERROR_NOT_PERMITTED;
	if (graph_hold_end(executor, arguments->hmod))
		return CUDA_SUCCESS;
	overhead_module_begin(executor, &mark);
	result = executor->driver.cuModuleUnload(handle->object);
	if (result)
		return result;
	overhead_module_gone(executor, &mark);
	print_forward(executor);
	execute_forget(executor, arguments->hmod);
	return CUDA_SUCCESS;
}

CUresult execute_cuModuleGetFunction(struct executor *executor, const struct request *request,
				     const struct wire_cuModuleGetFunction *arguments, const char *name)
{
	CUfunction function = NULL;
	void *module;
	CUresult result = execute_check_mint(executor, VGPU_KIND_FUNCTION, arguments->hfunc);

	if (!result)
		result = execute_find(executor, VGPU_KIND_MODULE, arguments->hmod, &module);
	if (!result)
		result = executor->driver.cuModuleGetFunction(&function, module, name);
	if (!result)
		execute_mint(executor, arguments->hfunc, request->context, function);
	return result;
}

/* Appends a name with its NUL; false: no room. */
static bool name_add(const char *name, void *names, size_t capacity, uint32_t *used)
{
	size_t bytes = strlen(name) + 1;

	if (bytes > capacity - *used)
		return false;
	memcpy((uint8_t *)names + *used, name, bytes);
	*used += (uint32_t)bytes;
	return true;
}

CUresult execute_cuModuleEnumerateFunctions(struct executor *executor, const struct request *request,
					    const struct wire_cuModuleEnumerateFunctions *arguments,
					    struct wire_cuModuleEnumerateFunctions_reply *reply, void *names,
					    size_t names_capacity)
{
	const struct driver *driver = &executor->driver;
	unsigned int count = 0;
	CUfunction *functions;
	void *module;
	CUresult result = execute_find(executor, VGPU_KIND_MODULE, arguments->mod, &module);

	(void)request;
	if (result)
		return result;
	if (!driver->cuModuleGetFunctionCount || !driver->cuModuleEnumerateFunctions || !driver->cuFuncGetName)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = driver->cuModuleGetFunctionCount(&count, module);
	if (result)
		return result;
	functions = calloc(count ? count : 1, sizeof(*functions));
	if (!functions)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = driver->cuModuleEnumerateFunctions(functions, count, module);
	for (unsigned int i = arguments->first; i < count && !result; i++) {
		const char *name = NULL;

		result = driver->cuFuncGetName(&name, functions[i]);
		if (!result && !name_add(name, names, names_capacity, &reply->names_bytes))
			break;
	}
	free(functions);
	reply->count = count;
	return result;
}

CUresult execute_cuLibraryLoadData(struct executor *executor, const struct request *request,
				   const struct wire_cuLibraryLoadData *arguments, const void *wire_options,
				   struct wire_cuLibraryLoadData_reply *reply, void *logs, size_t logs_capacity)
{
	const struct jit_request wanted = {
		.wire = wire_options,
		.wire_bytes = arguments->options_bytes,
		.count = arguments->option_count,
		.info_bytes = arguments->info_log_bytes,
		.error_bytes = arguments->error_log_bytes,
	};
	struct jit_options options = {0};
	struct overhead_mark mark;
	struct image image;
	CUlibrary library = NULL;
	CUresult result =
		image_take(&executor->stage, arguments->image_kind, image_families(&executor->driver), &image);

	if (result)
		return result;
	result = execute_check_mint(executor, VGPU_KIND_LIBRARY, arguments->library);
	if (!result && !executor->driver.cuLibraryLoadData)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = jit_options_build(&options, &wanted, logs_capacity);
	if (!result) {
		overhead_module_begin(executor, &mark);
		/* No library options: BINARY_IS_PRESERVED would make the driver keep a pointer into our buffer. */
		result = executor->driver.cuLibraryLoadData(&library, managed_image_of(executor, &image), options.ids,
							    options.values, options.count, NULL, NULL, 0);
		managed_image_release(&executor->managed);
		jit_options_give_logs(&options, logs, &reply->logs_bytes, &reply->info_log_filled,
				      &reply->error_log_filled);
		if (!result) {
			result = overhead_module_end(executor, &mark);
			if (result)
				executor->driver.cuLibraryUnload(library);
		}
	}
	if (!result)
		execute_mint(executor, arguments->library, request->context, library);
	jit_options_release(&options);
	print_scan(&executor->print, &image);
	return result;
}

CUresult execute_cuLibraryUnload(struct executor *executor, const struct request *request,
				 const struct wire_cuLibraryUnload *arguments)
{
	struct overhead_mark mark;
	void *library;
	CUresult result = execute_find(executor, VGPU_KIND_LIBRARY, arguments->library, &library);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuLibraryUnload)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (graph_hold_end(executor, arguments->library))
		return CUDA_SUCCESS;
	overhead_module_begin(executor, &mark);
	result = executor->driver.cuLibraryUnload(library);
	if (result)
		return result;
	overhead_module_gone(executor, &mark);
	print_forward(executor);
	execute_forget(executor, arguments->library);
	return CUDA_SUCCESS;
}

CUresult execute_cuLibraryEnumerateKernels(struct executor *executor, const struct request *request,
					   const struct wire_cuLibraryEnumerateKernels *arguments,
					   struct wire_cuLibraryEnumerateKernels_reply *reply, void *names,
					   size_t names_capacity)
{
	const struct driver *driver = &executor->driver;
	unsigned int count = 0;
	CUkernel *kernels;
	void *library;
	CUresult result = execute_find(executor, VGPU_KIND_LIBRARY, arguments->lib, &library);

	(void)request;
	if (result)
		return result;
	if (!driver->cuLibraryGetKernelCount || !driver->cuLibraryEnumerateKernels || !driver->cuKernelGetName)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = driver->cuLibraryGetKernelCount(&count, library);
	if (result)
		return result;
	kernels = calloc(count ? count : 1, sizeof(*kernels));
	if (!kernels)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = driver->cuLibraryEnumerateKernels(kernels, count, library);
	for (unsigned int i = arguments->first; i < count && !result; i++) {
		const char *name = NULL;

		result = driver->cuKernelGetName(&name, kernels[i]);
		if (!result && !name_add(name, names, names_capacity, &reply->names_bytes))
			break;
	}
	free(kernels);
	reply->count = count;
	return result;
}
