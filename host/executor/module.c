/* SPDX-License-Identifier: Apache-2.0 */
/* Loading of modules and libraries, and what is in them. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "executor.h"
#include "executor_calls.h"
#include "image.h"

/* On the wire (api/driver/module.api). */
struct wire_option {
	uint32_t id;
	uint32_t reserved;
	uint64_t value;
};

/* The driver's arrays of JIT options: those of the guest, then the logs. */
struct options {
	CUjit_option ids[IMAGE_OPTIONS_MAX + 4];
	void *values[IMAGE_OPTIONS_MAX + 4];
	unsigned int count;
	char *info_log;
	char *error_log;
	unsigned int info_size_slot;
	unsigned int error_size_slot;
};

/* Options whose value is a number. Those that carry pointers are never taken from a guest. */
static bool option_is_number(uint32_t id)
{
	switch (id) {
	case CU_JIT_MAX_REGISTERS:
	case CU_JIT_THREADS_PER_BLOCK:
	case CU_JIT_OPTIMIZATION_LEVEL:
	case CU_JIT_TARGET_FROM_CUCONTEXT:
	case CU_JIT_TARGET:
	case CU_JIT_FALLBACK_STRATEGY:
	case CU_JIT_GENERATE_DEBUG_INFO:
	case CU_JIT_LOG_VERBOSE:
	case CU_JIT_GENERATE_LINE_INFO:
	case CU_JIT_CACHE_MODE:
	case CU_JIT_NEW_SM3X_OPT:
	case CU_JIT_FAST_COMPILE:
	case CU_JIT_LTO:
	case CU_JIT_FTZ:
	case CU_JIT_PREC_DIV:
	case CU_JIT_PREC_SQRT:
	case CU_JIT_FMA:
	case CU_JIT_OPTIMIZE_UNUSED_DEVICE_VARIABLES:
	case CU_JIT_POSITION_INDEPENDENT_CODE:
	case CU_JIT_MIN_CTA_PER_SM:
	case CU_JIT_MAX_THREADS_PER_BLOCK:
	case CU_JIT_OVERRIDE_DIRECTIVE_VALUES:
	case CU_JIT_SPLIT_COMPILE:
		return true;
	default:
		return false;
	}
}

static unsigned int option_add(struct options *options, CUjit_option id, void *value)
{
	options->ids[options->count] = id;
	options->values[options->count] = value;
	return options->count++;
}

static CUresult options_take(struct options *options, const void *wire, uint32_t wire_bytes, uint32_t count)
{
	if (count > IMAGE_OPTIONS_MAX || wire_bytes < count * sizeof(struct wire_option))
		return CUDA_ERROR_INVALID_VALUE;
	for (uint32_t i = 0; i < count; i++) {
		struct wire_option option;

		memcpy(&option, (const uint8_t *)wire + i * sizeof(option), sizeof(option));
		if (!option_is_number(option.id))
			return CUDA_ERROR_NOT_SUPPORTED;
		/* The driver's convention: the number lies in the pointer's place. */
		option_add(options, (CUjit_option)option.id, (void *)(uintptr_t)option.value);
	}
	return CUDA_SUCCESS;
}

static CUresult log_add(struct options *options, uint32_t bytes, CUjit_option buffer_id, CUjit_option size_id,
			char **ret_log, unsigned int *ret_slot)
{
	char *log;

	if (bytes == 0)
		return CUDA_SUCCESS;
	log = calloc(1, (size_t)bytes + 1);
	if (!log)
		return CUDA_ERROR_OUT_OF_MEMORY;
	option_add(options, buffer_id, log);
	*ret_slot = option_add(options, size_id, (void *)(uintptr_t)bytes);
	*ret_log = log;
	return CUDA_SUCCESS;
}

/* 'capacity' is the room for both logs. */
static CUresult options_build(struct options *options, const void *wire, uint32_t wire_bytes, uint32_t count,
			      uint32_t info_bytes, uint32_t error_bytes, size_t capacity)
{
	CUresult result = options_take(options, wire, wire_bytes, count);

	if (info_bytes > capacity)
		info_bytes = (uint32_t)capacity;
	if (error_bytes > capacity - info_bytes)
		error_bytes = (uint32_t)(capacity - info_bytes);
	if (!result)
		result = log_add(options, info_bytes, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES,
				 &options->info_log, &options->info_size_slot);
	if (!result)
		result = log_add(options, error_bytes, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES,
				 &options->error_log, &options->error_size_slot);
	return result;
}

