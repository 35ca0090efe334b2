/* SPDX-License-Identifier: Apache-2.0 */
/* What nodes do that the guest did not make itself: those of captures and of copies. */
#include <string.h>

#include "executor.h"
#include "executor_calls.h"
#include "host_function.h"
#include "vgpu_graph.h"

/* The id of an object of the kind; 0: it has none. */
static uint32_t object_name(const struct executor *executor, enum vgpu_kind kind, const void *object)
{
	const struct handle *handle;
	uint32_t index = 0;

	while (object && (handle = handles_next(&executor->handles, kind, &index)))
		if (handle->object == object)
			return VGPU_ID(kind, index - 1);
	return 0;
}

/* The kernel that a function is of in the current context. The names spare the others from being loaded. */
static uint32_t kernel_of_function(const struct executor *executor, CUfunction function)
{
	const struct driver *driver = &executor->driver;
	const char *wanted, *name;
	const struct handle *handle;
	CUfunction found;
	uint32_t index = 0;

	if (!driver->cuFuncGetName || !driver->cuKernelGetName || !driver->cuKernelGetFunction ||
	    driver->cuFuncGetName(&wanted, function))
		return 0;
	while ((handle = handles_next(&executor->handles, VGPU_KIND_KERNEL, &index)))
		if (!driver->cuKernelGetName(&name, handle->object) && strcmp(name, wanted) == 0 &&
		    !driver->cuKernelGetFunction(&found, handle->object) && found == function)
			return VGPU_ID(VGPU_KIND_KERNEL, index - 1);
	return 0;
}

static uint32_t function_name(const struct executor *executor, const CUDA_KERNEL_NODE_PARAMS *kernel)
{
	uint32_t id = object_name(executor, VGPU_KIND_KERNEL, kernel->kern);

	if (!id)
		id = object_name(executor, VGPU_KIND_FUNCTION, kernel->func);
	if (!id)
		id = object_name(executor, VGPU_KIND_KERNEL, kernel->func);
	return id || !kernel->func ? id : kernel_of_function(executor, kernel->func);
}

/* Where the driver keeps one parameter after the other; each where the function expects it. */
static CUresult parameters_pack(const struct driver *driver, CUfunction function, bool is_kernel, void *const *values,
				uint8_t *to, size_t capacity, size_t *ret_bytes)
{
	size_t end = 0;

	if (is_kernel ? !driver->cuKernelGetParamInfo : !driver->cuFuncGetParamInfo)
		return CUDA_ERROR_NOT_SUPPORTED;
	for (size_t i = 0;; i++) {
		size_t offset = 0, bytes = 0;
		CUresult result = is_kernel ? driver->cuKernelGetParamInfo((CUkernel)function, i, &offset, &bytes)
					    : driver->cuFuncGetParamInfo(function, i, &offset, &bytes);

		/* The way to learn how many there are. */
		if (result == CUDA_ERROR_INVALID_VALUE)
			break;
		if (result)
			return result;
		if (offset > capacity || bytes > capacity - offset)
			return CUDA_ERROR_NOT_SUPPORTED;
		if (offset > end)
			memset(to + end, 0, offset - end);
		memcpy(to + offset, values[i], bytes);
		end = offset + bytes;
	}
	*ret_bytes = end;
	return CUDA_SUCCESS;
}

static CUresult buffer_copy(void *const *extra, uint8_t *to, size_t capacity, size_t *ret_bytes)
{
	const void *buffer = NULL;
	size_t bytes = 0;

	for (; extra[0] != CU_LAUNCH_PARAM_END; extra += 2) {
		if (extra[0] == CU_LAUNCH_PARAM_BUFFER_POINTER)
			buffer = extra[1];
		else if (extra[0] == CU_LAUNCH_PARAM_BUFFER_SIZE)
			bytes = *(const size_t *)extra[1];
	}
	if (bytes > capacity || (bytes && !buffer))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (bytes)
		memcpy(to, buffer, bytes);
	*ret_bytes = bytes;
	return CUDA_SUCCESS;
}

static CUresult kernel_write(struct executor *executor, const CUDA_KERNEL_NODE_PARAMS *kernel,
			     struct vgpu_launch *launch, size_t capacity, uint32_t *ret_bytes)
{
	CUfunction function;
	size_t bytes = 0;
	CUresult result;
	uint32_t id;

	id = function_name(executor, kernel);
	if (!id || capacity < sizeof(*launch))
		return CUDA_ERROR_NOT_SUPPORTED;
	result = execute_find_function(executor, id, &function);
	if (!result && kernel->extra)
		result = buffer_copy(kernel->extra, (uint8_t *)(launch + 1), capacity - sizeof(*launch), &bytes);
	else if (!result && kernel->kernelParams)
		result = parameters_pack(&executor->driver, function, VGPU_ID_KIND(id) == VGPU_KIND_KERNEL,
					 kernel->kernelParams, (uint8_t *)(launch + 1), capacity - sizeof(*launch),
					 &bytes);
	if (result)
		return result;
	*launch = (struct vgpu_launch){
		.function = id,
		.grid = {kernel->gridDimX, kernel->gridDimY, kernel->gridDimZ},
		.block = {kernel->blockDimX, kernel->blockDimY, kernel->blockDimZ},
		.shared_bytes = kernel->sharedMemBytes,
		.parameter_bytes = (uint32_t)bytes,
	};
	*ret_bytes = (uint32_t)(sizeof(*launch) + bytes);
	return CUDA_SUCCESS;
}

