/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes that the guest adds to graphs, and changes.
 *
 * Whatever the type, the driver's calls that take all types are used, so that each
 * type is read from the wire in one place.
 */
#include <string.h>

#include "executor.h"
#include "executor_calls.h"
#include "graph.h"
#include "host_function.h"
#include "launch.h"
#include "program_copy.h"
#include "vgpu_graph.h"

struct node_input {
	CUgraphNodeParams parameters;
	struct launch_extra extra;			    /* of a kernel */
	uint32_t child;					    /* wire id of a graph that is to be embedded */
	const struct vgpu_graph_program_copy *program_copy; /* as it came; NULL: it is another type */
	const uint32_t *bodies;				    /* wire ids for those of a conditional node */
	uint32_t named[2];				    /* wire ids of objects that the node names, 0: none */
	struct graph_edges dependencies;		    /* of a new node */
};

static CUresult kernel_read(struct executor *executor, const uint8_t *payload, size_t bytes, struct node_input *input)
{
	const struct vgpu_launch *launch = (const void *)payload;
	CUfunction function;
	CUresult result;

	if (!launch_fits(launch, bytes) || launch->attribute_count || launch->cooperative)
		return EXECUTE_PROTOCOL;
	result = execute_find_function(executor, launch->function, &function);
	if (result)
		return result;
	input->named[0] = launch->function;
	launch_node_fill(launch, function, &input->extra, &input->parameters.kernel);
	return CUDA_SUCCESS;
}

static CUresult memset_read(CUcontext context, const uint8_t *payload, size_t bytes, struct node_input *input)
{
	const struct vgpu_graph_memset *wire = (const void *)payload;

	if (bytes < sizeof(*wire))
		return EXECUTE_PROTOCOL;
	input->parameters.memset = (CUDA_MEMSET_NODE_PARAMS_v2){
		.dst = wire->destination,
		.pitch = wire->row_bytes,
		.value = wire->value,
		.elementSize = wire->element_bytes,
		.width = wire->width,
		.height = wire->rows,
		.ctx = context,
	};
	return CUDA_SUCCESS;
}

static CUresult memcpy_read(struct executor *executor, CUcontext context, const uint8_t *payload, size_t bytes,
			    struct node_input *input)
{
	const struct vgpu_graph_memcpy *wire = (const void *)payload;
	CUresult result;

	if (bytes < sizeof(*wire))
		return EXECUTE_PROTOCOL;
	input->parameters.memcpy.copyCtx = context;
	result = copy_shape_take(executor, &wire->copy, wire->source_array, wire->destination_array,
				 &input->parameters.memcpy.copyParams);
	if (result)
		return result;
	copy_shape_name(executor, &input->parameters.memcpy.copyParams);
	if (wire->copy.srcMemoryType == CU_MEMORYTYPE_ARRAY)
		input->named[0] = wire->source_array;
	if (wire->copy.dstMemoryType == CU_MEMORYTYPE_ARRAY)
		input->named[1] = wire->destination_array;
	return result;
}

static CUresult program_copy_read(const uint8_t *payload, size_t bytes, struct node_input *input)
{
	if (bytes < sizeof(*input->program_copy))
		return EXECUTE_PROTOCOL;
	input->parameters.type = CU_GRAPH_NODE_TYPE_GRAPH;
	input->parameters.graph.ownership = CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE;
	input->program_copy = (const void *)payload;
	return CUDA_SUCCESS;
}

/* The graph of a copy of the program's memory, until input_end(). */
static CUresult program_copy_prepare(struct executor *executor, struct node_input *input)
{
	return input->program_copy ? program_copy_make(executor, input->program_copy, &input->parameters.graph.graph)
				   : CUDA_SUCCESS;
}

static CUresult child_read(struct executor *executor, const uint8_t *payload, size_t bytes, struct node_input *input)
{
	const struct vgpu_graph_child *wire = (const void *)payload;
	const struct handle *handle;
	void *graph;
	CUresult result;

	if (bytes < sizeof(*wire) || wire->ownership > CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE)
		return EXECUTE_PROTOCOL;
	result = execute_find(executor, VGPU_KIND_GRAPH, wire->graph, &graph);
	if (result)
		return result;
	handle = handles_find(&executor->handles, VGPU_KIND_GRAPH, wire->graph);
	if (handle->cache)
		return CUDA_ERROR_INVALID_VALUE; /* a capture goes into it */
	input->parameters.graph.graph = graph;
	input->parameters.graph.ownership = (CUgraphChildGraphNodeOwnership)wire->ownership;
	input->child = wire->graph;
	return CUDA_SUCCESS;
}