static void options_release(struct options *options)
{
	free(options->info_log);
	free(options->error_log);
}

/* Appends a log to the reply's tail; how many bytes of it there are. */
static uint32_t log_copy(const struct options *options, const char *log, unsigned int size_slot, void *tail,
			 uint32_t *tail_bytes)
{
	size_t bytes;

	if (!log)
		return 0;
	/* The driver says how much it wrote; the text says so too. */
	bytes = strnlen(log, (size_t)(uintptr_t)options->values[size_slot]);
	memcpy((uint8_t *)tail + *tail_bytes, log, bytes);
	*tail_bytes += (uint32_t)bytes;
	return (uint32_t)bytes;
}

CUresult execute_cuModuleLoadDataEx(struct executor *executor, const struct request *request,
				    const struct wire_cuModuleLoadDataEx *arguments, const void *wire_options,
				    struct wire_cuModuleLoadDataEx_reply *reply, void *logs, size_t logs_capacity)
{
	struct options options = {0};
	struct image image;
	CUmodule module = NULL;
	struct timespec start, end;
	CUresult result = image_take(&executor->stage, arguments->image_kind, &image);

	if (result)
		return result;
	result = execute_check_mint(executor, VGPU_KIND_MODULE, arguments->module);
	if (!result)
		result = options_build(&options, wire_options, arguments->options_bytes, arguments->option_count,
				       arguments->info_log_bytes, arguments->error_log_bytes, logs_capacity);
	if (!result) {
		clock_gettime(CLOCK_MONOTONIC, &start);
		result = executor->driver.cuModuleLoadDataEx(&module, image.pointer, options.count, options.ids,
							     options.values);
		clock_gettime(CLOCK_MONOTONIC, &end);
		reply->wall_time_us =
			(uint64_t)((end.tv_sec - start.tv_sec) * 1000000 + (end.tv_nsec - start.tv_nsec) / 1000);
		reply->info_log_filled =
			log_copy(&options, options.info_log, options.info_size_slot, logs, &reply->logs_bytes);
		reply->error_log_filled =
			log_copy(&options, options.error_log, options.error_size_slot, logs, &reply->logs_bytes);
	}
	if (!result)
		execute_mint(executor, arguments->module, request->context, module);
	if (image.may_print)
		executor->print.is_possible = true;
	options_release(&options);
	image_release(&image);
	return result;
}

CUresult execute_cuModuleUnload(struct executor *executor, const struct request *request,
				const struct wire_cuModuleUnload *arguments)
{
	void *module;
	CUresult result = execute_find(executor, VGPU_KIND_MODULE, arguments->hmod, &module);

	(void)request;
	if (result)
		return result;
	result = executor->driver.cuModuleUnload(module);
	if (result)
		return result;
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
	struct options options = {0};
	struct image image;
	CUlibrary library = NULL;
	CUresult result = image_take(&executor->stage, arguments->image_kind, &image);

	if (result)
		return result;
	result = execute_check_mint(executor, VGPU_KIND_LIBRARY, arguments->library);
	if (!result && !executor->driver.cuLibraryLoadData)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = options_build(&options, wire_options, arguments->options_bytes, arguments->option_count,
				       arguments->info_log_bytes, arguments->error_log_bytes, logs_capacity);
	if (!result) {
		/* No library options: BINARY_IS_PRESERVED would make the driver keep a pointer into our buffer. */
		result = executor->driver.cuLibraryLoadData(&library, image.pointer, options.ids, options.values,
							    options.count, NULL, NULL, 0);
		reply->info_log_filled =
			log_copy(&options, options.info_log, options.info_size_slot, logs, &reply->logs_bytes);
		reply->error_log_filled =
			log_copy(&options, options.error_log, options.error_size_slot, logs, &reply->logs_bytes);
	}
	if (!result)
		execute_mint(executor, arguments->library, request->context, library);
	if (image.may_print)
		executor->print.is_possible = true;
	options_release(&options);
	image_release(&image);
	return result;
}

CUresult execute_cuLibraryUnload(struct executor *executor, const struct request *request,
				 const struct wire_cuLibraryUnload *arguments)
{
	void *library;
	CUresult result = execute_find(executor, VGPU_KIND_LIBRARY, arguments->library, &library);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuLibraryUnload)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuLibraryUnload(library);
	if (result)
		return result;
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