CUresult execute_cuGraphKernelNodeGetParams_v2(struct executor *executor, const struct request *request,
					       const struct wire_cuGraphKernelNodeGetParams_v2 *arguments,
					       struct wire_cuGraphKernelNodeGetParams_v2_reply *reply, void *launch,
					       size_t capacity)
{
	CUDA_KERNEL_NODE_PARAMS kernel = {0};
	void *node;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_NODE, arguments->hNode, &node);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuGraphKernelNodeGetParams_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphKernelNodeGetParams_v2(node, &kernel);
	return result ? result : kernel_write(executor, &kernel, launch, capacity, &reply->launch_bytes);
}

/* Memory of this process that is not the guest's as well is none that it should know of. */
static CUresult side_write(const struct executor *executor, CUmemorytype type, CUarray array, const void *host,
			   uint32_t *ret_array)
{
	switch (type) {
	case CU_MEMORYTYPE_ARRAY:
		*ret_array = object_name(executor, VGPU_KIND_ARRAY, array);
		return *ret_array ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
	case CU_MEMORYTYPE_HOST:
		return pinned_holds(&executor->pinned, (uintptr_t)host, 1) ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
	case CU_MEMORYTYPE_DEVICE:
	case CU_MEMORYTYPE_UNIFIED:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult execute_cuGraphMemcpyNodeGetParams(struct executor *executor, const struct request *request,
					    const struct wire_cuGraphMemcpyNodeGetParams *arguments,
					    struct wire_cuGraphMemcpyNodeGetParams_reply *reply, void *tail,
					    size_t capacity)
{
	const struct program_copy *program_copy;
	struct vgpu_graph_memcpy *wire = tail;
	uint32_t source = 0, destination = 0;
	CUDA_MEMCPY3D copy;
	void *node;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_NODE, arguments->hNode, &node);

	(void)request;
	if (result)
		return result;
	program_copy = program_copy_find(executor, node, NULL);
	if (program_copy) {
		reply->copy_bytes = sizeof(struct vgpu_graph_program_copy);
		memcpy(tail, program_copy_wire(program_copy), reply->copy_bytes);
		return CUDA_SUCCESS;
	}
	if (!executor->driver.cuGraphMemcpyNodeGetParams || capacity < sizeof(*wire))
		return CUDA_ERROR_NOT_SUPPORTED;
	memset(&copy, 0, sizeof(copy));
	result = executor->driver.cuGraphMemcpyNodeGetParams(node, &copy);
	if (!result)
		result = side_write(executor, copy.srcMemoryType, copy.srcArray, copy.srcHost, &source);
	if (!result)
		result = side_write(executor, copy.dstMemoryType, copy.dstArray, copy.dstHost, &destination);
	if (result)
		return result;
	copy.srcArray = NULL;
	copy.dstArray = NULL;
	copy.reserved0 = NULL;
	copy.reserved1 = NULL;
	if (copy.srcMemoryType != CU_MEMORYTYPE_HOST)
		copy.srcHost = NULL;
	if (copy.dstMemoryType != CU_MEMORYTYPE_HOST)
		copy.dstHost = NULL;
	*wire = (struct vgpu_graph_memcpy){.copy = copy, .source_array = source, .destination_array = destination};
	reply->copy_bytes = sizeof(*wire);
	return CUDA_SUCCESS;
}

CUresult execute_cuGraphMemsetNodeGetParams(struct executor *executor, const struct request *request,
					    const struct wire_cuGraphMemsetNodeGetParams *arguments,
					    struct wire_cuGraphMemsetNodeGetParams_reply *reply, void *tail,
					    size_t capacity)
{
	struct vgpu_graph_memset *wire = tail;
	CUDA_MEMSET_NODE_PARAMS fill = {0};
	void *node;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_NODE, arguments->hNode, &node);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuGraphMemsetNodeGetParams || capacity < sizeof(*wire))
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphMemsetNodeGetParams(node, &fill);
	if (result)
		return result;
	*wire = (struct vgpu_graph_memset){
		.destination = fill.dst,
		.row_bytes = fill.pitch,
		.width = fill.width,
		.rows = fill.height,
		.value = fill.value,
		.element_bytes = fill.elementSize,
	};
	reply->fill_bytes = sizeof(*wire);
	return CUDA_SUCCESS;
}

