/* SPDX-License-Identifier: Apache-2.0 */
#include "launch.h"

#include <string.h>

#include "executor.h"
#include "executor_calls.h"
#include "launch_chain.h"
#include "overhead.h"

CUresult launch_attribute_translate(struct executor *executor, const struct vgpu_launch_attribute *wire,
				    CUlaunchAttribute *ret_attribute)
{
	CUlaunchAttribute attribute = {.id = (CUlaunchAttributeID)wire->id};
	void *event = NULL;
	CUresult result;

	_Static_assert(sizeof(attribute.value) == sizeof(wire->value), "the value is copied whole");
	memcpy(&attribute.value, wire->value, sizeof(attribute.value));
	switch (wire->id) {
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
	case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT:
		result = execute_find(executor, VGPU_KIND_EVENT, wire->handle, &event);
		if (result)
			return result;
		if (wire->id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT)
			attribute.value.programmaticEvent.event = event;
		else
			attribute.value.launchCompletionEvent.event = event;
		break;
	case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
		/* Its value returns a pointer; it belongs to graphs. */
		return CUDA_ERROR_NOT_SUPPORTED;
	case CU_LAUNCH_ATTRIBUTE_IGNORE:
	case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW: /* a device address, which the driver checks */
	case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
	case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
	case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
	case CU_LAUNCH_ATTRIBUTE_PRIORITY:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
	case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
	case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
	case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
		break;
	default:
		return CUDA_ERROR_INVALID_VALUE;
	}
	*ret_attribute = attribute;
	return CUDA_SUCCESS;
}

/* Room for the attributes of a launch, and for that of a cooperative one. */
struct launch_attributes {
	CUlaunchAttribute values[VGPU_LAUNCH_ATTRIBUTES_MAX + 1];
};

/* The driver's configuration, whose attributes are in 'attributes'. */
static CUresult launch_configure(struct executor *executor, const struct vgpu_launch *launch,
				 const uint8_t *wire_attributes, CUstream stream, struct launch_attributes *attributes,
				 CUlaunchConfig *ret_config)
{
	CUlaunchConfig config = {
		.gridDimX = launch->grid[0],
		.gridDimY = launch->grid[1],
		.gridDimZ = launch->grid[2],
		.blockDimX = launch->block[0],
		.blockDimY = launch->block[1],
		.blockDimZ = launch->block[2],
		.sharedMemBytes = launch->shared_bytes,
		.hStream = stream,
		.attrs = attributes->values,
	};

	for (uint32_t i = 0; i < launch->attribute_count; i++) {
		struct vgpu_launch_attribute wire;
		CUresult result;

		memcpy(&wire, wire_attributes + i * sizeof(wire), sizeof(wire));
		result = launch_attribute_translate(executor, &wire, &attributes->values[config.numAttrs]);
		if (!result && wire.handle)
			result = graph_hold_captured(executor, stream, wire.handle);
		if (result)
			return result;
		config.numAttrs++;
	}
	if (launch->cooperative)
		attributes->values[config.numAttrs++] =
			(CUlaunchAttribute){.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE, .value.cooperative = 1};
	*ret_config = config;
	return CUDA_SUCCESS;
}

/* With attributes, or cooperative: cuLaunchCooperativeKernel itself takes no buffer of parameters. */
static CUresult launch_with_attributes(struct executor *executor, const struct vgpu_launch *launch,
				       const uint8_t *wire_attributes, CUfunction function, CUstream stream,
				       void **extra)
{
	struct launch_attributes attributes;
	CUlaunchConfig config;
	CUresult result;

	if (!executor->driver.cuLaunchKernelEx)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = launch_configure(executor, launch, wire_attributes, stream, &attributes, &config);
	return result ? result : executor->driver.cuLaunchKernelEx(&config, function, NULL, extra);
}

bool launch_fits(const struct vgpu_launch *launch, size_t bytes)
{
	size_t available, padded_bytes;

	if (bytes < sizeof(*launch))
		return false;
	available = bytes - sizeof(*launch);
	if (launch->parameter_bytes > available || launch->attribute_count > VGPU_LAUNCH_ATTRIBUTES_MAX)
		return false;
	padded_bytes = ((size_t)launch->parameter_bytes + 7) & ~(size_t)7;
	return !launch->attribute_count ||
	       (padded_bytes <= available &&
		launch->attribute_count * sizeof(struct vgpu_launch_attribute) <= available - padded_bytes);
}

typedef CUresult occupancy_query(int *value, CUfunction function, const CUlaunchConfig *config);

static CUresult occupancy_execute(struct executor *executor, occupancy_query *query, const void *tail, size_t bytes,
				  int32_t *ret_value)
{
	const struct vgpu_launch *launch = tail;
	struct launch_attributes attributes;
	CUlaunchConfig config;
	CUfunction function;
	CUstream stream;
	CUresult result;
	int value;

	if (!launch_fits(launch, bytes) || launch->parameter_bytes)
		return EXECUTE_PROTOCOL;
	if (!query)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = execute_find_function(executor, launch->function, &function);
	if (!result)
		result = execute_find_stream(executor, launch->stream, &stream);
	if (!result)
		result =
			launch_configure(executor, launch, (const uint8_t *)(launch + 1), stream, &attributes, &config);
	if (!result)
		result = query(&value, function, &config);
	if (!result)
		*ret_value = value;
	return result;
}

