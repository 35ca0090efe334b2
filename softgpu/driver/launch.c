/* SPDX-License-Identifier: Apache-2.0 */
/* cuLaunchKernel and its relatives. */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "device.h"
#include "driver.h"
#include "entry.h"
#include "launch.h"
#include "memory.h"
#include "module.h"
#include "occupancy.h"
#include "stream.h"

struct request {
	const void *handle;
	unsigned grid[3];
	unsigned block[3];
	unsigned dynamic_shared_bytes;
	CUstream stream;
	void **parameters;
	void **extra;
	bool cooperative;
	unsigned multiprocessors; /* 0: the device's */
};

struct launch_work {
	struct work work;
	struct function *function; /* a reference */
	struct engine_launch launch;
	CUlaunchAttribute *attributes; /* those of a graph's node; NULL: none was set */
	unsigned attribute_count;
	void *extra[5]; /* what a program is told of a node's parameters points here */
	unsigned char parameters[];
};

static CUresult result_of(enum engine_fault fault)
{
	switch (fault) {
	case ENGINE_FAULT_NONE:
		return CUDA_SUCCESS;
	case ENGINE_FAULT_ILLEGAL_ADDRESS:
		return CUDA_ERROR_ILLEGAL_ADDRESS;
	case ENGINE_FAULT_MISALIGNED_ADDRESS:
		return CUDA_ERROR_MISALIGNED_ADDRESS;
	case ENGINE_FAULT_ASSERT:
		return CUDA_ERROR_ASSERT;
	case ENGINE_FAULT_ILLEGAL_INSTRUCTION:
		return CUDA_ERROR_ILLEGAL_INSTRUCTION;
	case ENGINE_FAULT_STACK_OVERFLOW:
		return CUDA_ERROR_HARDWARE_STACK_ERROR;
	case ENGINE_FAULT_OUT_OF_MEMORY:
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	default:
		return CUDA_ERROR_LAUNCH_FAILED;
	}
}

static CUresult launch_run(struct work *work, struct stream *stream)
{
	/* The work may be a node's, which several graphs run at once. */
	struct engine_launch launch = ((struct launch_work *)work)->launch;
	struct engine_result result = {0};

	launch.cancel = &stream->context->cancelled;
	if (stream->green)
		launch.workers_max = stream->green->multiprocessors;
	memory_engine_device_set(stream->context->device);
	engine_launch(driver_engine(), &launch, &result);
	return result_of(result.fault);
}

static void launch_free(struct work *work)
{
	object_release(&((struct launch_work *)work)->function->object);
	free(((struct launch_work *)work)->attributes);
	free(work);
}

/* Dimensions and shared memory against the device's limits and the function's. */
static CUresult request_check(const struct request *request, const struct function *function)
{
	static const unsigned grid_maximum[3] = {DEVICE_GRID_X_MAXIMUM, DEVICE_GRID_Y_MAXIMUM, DEVICE_GRID_Z_MAXIMUM};
	static const unsigned block_maximum[3] = {DEVICE_BLOCK_X_MAXIMUM, DEVICE_BLOCK_Y_MAXIMUM,
						  DEVICE_BLOCK_Z_MAXIMUM};
	const struct engine_function_info *info = &function->info;
	uint64_t threads = 1;
	int resident;

	for (int axis = 0; axis < 3; axis++) {
		if (!request->grid[axis] || request->grid[axis] > grid_maximum[axis] || !request->block[axis] ||
		    request->block[axis] > block_maximum[axis])
			return CUDA_ERROR_INVALID_VALUE;
		if (info->required_threads[axis] && info->required_threads[axis] != request->block[axis])
			return CUDA_ERROR_INVALID_VALUE;
		threads *= request->block[axis];
	}
	if (threads > DEVICE_BLOCK_THREADS_MAXIMUM)
		return CUDA_ERROR_INVALID_VALUE;
	if (threads > info->max_threads_per_block)
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	if (request->dynamic_shared_bytes > function_dynamic_shared_maximum(info, function->settings))
		return CUDA_ERROR_INVALID_VALUE;
	if (info->static_shared_bytes + request->dynamic_shared_bytes > DEVICE_SHARED_BYTES_OPTIN)
		return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
	if (!request->cooperative)
		return CUDA_SUCCESS;
	resident = occupancy_blocks(info, (unsigned)threads, request->dynamic_shared_bytes) *
		   (request->multiprocessors ? (int)request->multiprocessors : device_multiprocessor_count());
	return (uint64_t)request->grid[0] * request->grid[1] > (uint64_t)resident / request->grid[2]
		       ? CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE
		       : CUDA_SUCCESS;
}