/* A node of the type; the driver would read another one's parameters as this type's. */
static CUresult typed_node_find(struct executor *executor, uint32_t id, CUgraphNodeType wanted, void **ret_node)
{
	CUgraphNodeType type;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_NODE, id, ret_node);

	if (result)
		return result;
	if (!executor->driver.cuGraphNodeGetType)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphNodeGetType(*ret_node, &type);
	return !result && type != wanted ? CUDA_ERROR_INVALID_VALUE : result;
}

CUresult execute_cuGraphBatchMemOpNodeGetParams(struct executor *executor, const struct request *request,
						const struct wire_cuGraphBatchMemOpNodeGetParams *arguments,
						struct wire_cuGraphBatchMemOpNodeGetParams_reply *reply, void *tail,
						size_t capacity)
{
	struct vgpu_graph_operations *wire = tail;
	CUDA_BATCH_MEM_OP_NODE_PARAMS batch = {0};
	size_t bytes;
	void *node;
	CUresult result = typed_node_find(executor, arguments->hNode, CU_GRAPH_NODE_TYPE_BATCH_MEM_OP, &node);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuGraphBatchMemOpNodeGetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphBatchMemOpNodeGetParams(node, &batch);
	bytes = batch.count * sizeof(batch.paramArray[0]);
	if (!result && (batch.count > VGPU_GRAPH_OPERATIONS_MAX || sizeof(*wire) + bytes > capacity))
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (result)
		return result;
	*wire = (struct vgpu_graph_operations){.count = batch.count, .flags = batch.flags};
	if (bytes)
		memcpy(wire + 1, batch.paramArray, bytes);
	reply->operations_bytes = (uint32_t)(sizeof(*wire) + bytes);
	return CUDA_SUCCESS;
}

CUresult execute_cuGraphMemAllocNodeGetParams(struct executor *executor, const struct request *request,
					      const struct wire_cuGraphMemAllocNodeGetParams *arguments,
					      struct wire_cuGraphMemAllocNodeGetParams_reply *reply)
{
	CUDA_MEM_ALLOC_NODE_PARAMS allocation = {0};
	void *node;
	CUresult result = typed_node_find(executor, arguments->hNode, CU_GRAPH_NODE_TYPE_MEM_ALLOC, &node);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuGraphMemAllocNodeGetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphMemAllocNodeGetParams(node, &allocation);
	reply->dptr = allocation.dptr;
	reply->bytesize = allocation.bytesize;
	reply->device = (uint32_t)allocation.poolProps.location.id;
	return result;
}

CUresult execute_cuGraphMemFreeNodeGetParams(struct executor *executor, const struct request *request,
					     const struct wire_cuGraphMemFreeNodeGetParams *arguments,
					     struct wire_cuGraphMemFreeNodeGetParams_reply *reply)
{
	CUdeviceptr address = 0;
	void *node;
	CUresult result = typed_node_find(executor, arguments->hNode, CU_GRAPH_NODE_TYPE_MEM_FREE, &node);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuGraphMemFreeNodeGetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphMemFreeNodeGetParams(node, &address);
	reply->dptr_out = address;
	return result;
}

CUresult execute_cuGraphHostNodeGetParams(struct executor *executor, const struct request *request,
					  const struct wire_cuGraphHostNodeGetParams *arguments,
					  struct wire_cuGraphHostNodeGetParams_reply *reply)
{
	CUDA_HOST_NODE_PARAMS host = {0};
	void *node;
	CUresult result = typed_node_find(executor, arguments->hNode, CU_GRAPH_NODE_TYPE_HOST, &node);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuGraphHostNodeGetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphHostNodeGetParams(node, &host);
	/* One of our own is none that the guest should know of. */
	if (!result && host.fn != host_function_run)
		result = CUDA_ERROR_NOT_SUPPORTED;
	reply->function = result ? 0 : (uintptr_t)host.userData;
	return result;
}

CUresult execute_cuGraphEventRecordNodeGetEvent(struct executor *executor, const struct request *request,
						const struct wire_cuGraphEventRecordNodeGetEvent *arguments,
						struct wire_cuGraphEventRecordNodeGetEvent_reply *reply)
{
	const struct driver *driver = &executor->driver;
	CUevent event = NULL;
	void *node;
	CUresult result = typed_node_find(executor, arguments->hNode, CU_GRAPH_NODE_TYPE_EVENT_RECORD, &node);

	(void)request;
	if (!result) {
		result = driver->cuGraphEventRecordNodeGetEvent ? driver->cuGraphEventRecordNodeGetEvent(node, &event)
								: CUDA_ERROR_NOT_SUPPORTED;
	} else if (result == CUDA_ERROR_INVALID_VALUE) {
		result = typed_node_find(executor, arguments->hNode, CU_GRAPH_NODE_TYPE_WAIT_EVENT, &node);
		if (!result)
			result = driver->cuGraphEventWaitNodeGetEvent
					 ? driver->cuGraphEventWaitNodeGetEvent(node, &event)
					 : CUDA_ERROR_NOT_SUPPORTED;
	}
	if (result)
		return result;
	/* The guest may have destroyed it. */
	reply->event_out = object_name(executor, VGPU_KIND_EVENT, event);
	return reply->event_out ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}