CUresult execute_cuOccupancyMaxActiveClusters(struct executor *executor, const struct request *request,
					      const struct wire_cuOccupancyMaxActiveClusters *arguments,
					      const void *config, struct wire_cuOccupancyMaxActiveClusters_reply *reply)
{
	(void)request;
	return occupancy_execute(executor, executor->driver.cuOccupancyMaxActiveClusters, config,
				 arguments->config_bytes, &reply->numClusters);
}

CUresult execute_cuOccupancyMaxPotentialClusterSize(struct executor *executor, const struct request *request,
						    const struct wire_cuOccupancyMaxPotentialClusterSize *arguments,
						    const void *config,
						    struct wire_cuOccupancyMaxPotentialClusterSize_reply *reply)
{
	(void)request;
	return occupancy_execute(executor, executor->driver.cuOccupancyMaxPotentialClusterSize, config,
				 arguments->config_bytes, &reply->clusterSize);
}

static void launch_extra_fill(const struct vgpu_launch *launch, struct launch_extra *extra)
{
	extra->bytes = launch->parameter_bytes;
	extra->values[0] = CU_LAUNCH_PARAM_BUFFER_POINTER;
	extra->values[1] = (void *)(uintptr_t)(launch + 1);
	extra->values[2] = CU_LAUNCH_PARAM_BUFFER_SIZE;
	extra->values[3] = &extra->bytes;
	extra->values[4] = CU_LAUNCH_PARAM_END;
}

void launch_node_fill(const struct vgpu_launch *launch, CUfunction function, struct launch_extra *extra,
		      CUDA_KERNEL_NODE_PARAMS *ret_kernel)
{
	bool is_kernel = VGPU_ID_KIND(launch->function) == VGPU_KIND_KERNEL;

	launch_extra_fill(launch, extra);
	*ret_kernel = (CUDA_KERNEL_NODE_PARAMS){
		.func = is_kernel ? NULL : function,
		.kern = is_kernel ? (CUkernel)function : NULL,
		.gridDimX = launch->grid[0],
		.gridDimY = launch->grid[1],
		.gridDimZ = launch->grid[2],
		.blockDimX = launch->block[0],
		.blockDimY = launch->block[1],
		.blockDimZ = launch->block[2],
		.sharedMemBytes = launch->shared_bytes,
		.extra = extra->values,
	};
}

CUresult launch_issue(struct executor *executor, const struct vgpu_launch *launch, CUfunction function, CUstream stream)
{
	const uint8_t *parameters = (const uint8_t *)(launch + 1);
	size_t padded_bytes = ((size_t)launch->parameter_bytes + 7) & ~(size_t)7;
	struct launch_extra extra;

	launch_extra_fill(launch, &extra);
	if (launch->attribute_count || launch->cooperative)
		return launch_with_attributes(executor, launch, parameters + padded_bytes, function, stream,
					      extra.values);
	return executor->driver.cuLaunchKernel(function, launch->grid[0], launch->grid[1], launch->grid[2],
					       launch->block[0], launch->block[1], launch->block[2],
					       launch->shared_bytes, stream, NULL, extra.values);
}

/* The driver may load the function only now. */
static CUresult launch_first(struct executor *executor, const struct vgpu_launch *launch, struct handle *function,
			     CUstream stream)
{
	struct overhead_mark mark;
	CUresult result = overhead_use_begin(executor, &mark);

	if (result)
		return result;
	result = launch_issue(executor, launch, function->object, stream);
	/* What is only captured is loaded later. */
	if (!result && !executor->captures.count)
		function->cache = LAUNCHED;
	overhead_use_end(executor, &mark);
	return result;
}

CUresult launch_execute(struct executor *executor, const struct request *request)
{
	const struct vgpu_launch *launch = request->payload;
	struct handle *function;
	CUstream stream;
	CUresult result;

	if (!launch_fits(launch, request->payload_bytes))
		return EXECUTE_PROTOCOL;
	function = execute_function_handle(executor, launch->function);
	if (!function)
		return CUDA_ERROR_INVALID_HANDLE;
	result = execute_find_stream(executor, launch->stream, &stream);
	if (!result && executor->captures.count)
		result = graph_hold_captured(executor, stream, launch->function);
	if (result)
		return result;
	counter_add(&executor->counters->launches, 1);
	if (function->cache && launch_chain_take(executor, request, function->object, stream))
		return CUDA_SUCCESS;
	launch_chain_issue(executor);
	if (!function->cache)
		return launch_first(executor, launch, function, stream);
	return launch_issue(executor, launch, function->object, stream);
}
