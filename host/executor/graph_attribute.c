/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of kernel nodes. */
#include <string.h>

#include "executor.h"
#include "executor_calls.h"
#include "launch.h"

CUresult execute_cuGraphKernelNodeSetAttribute(struct executor *executor, const struct request *request,
					       const struct wire_cuGraphKernelNodeSetAttribute *arguments,
					       const void *tail)
{
	CUlaunchAttribute attribute;
	void *node;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_NODE, arguments->hNode, &node);

	(void)request;
	if (arguments->attribute_bytes != sizeof(struct vgpu_launch_attribute))
		return EXECUTE_PROTOCOL;
	if (!result)
		result = launch_attribute_translate(executor, tail, &attribute);
	if (!result && ((const struct vgpu_launch_attribute *)tail)->handle)
		result = graph_hold_add(executor,
					handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, arguments->hNode)->owner,
					((const struct vgpu_launch_attribute *)tail)->handle);
	if (result)
		return result;
	if (!executor->driver.cuGraphKernelNodeSetAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	return executor->driver.cuGraphKernelNodeSetAttribute(node, attribute.id, &attribute.value);
}

/* A value with a pointer of ours in it stays here. */
/* An event is among what is copied. */
CUresult execute_cuGraphKernelNodeCopyAttributes(struct executor *executor, const struct request *request,
						 const struct wire_cuGraphKernelNodeCopyAttributes *arguments)
{
	const struct handle *to = handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, arguments->dst);
	const struct handle *from = handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, arguments->src);
	CUresult result;

	(void)request;
	if (!to || !from)
		return CUDA_ERROR_INVALID_HANDLE;
	if (!executor->driver.cuGraphKernelNodeCopyAttributes)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = to->owner == from->owner ? CUDA_SUCCESS : graph_hold_copy(executor, from->owner, to->owner);
	return result ? result : executor->driver.cuGraphKernelNodeCopyAttributes(to->object, from->object);
}

static bool attribute_is_plain(uint32_t id)
{
	return id != CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT && id != CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT &&
	       id != CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE;
}

CUresult execute_cuGraphKernelNodeGetAttribute(struct executor *executor, const struct request *request,
					       const struct wire_cuGraphKernelNodeGetAttribute *arguments,
					       struct wire_cuGraphKernelNodeGetAttribute_reply *reply, void *ret_value,
					       size_t capacity)
{
	CUkernelNodeAttrValue value;
	void *node;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_NODE, arguments->hNode, &node);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuGraphKernelNodeGetAttribute || !attribute_is_plain(arguments->attr))
		return CUDA_ERROR_NOT_SUPPORTED;
	/* What the driver does not write is not a secret of ours. */
	memset(&value, 0, sizeof(value));
	result = executor->driver.cuGraphKernelNodeGetAttribute(node, (CUkernelNodeAttrID)arguments->attr, &value);
	if (result || capacity < sizeof(value))
		return result ? result : CUDA_ERROR_INVALID_VALUE;
	memcpy(ret_value, &value, sizeof(value));
	reply->value_bytes = sizeof(value);
	return CUDA_SUCCESS;
}

/* Of those that the header names each has 64 bits. */
static bool is_memory_attribute(uint32_t attribute)
{
	return attribute == CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT || attribute == CU_GRAPH_MEM_ATTR_USED_MEM_HIGH ||
	       attribute == CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT || attribute == CU_GRAPH_MEM_ATTR_RESERVED_MEM_HIGH;
}

CUresult execute_cuDeviceGetGraphMemAttribute(struct executor *executor, const struct request *request,
					      const struct wire_cuDeviceGetGraphMemAttribute *arguments,
					      struct wire_cuDeviceGetGraphMemAttribute_reply *reply)
{
	cuuint64_t value = 0;
	CUresult result;

	(void)request;
	if (!is_memory_attribute(arguments->attr))
		return CUDA_ERROR_INVALID_VALUE;
	if (!executor->driver.cuDeviceGetGraphMemAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuDeviceGetGraphMemAttribute(arguments->device, (CUgraphMem_attribute)arguments->attr,
							       &value);
	reply->value = value;
	return result;
}

CUresult execute_cuDeviceSetGraphMemAttribute(struct executor *executor, const struct request *request,
					      const struct wire_cuDeviceSetGraphMemAttribute *arguments)
{
	cuuint64_t value = arguments->value;

	(void)request;
	if (!is_memory_attribute(arguments->attr))
		return CUDA_ERROR_INVALID_VALUE;
	if (!executor->driver.cuDeviceSetGraphMemAttribute)
		return CUDA_ERROR_NOT_SUPPORTED;
	return executor->driver.cuDeviceSetGraphMemAttribute(arguments->device, (CUgraphMem_attribute)arguments->attr,
							     &value);
}