static CUresult event_read(struct executor *executor, const uint8_t *payload, size_t bytes, struct node_input *input)
{
	const struct vgpu_graph_event *wire = (const void *)payload;
	void *event;
	CUresult result;

	if (bytes < sizeof(*wire))
		return EXECUTE_PROTOCOL;
	result = execute_find(executor, VGPU_KIND_EVENT, wire->event, &event);
	if (result)
		return result;
	input->named[0] = wire->event;
	if (input->parameters.type == CU_GRAPH_NODE_TYPE_EVENT_RECORD)
		input->parameters.eventRecord.event = event;
	else
		input->parameters.eventWait.event = event;
	return CUDA_SUCCESS;
}

static CUresult host_read(const uint8_t *payload, size_t bytes, struct node_input *input)
{
	const struct vgpu_graph_host *wire = (const void *)payload;

	if (bytes < sizeof(*wire))
		return EXECUTE_PROTOCOL;
	input->parameters.host = host_function_node(wire->function);
	return CUDA_SUCCESS;
}

static CUresult operations_read(CUcontext context, const uint8_t *payload, size_t bytes, struct node_input *input)
{
	const struct vgpu_graph_operations *wire = (const void *)payload;

	if (bytes < sizeof(*wire) || wire->count > VGPU_GRAPH_OPERATIONS_MAX ||
	    wire->count * sizeof(CUstreamBatchMemOpParams) > bytes - sizeof(*wire))
		return EXECUTE_PROTOCOL;
	/* The driver copies them, and takes nothing but device addresses from them. */
	input->parameters.memOp = (CUDA_BATCH_MEM_OP_NODE_PARAMS){
		.ctx = context,
		.count = wire->count,
		.paramArray = (CUstreamBatchMemOpParams *)(wire + 1),
		.flags = wire->flags,
	};
	return CUDA_SUCCESS;
}

static CUresult allocation_read(const uint8_t *payload, size_t bytes, struct node_input *input)
{
	const struct vgpu_graph_allocation *wire = (const void *)payload;

	if (bytes < sizeof(*wire))
		return EXECUTE_PROTOCOL;
	input->parameters.alloc = (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			      .handleTypes = CU_MEM_HANDLE_TYPE_NONE,
			      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = wire->device}},
		.bytesize = wire->bytes,
	};
	return wire->bytes ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

static CUresult free_read(const uint8_t *payload, size_t bytes, struct node_input *input)
{
	const struct vgpu_graph_free *wire = (const void *)payload;

	if (bytes < sizeof(*wire))
		return EXECUTE_PROTOCOL;
	/* The driver takes none but those of allocation nodes (API reference, cuGraphAddMemFreeNode). */
	input->parameters.free.dptr = wire->address;
	return CUDA_SUCCESS;
}

static CUresult parameters_read(struct executor *executor, uint32_t type, const uint8_t *payload, size_t bytes,
				struct node_input *input)
{
	const struct context *context = executor->contexts.current;

