/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about clusters, which take a whole launch configuration; the others are generated. */
#include <string.h>

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
