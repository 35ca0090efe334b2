/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cuLaunchCooperativeKernelMultiDevice. The driver's own call takes pointers to parameters, of which only it knows how
 * many there are and how long they are: it is asked, so that it reads nothing but what the guest has sent.
 */
#include <stdlib.h>

#include "capture.h"
#include "executor.h"
#include "executor_calls.h"
#include "launch.h"
#include "overhead.h"

struct several_launch {
	const struct vgpu_launch *wire; /* its parameters behind it */
	uint32_t context;		/* of its stream */
	struct handle *function;
	void **pointers; /* to each parameter */
	struct overhead_mark mark;
};

struct several {
	struct several_launch launches[VGPU_LAUNCHES_MAX];
	CUDA_LAUNCH_PARAMS list[VGPU_LAUNCHES_MAX];
	uint32_t count;
};

static CUresult parameter_ask(const struct driver *driver, const struct several_launch *launch, uint32_t index,
			      size_t *ret_offset, size_t *ret_bytes)
{
	if (VGPU_ID_KIND(launch->wire->function) == VGPU_KIND_KERNEL)
		return driver->cuKernelGetParamInfo(launch->function->object, index, ret_offset, ret_bytes);
	return driver->cuFuncGetParamInfo(launch->function->object, index, ret_offset, ret_bytes);
}

static CUresult parameters_point(const struct driver *driver, struct several_launch *launch)
{
	const uint32_t bytes = launch->wire->parameter_bytes;

	if (!driver->cuKernelGetParamInfo || !driver->cuFuncGetParamInfo)
		return CUDA_ERROR_NOT_SUPPORTED;
	/* None is empty. */
	launch->pointers = calloc((size_t)bytes + 1, sizeof(*launch->pointers));
	if (!launch->pointers)
		return CUDA_ERROR_OUT_OF_MEMORY;
	for (uint32_t i = 0; i <= bytes; i++) {
		size_t offset = 0, size = 0;
		CUresult result = parameter_ask(driver, launch, i, &offset, &size);

		/* The way to learn how many there are. */
		if (result == CUDA_ERROR_INVALID_VALUE)
			return CUDA_SUCCESS;
		if (result)
			return result;
		if (offset > bytes || size > bytes - offset)
			return CUDA_ERROR_INVALID_VALUE;
		launch->pointers[i] = (uint8_t *)(uintptr_t)(launch->wire + 1) + offset;
	}
	return CUDA_ERROR_INVALID_VALUE;
}

/* A launch whose parameters came whole, but for the pointers to them. */
static CUresult launch_take(struct executor *executor, struct several_launch *launch,
			    CUDA_LAUNCH_PARAMS *ret_parameters)
{
	const struct vgpu_launch *wire = launch->wire;
	const struct handle *stream = handles_find(&executor->handles, VGPU_KIND_STREAM, wire->stream);
	CUstream handle;
	CUresult result;

	launch->function = execute_function_handle(executor, wire->function);
	if (!launch->function || !stream)
		return CUDA_ERROR_INVALID_HANDLE;
	launch->context = stream->context;
	context_enter(executor, launch->context);
	result = execute_find_stream(executor, wire->stream, &handle);
	if (!result && executor->captures.count)
		result = capture_check(executor, handle);
	/* As the driver's own refusal it ends the capture: so does a wait for its stream, which is refused at once. */
	if (result == CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)
		(void)!executor->driver.cuStreamSynchronize(handle);
	if (result)
		return result;
	*ret_parameters = (CUDA_LAUNCH_PARAMS){
		.function = launch->function->object,
		.gridDimX = wire->grid[0],
		.gridDimY = wire->grid[1],
		.gridDimZ = wire->grid[2],
		.blockDimX = wire->block[0],
		.blockDimY = wire->block[1],
		.blockDimZ = wire->block[2],
		.sharedMemBytes = wire->shared_bytes,
		.hStream = handle,
	};
	return CUDA_SUCCESS;
}

/* Splits what came into launches; EXECUTE_PROTOCOL: they do not fit. */
static CUresult launches_split(const uint8_t *wire, size_t bytes, uint32_t count, struct several *several)
{
	size_t at = 0;

	for (uint32_t i = 0; i < count; i++) {
		const struct vgpu_launch *launch = (const void *)(wire + at);
		size_t launch_bytes;

		if (!launch_fits(launch, bytes - at) || launch->attribute_count || launch->cooperative)
			return EXECUTE_PROTOCOL;
		launch_bytes = sizeof(*launch) + (((size_t)launch->parameter_bytes + 7) & ~(size_t)7);
		if (launch_bytes > bytes - at)
			return EXECUTE_PROTOCOL;
		several->launches[i].wire = launch;
		at += launch_bytes;
	}
	several->count = count;
	return at == bytes ? CUDA_SUCCESS : EXECUTE_PROTOCOL;
}

/* What the driver loads for it is charged, on each device: also what it loads to say which parameters there are. */
static CUresult launches_issue(struct executor *executor, struct several *several, uint32_t flags, uint32_t context)
{
	CUresult result = CUDA_SUCCESS;
	uint32_t begun = 0;

	while (begun < several->count && !result) {
		struct several_launch *launch = &several->launches[begun];

		context_enter(executor, launch->context);
		result = overhead_use_begin(executor, &launch->mark);
		if (result)
			break;
		result = parameters_point(&executor->driver, launch);
		several->list[begun++].kernelParams = launch->pointers;
	}
	context_enter(executor, context);
	if (!result)
		result = executor->driver.cuLaunchCooperativeKernelMultiDevice(several->list, several->count, flags);
	for (uint32_t i = 0; i < begun; i++) {
		struct several_launch *launch = &several->launches[i];

		context_enter(executor, launch->context);
		overhead_use_end(executor, &launch->mark);
	}
	context_enter(executor, context);
	return result;
}

CUresult execute_cuLaunchCooperativeKernelMultiDevice(struct executor *executor, const struct request *request,
						      const struct wire_cuLaunchCooperativeKernelMultiDevice *arguments,
						      const void *wire)
{
	const uint32_t count = arguments->launch_count;
	struct several *several;
	CUstream first;
	CUresult result;

	if (!count || count > VGPU_LAUNCHES_MAX)
		return EXECUTE_PROTOCOL;
	if (!executor->driver.cuLaunchCooperativeKernelMultiDevice)
		return CUDA_ERROR_NOT_SUPPORTED;
	several = calloc(1, sizeof(*several));
	if (!several)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = launches_split(wire, arguments->launches_bytes, count, several);
	/* Copies that the program's own context has made before are there when the kernels begin. */
	if (!result)
		result = execute_find_stream(executor, several->launches[0].wire->stream, &first);
	for (uint32_t i = 0; i < count && !result; i++)
		result = launch_take(executor, &several->launches[i], &several->list[i]);
	if (!result) {
		counter_add(&executor->counters->launches, count);
		result = launches_issue(executor, several, arguments->flags, request->context);
	}
	context_enter(executor, request->context);
	for (uint32_t i = 0; i < count; i++)
		free(several->launches[i].pointers);
	free(several);
	return result;
}