/* One pointer a parameter, or a buffer described by 'extra'. */
static CUresult parameters_copy(const struct request *request, const struct engine_function_info *info,
				unsigned char *parameters)
{
	const void *buffer = NULL;
	size_t bytes = 0;

	if (request->parameters && request->extra)
		return CUDA_ERROR_INVALID_VALUE;
	if (request->parameters) {
		for (uint32_t index = 0; index < info->parameter_count; index++) {
			if (!request->parameters[index])
				return CUDA_ERROR_INVALID_VALUE;
			memcpy(parameters + info->parameters[index].offset, request->parameters[index],
			       info->parameters[index].bytes);
		}
		return CUDA_SUCCESS;
	}
	if (!request->extra)
		return info->parameter_count ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
	for (void **entry = request->extra; *entry != CU_LAUNCH_PARAM_END; entry += 2) {
		if (entry[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
			buffer = entry[1];
		else if (entry[0] == CU_LAUNCH_PARAM_BUFFER_SIZE && entry[1])
			bytes = *(const size_t *)entry[1];
		else
			return CUDA_ERROR_INVALID_VALUE;
	}
	/* Padding at the end of the parameters may be left out. */
	for (uint32_t index = 0; index < info->parameter_count; index++)
		if ((size_t)info->parameters[index].offset + info->parameters[index].bytes > bytes)
			return CUDA_ERROR_INVALID_VALUE;
	if (bytes > info->parameter_bytes)
		bytes = info->parameter_bytes;
	if (bytes && !buffer)
		return CUDA_ERROR_INVALID_VALUE;
	if (bytes)
		memcpy(parameters, buffer, bytes);
	return CUDA_SUCCESS;
}

static CUresult work_make(const struct request *request, struct function *function, struct launch_work **ret_work)
{
	size_t bytes = function->info.parameter_bytes;
	struct launch_work *work = calloc(1, sizeof(*work) + bytes);
	CUresult result;

	if (!work)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = parameters_copy(request, &function->info, work->parameters);
	if (result) {
		free(work);
		return result;
	}
	work->work = (struct work){.run = launch_run, .free = launch_free, .node_type = CU_GRAPH_NODE_TYPE_KERNEL};
	work->function = function;
	object_retain(&function->object);
	work->launch.function = function->code;
	memcpy(work->launch.grid, request->grid, sizeof(request->grid));
	memcpy(work->launch.block, request->block, sizeof(request->block));
	work->launch.dynamic_shared_bytes = request->dynamic_shared_bytes;
	work->launch.parameters = work->parameters;
	work->launch.parameter_bytes = bytes;
	work->launch.cooperative = request->cooperative;
	*ret_work = work;
	return CUDA_SUCCESS;
}

static CUresult request_prepare(const struct request *request, struct context *context, struct launch_work **ret_work)
{
	struct function *function;
	CUresult result = function_acquire(request->handle, context, &function);

	if (result)
		return result;
	if (function->module->context != context)
		result = CUDA_ERROR_INVALID_HANDLE;
	if (!result)
		result = request_check(request, function);
	if (!result)
		result = work_make(request, function, ret_work);
	object_release(&function->object);
	return result;
}

static CUresult launch(struct request *request)
{
	struct context *context;
	struct launch_work *work;
	struct stream *stream;
	CUresult result = context_current(&context);

	if (result)
		return result;
	result = stream_acquire(context, request->stream, &stream);
	if (result)
		return result;
	request->multiprocessors = stream->green ? stream->green->multiprocessors : 0;
	result = request_prepare(request, stream->context, &work);
	/* A graph's kernel would have to see what was bound at the capture. */
	if (!result && work->function->info.names_references && capture_refuse(stream, &result))
		work_discard(&work->work);
	else if (!result)
		result = stream_submit(stream, &work->work, NULL);
	stream_release(stream);
	return result;
}

CUresult launch_work_make(const CUDA_KERNEL_NODE_PARAMS *parameters, struct work **ret_work)
{
	const struct request request = {
		.handle = parameters->func ? (const void *)parameters->func : parameters->kern,
		.grid = {parameters->gridDimX, parameters->gridDimY, parameters->gridDimZ},
		.block = {parameters->blockDimX, parameters->blockDimY, parameters->blockDimZ},
		.dynamic_shared_bytes = parameters->sharedMemBytes,
		.parameters = parameters->kernelParams,
		.extra = parameters->extra,
	};
	struct context *context;
	struct launch_work *work;
	CUresult result = context_current(&context);

	if (!result)
		result = request_prepare(&request, context, &work);
	if (!result)
		*ret_work = &work->work;
	return result;
}

CUresult launch_work_cooperative(const CUDA_LAUNCH_PARAMS *parameters, const struct stream *stream,
				 struct work **ret_work)
{
	const struct request request = {
		.handle = parameters->function,
		.grid = {parameters->gridDimX, parameters->gridDimY, parameters->gridDimZ},
		.block = {parameters->blockDimX, parameters->blockDimY, parameters->blockDimZ},
		.dynamic_shared_bytes = parameters->sharedMemBytes,
		.parameters = parameters->kernelParams,
		.cooperative = true,
		.multiprocessors = stream->green ? stream->green->multiprocessors : 0,
	};
	struct launch_work *work;
	CUresult result = request_prepare(&request, stream->context, &work);

	if (!result)
		*ret_work = &work->work;
	return result;
}

ENTRY_STREAM(cuLaunchKernel,
	     (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x,
	      unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream, void **parameters,
	      void **extra),
	     (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, parameters, extra))
{
	struct request request = {
		.handle = function,
		.grid = {grid_x, grid_y, grid_z},
		.block = {block_x, block_y, block_z},
		.dynamic_shared_bytes = shared_bytes,
		.stream = stream,
		.parameters = parameters,
		.extra = extra,
	};

	return launch(&request);
}

ENTRY_STREAM(cuLaunchCooperativeKernel,
	     (CUfunction function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z, unsigned int block_x,
	      unsigned int block_y, unsigned int block_z, unsigned int shared_bytes, CUstream stream,
	      void **parameters),
	     (function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared_bytes, stream, parameters))
{
	struct request request = {
		.handle = function,
		.grid = {grid_x, grid_y, grid_z},
		.block = {block_x, block_y, block_z},
		.dynamic_shared_bytes = shared_bytes,
		.stream = stream,
		.parameters = parameters,
		.cooperative = true,
	};

	return launch(&request);
}

/*
 * Attributes that only say how fast or how early something may happen are kept
 * by plain order in the stream.
 */
static CUresult attribute_apply(const CUlaunchAttribute *attribute, struct request *request)
{
	switch (attribute->id) {
	case CU_LAUNCH_ATTRIBUTE_IGNORE:
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
		request->cooperative = attribute->value.cooperative != 0;
		return CUDA_SUCCESS;
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
		return attribute->value.clusterDim.x == 1 && attribute->value.clusterDim.y == 1 &&
				       attribute->value.clusterDim.z == 1
			       ? CUDA_SUCCESS
			       : CUDA_ERROR_NOT_SUPPORTED;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

static CUlaunchAttribute *attribute_find(const struct launch_work *work, CUlaunchAttributeID id)
{
	for (unsigned index = 0; index < work->attribute_count; index++)
		if (work->attributes[index].id == id)
			return &work->attributes[index];
	return NULL;
}

static CUresult attribute_keep(struct launch_work *work, const CUlaunchAttribute *attribute)
{
	struct request request = {.cooperative = work->launch.cooperative};
	CUlaunchAttribute *kept = attribute_find(work, attribute->id), *grown;
	CUresult result = attribute_apply(attribute, &request);

	if (result)
		return result;
	if (!kept) {
		grown = realloc(work->attributes, (work->attribute_count + 1) * sizeof(*grown));
		if (!grown)
			return CUDA_ERROR_OUT_OF_MEMORY;
		work->attributes = grown;
		kept = &grown[work->attribute_count++];
	}
	*kept = *attribute;
	work->launch.cooperative = request.cooperative;
	return CUDA_SUCCESS;
}

CUresult launch_work_inherit(struct work *work, const struct work *from)
{
	const struct launch_work *former = (const struct launch_work *)from;
	CUresult result = CUDA_SUCCESS;

	for (unsigned index = 0; !result && index < former->attribute_count; index++)
		result = attribute_keep((struct launch_work *)work, &former->attributes[index]);
	return result;
}

CUresult launch_work_with(const struct work *from, const CUlaunchAttribute *attribute, struct work **ret_work)
{
	const struct launch_work *former = (const struct launch_work *)from;
	size_t bytes = sizeof(*former) + former->launch.parameter_bytes;
	struct launch_work *work = malloc(bytes);
	CUresult result;

	if (!work)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(work, former, bytes);
	work->work = (struct work){.run = launch_run, .free = launch_free, .node_type = CU_GRAPH_NODE_TYPE_KERNEL};
	work->launch.parameters = work->parameters;
	work->attributes = NULL;
	work->attribute_count = 0;
	object_retain(&work->function->object);
	result = launch_work_inherit(&work->work, from);
	if (!result)
		result = attribute_keep(work, attribute);
	if (result)
		work_discard(&work->work);
	else
		*ret_work = &work->work;
	return result;
}

void launch_work_describe(struct work *work, CUDA_KERNEL_NODE_PARAMS *ret_parameters)
{
	struct launch_work *launch = (struct launch_work *)work;

	launch->extra[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
	launch->extra[1] = launch->parameters;
	launch->extra[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
	launch->extra[3] = &launch->launch.parameter_bytes;
	launch->extra[4] = CU_LAUNCH_PARAM_END;
	*ret_parameters = (CUDA_KERNEL_NODE_PARAMS){
		.func = (CUfunction)launch->function,
		.gridDimX = launch->launch.grid[0],
		.gridDimY = launch->launch.grid[1],
		.gridDimZ = launch->launch.grid[2],
		.blockDimX = launch->launch.block[0],
		.blockDimY = launch->launch.block[1],
		.blockDimZ = launch->launch.block[2],
		.sharedMemBytes = launch->launch.dynamic_shared_bytes,
		.extra = launch->extra,
	};
}

void launch_work_attribute(const struct work *work, CUlaunchAttributeID id, CUlaunchAttributeValue *ret_value)
{
	const CUlaunchAttribute *kept = attribute_find((const struct launch_work *)work, id);

	*ret_value = kept ? kept->value : (CUlaunchAttributeValue){0};
}

static CUresult launch_configured(CUstream stream, const CUlaunchConfig *config, CUfunction function, void **parameters,
				  void **extra)
{
	struct request request = {
		.handle = function,
		.grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
		.block = {config->blockDimX, config->blockDimY, config->blockDimZ},
		.dynamic_shared_bytes = config->sharedMemBytes,
		.stream = stream,
		.parameters = parameters,
		.extra = extra,
	};
	CUresult result = driver_check();

	if (!result && config->numAttrs && !config->attrs)
		result = CUDA_ERROR_INVALID_VALUE;
	for (unsigned index = 0; !result && index < config->numAttrs; index++)
		result = attribute_apply(&config->attrs[index], &request);
	return result ? result : launch(&request);
}

ENTRY(cuLaunchKernelEx, (const CUlaunchConfig *config, CUfunction function, void **parameters, void **extra))
{
	return config ? launch_configured(config->hStream, config, function, parameters, extra)
		      : CUDA_ERROR_INVALID_VALUE;
}

ENTRY(cuLaunchKernelEx_ptsz, (const CUlaunchConfig *config, CUfunction function, void **parameters, void **extra))
{
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	return launch_configured(config->hStream ? config->hStream : CU_STREAM_PER_THREAD, config, function, parameters,
				 extra);
}