	if (!context)
		return CUDA_ERROR_INVALID_CONTEXT;
	input->parameters.type = (CUgraphNodeType)type;
	switch (type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return kernel_read(executor, payload, bytes, input);
	case VGPU_GRAPH_PROGRAM_COPY:
		return program_copy_read(payload, bytes, input);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return memset_read(context->object, payload, bytes, input);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return memcpy_read(executor, context->object, payload, bytes, input);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return child_read(executor, payload, bytes, input);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		return event_read(executor, payload, bytes, input);
	case CU_GRAPH_NODE_TYPE_HOST:
		return host_read(payload, bytes, input);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return operations_read(context->object, payload, bytes, input);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return allocation_read(payload, bytes, input);
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		return free_read(payload, bytes, input);
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return graph_conditional_read(context->object, payload, bytes, &input->parameters.conditional,
					      &input->bodies);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

/* All that came, for a new node of 'graph' or, if that is 0, for one that there is. */
static CUresult input_read(struct executor *executor, uint32_t graph, const void *tail, size_t bytes,
			   struct node_input *input)
{
	const struct vgpu_graph_node *node = tail;
	const struct vgpu_graph_edge *edges;
	size_t edge_bytes;
	CUresult result = CUDA_SUCCESS;

	memset(input, 0, sizeof(*input));
	if (bytes < sizeof(*node) || node->edge_count > VGPU_GRAPH_EDGES_MAX || (!graph && node->edge_count))
		return EXECUTE_PROTOCOL;
	bytes -= sizeof(*node);
	edges = (const void *)(node + 1);
	edge_bytes = node->edge_count * sizeof(*edges);
	if (edge_bytes > bytes)
		return EXECUTE_PROTOCOL;
	if (graph)
		result = graph_edges_read(executor, graph, edges, edge_bytes, &input->dependencies);
	return result ? result
		      : parameters_read(executor, node->type, (const uint8_t *)(edges + node->edge_count),
					bytes - edge_bytes, input);
}

/* What the node names is the holder's from now on (graph_hold.h). */
static CUresult input_hold(struct executor *executor, uint32_t holder, const struct node_input *input)
{
	CUresult result = CUDA_SUCCESS;

	for (size_t i = 0; !result && i < sizeof(input->named) / sizeof(input->named[0]); i++)
		if (input->named[i])
			result = graph_hold_add(executor, holder, input->named[i]);
	if (!result && input->child && input->parameters.graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE)
		result = graph_hold_copy(executor, input->child, holder);
	if (!result && input->program_copy)
		result = program_copy_hold(executor, holder, input->program_copy);
	return result;
}

static void input_end(const struct executor *executor, struct node_input *input)
{
	/* The node has a copy of it. */
	if (input->program_copy && input->parameters.graph.graph)
		executor->driver.cuGraphDestroy(input->parameters.graph.graph);
	graph_edges_end(&input->dependencies);
}

static bool is_of_memory(const struct node_input *input)
{
	return input->parameters.type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
	       input->parameters.type == CU_GRAPH_NODE_TYPE_MEM_FREE;
}

static CUresult node_add(struct executor *executor, uint32_t id, CUgraph graph, struct node_input *input,
			 CUgraphNode *ret_node)
{
	bool allocates = input->parameters.type == CU_GRAPH_NODE_TYPE_MEM_ALLOC;
	uint64_t bytes = allocates ? input->parameters.alloc.bytesize : 0;
	CUresult result = is_of_memory(input) ? graph_memory_admit(executor, bytes) : CUDA_SUCCESS;

	if (result)
		return result;
	result = executor->driver.cuGraphAddNode_v2(ret_node, graph, input->dependencies.from, input->dependencies.data,
						    input->dependencies.count, &input->parameters);
	if (is_of_memory(input))
		graph_memory_add(executor, result, (struct graph_memory_place){.graph = id},
				 allocates ? input->parameters.alloc.dptr : input->parameters.free.dptr, bytes);
	return result;
}

static CUresult bodies_check(struct executor *executor, uint32_t graph, const struct node_input *input)
{
	const CUDA_CONDITIONAL_NODE_PARAMS *conditional = &input->parameters.conditional;

	if (!input->bodies)
		return CUDA_SUCCESS;
	return graph_condition_is_known(executor, graph, conditional->handle)
		       ? graph_bodies_check(executor, input->bodies, conditional->size)
		       : CUDA_ERROR_INVALID_VALUE;
}

static CUgraph graph_of_node(const struct executor *executor, uint32_t id)
{
	const struct handle *node = handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, id);

	return handles_find(&executor->handles, VGPU_KIND_GRAPH, node->owner)->object;
}

/* The graph has the function of a host node now. */
static void function_own(struct executor *executor, CUgraph graph, const struct node_input *input)
{
	if (input->parameters.type == CU_GRAPH_NODE_TYPE_HOST)
		host_function_own(executor, graph, (uintptr_t)input->parameters.host.userData);
}

CUresult execute_cuGraphAddNode_v2(struct executor *executor, const struct request *request,
				   const struct wire_cuGraphAddNode_v2 *arguments, const void *tail)
{
	struct node_input input;
	CUgraphNode node = NULL;
	bool moves;
	void *graph;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH, arguments->hGraph, &graph);

