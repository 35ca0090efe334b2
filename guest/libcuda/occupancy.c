/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions about clusters, which take a whole launch configuration, and the block size that fills a device, which
 * depends on a function of the program's; the others are generated.
 */
#include <string.h>

#include "context.h"
#include "device.h"
#include "function.h"
#include "host_calls.h"
#include "launch.h"
#include "object.h"

struct configuration {
	struct vgpu_launch launch;
	struct vgpu_launch_attribute attributes[VGPU_LAUNCH_ATTRIBUTES_MAX];
};

/* The configuration for the wire and the context of the call; *ret_bytes of it are used. */
static CUresult configuration_make(CUfunction function, const CUlaunchConfig *config, uint32_t *ret_context,
				   struct configuration *wire, uint32_t *ret_bytes)
{
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, ret_context);

	if (result)
		return result;
	if (!config)
		return CUDA_ERROR_INVALID_VALUE;
	wire->launch = (struct vgpu_launch){
		.grid = {config->gridDimX, config->gridDimY, config->gridDimZ},
		.block = {config->blockDimX, config->blockDimY, config->blockDimZ},
		.shared_bytes = config->sharedMemBytes,
		.attribute_count = config->numAttrs,
	};
	result = function_id(function, &wire->launch.function);
	if (!result)
		result = stream_id(config->hStream, false, &wire->launch.stream);
	if (!result)
		result = launch_attributes_translate(config->attrs, config->numAttrs, wire->attributes);
	if (!result)
		*ret_bytes = (uint32_t)(sizeof(wire->launch) + config->numAttrs * sizeof(wire->attributes[0]));
	return result;
}

API(cuOccupancyMaxActiveClusters, int *count, CUfunction function, const CUlaunchConfig *config)
{
	struct configuration wire;
	uint32_t context, bytes;
	CUresult result = configuration_make(function, config, &context, &wire, &bytes);

	if (!result && !count)
		result = CUDA_ERROR_INVALID_VALUE;
	return result ? result : host_cuOccupancyMaxActiveClusters(context, count, &wire, bytes);
}

API(cuOccupancyMaxPotentialClusterSize, int *size, CUfunction function, const CUlaunchConfig *config)
{
	struct configuration wire;
	uint32_t context, bytes;
	CUresult result = configuration_make(function, config, &context, &wire, &bytes);

	if (!result && !size)
		result = CUDA_ERROR_INVALID_VALUE;
	return result ? result : host_cuOccupancyMaxPotentialClusterSize(context, size, &wire, bytes);
}

/* What the search needs to know of the device and the function. */
struct limits {
	int threads_per_block;
	int threads_per_multiprocessor;
	int multiprocessors;
	int warp;
};

static CUresult limits_read(CUfunction handle, uint32_t context, struct limits *ret_limits)
{
	CUdevice device = (CUdevice)thread_state.current->words[CONTEXT_DEVICE];
	struct function *function = function_find(handle);
	const struct function_info *info;
	CUresult result = function ? function_info_get(function, context, device, &info) : CUDA_ERROR_INVALID_HANDLE;
	const struct {
		CUdevice_attribute attribute;
		int *value;
	} wanted[] = {
		{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK, &ret_limits->threads_per_block},
		{CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, &ret_limits->threads_per_multiprocessor},
		{CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, &ret_limits->multiprocessors},
		{CU_DEVICE_ATTRIBUTE_WARP_SIZE, &ret_limits->warp},
	};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]) && !result; i++)
		result = device_attribute(device, wanted[i].attribute, wanted[i].value);
	if (result)
		return result;
	if (info->values[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK] < ret_limits->threads_per_block)
		ret_limits->threads_per_block = info->values[CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK];
	return ret_limits->warp > 0 ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

/* From the largest block down, warp by warp, until one fills a multiprocessor with threads. */
static CUresult block_size_search(int *grid_size, int *block_size, CUfunction function, CUoccupancyB2DSize shared_bytes,
				  size_t dynamic_bytes, int limit, unsigned int flags)
{
	uint32_t context, id;
	struct limits limits;
	int most = 0;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (!result)
		result = function_id(function, &id);
	if (!result &&
	    (!grid_size || !block_size || limit < 0 || flags & ~(unsigned int)CU_OCCUPANCY_DISABLE_CACHING_OVERRIDE))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = limits_read(function, context, &limits);
	if (result)
		return result;
	if (limit > 0 && limit < limits.threads_per_block)
		limits.threads_per_block = limit;
	for (int aligned = (limits.threads_per_block + limits.warp - 1) / limits.warp * limits.warp;
	     aligned > 0 && most < limits.threads_per_multiprocessor; aligned -= limits.warp) {
		int threads = aligned < limits.threads_per_block ? aligned : limits.threads_per_block;
		int32_t blocks = 0;

		result = host_cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
			context, &blocks, id, threads, shared_bytes ? shared_bytes(threads) : dynamic_bytes, flags);
		if (result)
			return result;
		if (blocks * threads > most) {
			most = blocks * threads;
			*grid_size = blocks * limits.multiprocessors;
			*block_size = threads;
		}
	}
	return most ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

API(cuOccupancyMaxPotentialBlockSize, int *grid_size, int *block_size, CUfunction function,
    CUoccupancyB2DSize shared_bytes, size_t dynamic_bytes, int limit)
{
	return block_size_search(grid_size, block_size, function, shared_bytes, dynamic_bytes, limit,
				 CU_OCCUPANCY_DEFAULT);
}

API(cuOccupancyMaxPotentialBlockSizeWithFlags, int *grid_size, int *block_size, CUfunction function,
    CUoccupancyB2DSize shared_bytes, size_t dynamic_bytes, int limit, unsigned int flags)
{
	return block_size_search(grid_size, block_size, function, shared_bytes, dynamic_bytes, limit, flags);
}
