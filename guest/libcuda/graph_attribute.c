/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes of kernel nodes, and the graphs that are embedded in child graph nodes. */
#include <string.h>

#include "graph_node.h"
#include "host_calls.h"
#include "session.h"

API(cuGraphKernelNodeSetAttribute, CUgraphNode node, CUkernelNodeAttrID attribute, const CUkernelNodeAttrValue *value)
{
	struct vgpu_launch_attribute wire;
	CUlaunchAttribute given;
	uint32_t context, id;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!value)
		return CUDA_ERROR_INVALID_VALUE;
	given = (CUlaunchAttribute){.id = attribute, .value = *value};
	result = object_id(node, VGPU_KIND_GRAPH_NODE, &id);
	if (!result)
		result = launch_attributes_translate(&given, 1, &wire);
	return result ? result : host_cuGraphKernelNodeSetAttribute(context, id, &wire, sizeof(wire));
}

API(cuGraphKernelNodeGetAttribute, CUgraphNode node, CUkernelNodeAttrID attribute, CUkernelNodeAttrValue *ret_value)
{
	CUkernelNodeAttrValue value;
	uint32_t context, id, bytes = 0;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_value)
		return CUDA_ERROR_INVALID_VALUE;
	result = object_id(node, VGPU_KIND_GRAPH_NODE, &id);
	if (!result)
		result = host_cuGraphKernelNodeGetAttribute(context, id, (uint32_t)attribute, &value, sizeof(value),
							    &bytes);
	if (result)
		return result;
	if (bytes != sizeof(value))
		return CUDA_ERROR_UNKNOWN;
	memcpy(ret_value, &value, sizeof(value));
	return CUDA_SUCCESS;
}

CUresult graph_node_learn_child(struct graph_node *node, uint32_t context)
{
	struct object *object = object_mint(VGPU_KIND_GRAPH, context);
	CUresult result;

	if (!object)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = graph_of(object) ? host_cuGraphChildGraphNodeGetGraph(context, object->id, node->object->id)
				  : CUDA_ERROR_OUT_OF_MEMORY;
	if (!result && !graph_node_embed(node, object))
		result = CUDA_ERROR_OUT_OF_MEMORY;
	if (!result)
		return CUDA_SUCCESS;
	graph_forget(object);
	object_release(object);
	return result;
}

API(cuGraphChildGraphNodeGetGraph, CUgraphNode handle, CUgraph *ret_graph)
{
	struct graph_node *node;
	uint32_t context;
	CUresult result = call_begin(CALL_NEEDS_CONTEXT, &context);

	if (result)
		return result;
	if (!ret_graph)
		return CUDA_ERROR_INVALID_VALUE;
	graphs_lock();
	result = graph_node_find(handle, &node);
	if (!result && node->type != CU_GRAPH_NODE_TYPE_GRAPH)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result && !node->child)
		result = graph_node_learn_child(node, context);
	if (!result)
		*ret_graph = (CUgraph)node->child;
	graphs_unlock();
	return result;
}