	if (!result)
		result = execute_check_mint(executor, VGPU_KIND_GRAPH_NODE, arguments->phGraphNode);
	if (result)
		return result;
	if (!executor->driver.cuGraphAddNode_v2)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = input_read(executor, arguments->hGraph, tail, arguments->node_bytes, &input);
	moves = input.parameters.type == CU_GRAPH_NODE_TYPE_GRAPH &&
		input.parameters.graph.ownership == CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE;
	/* NVIDIA's driver (580.159.04) does not come back from adding a graph to itself. */
	if (!result && input.child && graph_is_in(executor, arguments->hGraph, input.child))
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result && moves)
		result = graph_check_child(executor, arguments->hGraph, input.child);
	if (!result)
		result = bodies_check(executor, arguments->hGraph, &input);
	if (!result)
		result = input_hold(executor, arguments->hGraph, &input);
	if (!result)
		result = program_copy_prepare(executor, &input);
	if (!result)
		result = node_add(executor, arguments->hGraph, graph, &input, &node);
	if (!result && input.bodies && !graph_bodies_are_there(&input.parameters.conditional)) {
		if (executor->driver.cuGraphDestroyNode)
			(void)executor->driver.cuGraphDestroyNode(node);
		result = CUDA_ERROR_UNKNOWN;
	}
	if (!result) {
		execute_mint(executor, arguments->phGraphNode, request->context, node);
		function_own(executor, graph, &input);
		if (moves)
			graph_embed(executor, arguments->phGraphNode, input.child);
		if (input.bodies)
			graph_bodies_mint(executor, arguments->phGraphNode, input.bodies,
					  input.parameters.conditional.phGraph_out, input.parameters.conditional.size);
	}
	input_end(executor, &input);
	return result;
}

/* The driver reads the parameters as those of the type that they name; what allocates is made once. */
static CUresult type_check(const struct executor *executor, CUgraphNode node, const struct node_input *input)
{
	CUgraphNodeType type;
	CUresult result = executor->driver.cuGraphNodeGetType ? executor->driver.cuGraphNodeGetType(node, &type)
							      : CUDA_ERROR_NOT_SUPPORTED;

	if (result)
		return result;
	/* A memcpy remains one of the kind that it is (program_copy.h). */
	if (is_of_memory(input) || input->bodies || (input->program_copy && !program_copy_find(executor, node, NULL)))
		return CUDA_ERROR_NOT_SUPPORTED;
	return type == input->parameters.type ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult execute_cuGraphNodeSetParams(struct executor *executor, const struct request *request,
				      const struct wire_cuGraphNodeSetParams *arguments, const void *tail)
{
	struct node_input input;
	void *node;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_NODE, arguments->hNode, &node);

	(void)request;
	if (result)
		return result;
	if (!executor->driver.cuGraphNodeSetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = input_read(executor, 0, tail, arguments->node_bytes, &input);
	/* The embedded graph that there was may have an id. */
	if (!result && input.parameters.type == CU_GRAPH_NODE_TYPE_GRAPH && !input.program_copy)
		result = CUDA_ERROR_NOT_SUPPORTED;
	if (!result)
		result = type_check(executor, node, &input);
	if (!result)
		result = input_hold(executor,
				    handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, arguments->hNode)->owner,
				    &input);
	if (!result && input.program_copy)
		result = program_copy_replace(executor, node, input.program_copy);
	else if (!result)
		result = executor->driver.cuGraphNodeSetParams(node, &input.parameters);
	if (!result)
		function_own(executor, graph_of_node(executor, arguments->hNode), &input);
	input_end(executor, &input);
	return result;
}

static CUresult exec_node_set(const struct executor *executor, CUgraphExec exec, CUgraphNode node,
			      CUgraphNodeParams *parameters)
{
	const struct driver *driver = &executor->driver;

	if (parameters->type != CU_GRAPH_NODE_TYPE_GRAPH)
		return driver->cuGraphExecNodeSetParams(exec, node, parameters);
	if (!driver->cuGraphExecChildGraphNodeSetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	return driver->cuGraphExecChildGraphNodeSetParams(exec, node, parameters->graph.graph);
}

CUresult execute_cuGraphExecNodeSetParams(struct executor *executor, const struct request *request,
					  const struct wire_cuGraphExecNodeSetParams *arguments, const void *tail)
{
	struct node_input input;
	void *exec, *node;
	CUresult result = execute_find(executor, VGPU_KIND_GRAPH_EXEC, arguments->hGraphExec, &exec);

	(void)request;
	if (!result)
		result = execute_find(executor, VGPU_KIND_GRAPH_NODE, arguments->hNode, &node);
	if (result)
		return result;
	if (!executor->driver.cuGraphExecNodeSetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = input_read(executor, 0, tail, arguments->node_bytes, &input);
	if (!result)
		result = type_check(executor, node, &input);
	if (!result)
		result = input_hold(executor, arguments->hGraphExec, &input);
	if (!result)
		result = program_copy_prepare(executor, &input);
	if (!result)
		result = exec_node_set(executor, exec, node, &input.parameters);
	input_end(executor, &input);
	return result;
}
