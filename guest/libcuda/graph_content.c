/* SPDX-License-Identifier: Apache-2.0 */
/* What a node of a graph does: checked, and brought into the form that crosses the wire. */
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "copy.h"
#include "event.h"
#include "graph_node.h"
#include "host_calls.h"
#include "host_function.h"
#include "memory.h"

/* The context that a node names is where it runs; without one, the current. */
static CUresult context_choose(CUcontext named, struct node_content *content, struct object **ret_context)
{
	struct object *context;
	CUresult result = context_of(named, &context);

	if (result)
		return result;
	if (named)
		content->context = context->id;
	*ret_context = context;
	return CUDA_SUCCESS;
}

static CUresult kernel_read(const CUDA_KERNEL_NODE_PARAMS *kernel, struct node_content *content)
{
	CUDA_KERNEL_NODE_PARAMS *kept = &content->parameters.kernel;
	struct object *context;
	/* The context is ignored if func is set (API reference, CUDA_KERNEL_NODE_PARAMS). */
	CUresult result = context_choose(kernel->func ? NULL : kernel->ctx, content, &context);

	if (!result)
		result = launch_record_make(kernel, content->context, (CUdevice)context->words[CONTEXT_DEVICE],
					    &content->launch);
	if (result)
		return result;
	*kept = *kernel;
	kept->kernelParams = content->launch->parameters;
	kept->extra = content->launch->parameters ? NULL : content->launch->extra;
	content->wire_bytes = content->launch->wire_bytes;
	return CUDA_SUCCESS;
}

static CUresult memset_read(const CUDA_MEMSET_NODE_PARAMS_v2 *fill, struct node_content *content)
{
	struct object *context;

	if (fill->elementSize != 1 && fill->elementSize != 2 && fill->elementSize != 4)
		return CUDA_ERROR_INVALID_VALUE;
	content->parameters.memset = *fill;
	content->wire_bytes = sizeof(content->wire.memset);
	content->wire.memset = (struct vgpu_graph_memset){
		.destination = fill->dst,
		.row_bytes = fill->pitch,
		.width = fill->width,
		.rows = fill->height,
		.value = fill->value,
		.element_bytes = fill->elementSize,
	};
	return context_choose(fill->ctx, content, &context);
}

/* Takes the copy on success. */
static CUresult program_copy_read(const struct copy_description *description, struct node_content *content)
{
	uint64_t function;
	CUresult result = host_function_keep_copy(description->program_copy, &function);

	if (result)
		return result;
	if (description->type == CU_GRAPH_NODE_TYPE_HOST) {
		content->wire_bytes = sizeof(content->wire.host);
		content->wire.host.function = function;
		return CUDA_SUCCESS;
	}
	content->wire_bytes = sizeof(content->wire.program_copy);
	content->wire.program_copy =
		(struct vgpu_graph_program_copy){.memcpy = description->wire, .function = function};
	return CUDA_SUCCESS;
}

static CUresult memcpy_read(const CUDA_MEMCPY_NODE_PARAMS *copy, bool as_program, struct node_content *content)
{
	struct copy_description description;
	struct object *context;
	CUresult result = context_choose(copy->copyCtx, content, &context);

	if (!result)
		result = copy_shape_describe(&copy->copyParams, as_program, &description);
	if (result)
		return result;
	content->parameters.memcpy = *copy;
	content->wire_type = description.type;
	if (description.program_copy) {
		result = program_copy_read(&description, content);
		if (result)
			free(description.program_copy);
		return result;
	}
	content->wire_bytes = sizeof(content->wire.memcpy);
	content->wire.memcpy = description.wire;
	return CUDA_SUCCESS;
}

static CUresult child_read(const CUDA_CHILD_GRAPH_NODE_PARAMS *child, struct node_content *content)
{
	if (child->ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_CLONE &&
	    child->ownership != CU_GRAPH_CHILD_GRAPH_OWNERSHIP_MOVE)
		return CUDA_ERROR_INVALID_VALUE;
	content->parameters.graph = *child;
	content->wire_bytes = sizeof(content->wire.child);
	content->wire.child.ownership = (uint32_t)child->ownership;
	return object_id(child->graph, VGPU_KIND_GRAPH, &content->wire.child.graph);
}

static CUresult event_read(CUevent event, struct node_content *content)
{
	if (!event)
		return CUDA_ERROR_INVALID_VALUE;
	content->wire_bytes = sizeof(content->wire.event);
	return event_id_escaping(event, &content->wire.event.event);
}

static CUresult host_read(const CUDA_HOST_NODE_PARAMS *host, struct node_content *content)
{
	if (!host->fn)
		return CUDA_ERROR_INVALID_VALUE;
	content->parameters.host = *host;
	content->wire_bytes = sizeof(content->wire.host);
	return host_function_keep(host->fn, host->userData, &content->wire.host.function);
}

/* The node's own copy of them is what the program is told. */
static CUresult operations_keep(const struct vgpu_graph_operations *head, const void *operations,
				struct node_content *content)
{
	size_t bytes = head->count * sizeof(CUstreamBatchMemOpParams);

	content->operations = malloc(sizeof(*head) + bytes);
	if (!content->operations)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*content->operations = *head;
	if (bytes)
		memcpy(content->operations + 1, operations, bytes);
	content->wire_bytes = sizeof(*head) + bytes;
	content->parameters.memOp.count = head->count;
	content->parameters.memOp.flags = head->flags;
	content->parameters.memOp.paramArray = (CUstreamBatchMemOpParams *)(content->operations + 1);
	return CUDA_SUCCESS;
}

static CUresult operations_read(const CUDA_BATCH_MEM_OP_NODE_PARAMS *batch, struct node_content *content)
{
	const struct vgpu_graph_operations head = {.count = batch->count, .flags = batch->flags};
	struct object *context;
	CUresult result;

	if (!batch->count || batch->count > VGPU_GRAPH_OPERATIONS_MAX || !batch->paramArray)
		return CUDA_ERROR_INVALID_VALUE;
	result = context_choose(batch->ctx, content, &context);
	if (result)
		return result;
	content->parameters.memOp = *batch;
	return operations_keep(&head, batch->paramArray, content);
}

static CUresult allocation_read(const CUDA_MEM_ALLOC_NODE_PARAMS *allocation, struct node_content *content)
{
	const CUmemLocation *location = &allocation->poolProps.location;

	if (!allocation->bytesize || allocation->poolProps.allocType != CU_MEM_ALLOCATION_TYPE_PINNED ||
	    (allocation->accessDescCount && !allocation->accessDescs))
		return CUDA_ERROR_INVALID_VALUE;
	/* Of the host, or for other processes. */
	if (allocation->poolProps.handleTypes != CU_MEM_HANDLE_TYPE_NONE ||
	    location->type != CU_MEM_LOCATION_TYPE_DEVICE)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!context_primary(location->id))
		return CUDA_ERROR_INVALID_DEVICE;
	for (size_t i = 0; i < allocation->accessDescCount; i++) {
		const CUmemAccessDesc *access = &allocation->accessDescs[i];

		if (access->location.type != CU_MEM_LOCATION_TYPE_DEVICE || access->location.id != location->id ||
		    access->flags != CU_MEM_ACCESS_FLAGS_PROT_READWRITE)
			return CUDA_ERROR_NOT_SUPPORTED;
	}
	content->wire_bytes = sizeof(content->wire.allocation);
	content->wire.allocation =
		(struct vgpu_graph_allocation){.bytes = allocation->bytesize, .device = location->id};
	return CUDA_SUCCESS;
}

static CUresult conditional_read(const CUDA_CONDITIONAL_NODE_PARAMS *conditional, struct node_content *content)
{
	struct object *context;
	CUresult result;

	if (!conditional->size || conditional->type > CU_GRAPH_COND_TYPE_SWITCH)
		return CUDA_ERROR_INVALID_VALUE;
	if (conditional->size > VGPU_GRAPH_BODIES_MAX)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = context_choose(conditional->ctx, content, &context);
	if (!result)
		result = graph_bodies_make(conditional->size, content->context, &content->bodies);
	if (result)
		return result;
	content->body_count = conditional->size;
	content->wire_bytes = sizeof(*content->conditional) + content->body_count * sizeof(uint32_t);
	content->conditional = malloc(content->wire_bytes);
	if (!content->conditional)
		return CUDA_ERROR_OUT_OF_MEMORY;
	*content->conditional = (struct vgpu_graph_conditional){
		.handle = conditional->handle,
		.type = (uint32_t)conditional->type,
		.size = conditional->size,
	};
	for (size_t i = 0; i < content->body_count; i++)
		((uint32_t *)(content->conditional + 1))[i] = content->bodies[i]->id;
	content->parameters.conditional = *conditional;
	/* A graph's handle is its object. */
	content->parameters.conditional.phGraph_out = (CUgraph *)content->bodies;
	return CUDA_SUCCESS;
}

static CUresult content_read(const CUgraphNodeParams *parameters, bool as_program, struct node_content *content)
{
	switch (parameters->type) {
	case CU_GRAPH_NODE_TYPE_KERNEL:
		return kernel_read(&parameters->kernel, content);
	case CU_GRAPH_NODE_TYPE_MEMSET:
		return memset_read(&parameters->memset, content);
	case CU_GRAPH_NODE_TYPE_MEMCPY:
		return memcpy_read(&parameters->memcpy, as_program, content);
	case CU_GRAPH_NODE_TYPE_GRAPH:
		return child_read(&parameters->graph, content);
	case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
		content->parameters.eventRecord = parameters->eventRecord;
		return event_read(parameters->eventRecord.event, content);
	case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
		content->parameters.eventWait = parameters->eventWait;
		return event_read(parameters->eventWait.event, content);
	case CU_GRAPH_NODE_TYPE_HOST:
		return host_read(&parameters->host, content);
	case CU_GRAPH_NODE_TYPE_BATCH_MEM_OP:
		return operations_read(&parameters->memOp, content);
	case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
		return allocation_read(&parameters->alloc, content);
	case CU_GRAPH_NODE_TYPE_MEM_FREE:
		content->parameters.free = parameters->free;
		content->wire_bytes = sizeof(content->wire.free);
		content->wire.free.address = parameters->free.dptr;
		return CUDA_SUCCESS;
	case CU_GRAPH_NODE_TYPE_CONDITIONAL:
		return conditional_read(&parameters->conditional, content);
	case CU_GRAPH_NODE_TYPE_EMPTY:
		return CUDA_SUCCESS;
	default:
		return CUDA_ERROR_NOT_SUPPORTED;
	}
}

CUresult node_content_make(const CUgraphNodeParams *parameters, uint32_t context, bool as_program,
			   struct node_content **ret_content)
{
	struct node_content *content = calloc(1, sizeof(*content));
	CUresult result;

	if (!content)
		return CUDA_ERROR_OUT_OF_MEMORY;
	content->context = context;
	content->parameters.type = parameters->type;
	content->wire_type = (uint32_t)parameters->type;
	result = content_read(parameters, as_program, content);
	if (result)
		node_content_free(content);
	else
		*ret_content = content;
	return result;
}

static CUresult kernel_learn(uint32_t node, struct node_content *content)
{
	/* Too much for the stack of a small thread. */
	struct vgpu_launch *wire = malloc(VGPU_RECORD_BYTES_MAX);
	const struct object *context = context_current();
	uint32_t bytes = 0;
	CUresult result;

	if (!wire)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = host_cuGraphKernelNodeGetParams_v2(content->context, node, wire, VGPU_RECORD_BYTES_MAX, &bytes);
	if (!result && !context)
		result = CUDA_ERROR_INVALID_CONTEXT;
	if (!result)
		result = launch_record_read(wire, bytes, content->context, (CUdevice)context->words[CONTEXT_DEVICE],
					    &content->parameters.kernel, &content->launch);
	free(wire);
	return result;
}

static CUresult memset_learn(uint32_t node, struct node_content *content)
{
	struct vgpu_graph_memset *wire = &content->wire.memset;
	uint32_t bytes = 0;
	CUresult result = host_cuGraphMemsetNodeGetParams(content->context, node, wire, sizeof(*wire), &bytes);

	if (result)
		return result;
	if (bytes != sizeof(*wire))
		return CUDA_ERROR_UNKNOWN;
	content->parameters.memset = (CUDA_MEMSET_NODE_PARAMS_v2){
		.dst = wire->destination,
		.pitch = wire->row_bytes,
		.value = wire->value,
		.elementSize = wire->element_bytes,
		.width = wire->width,
		.height = wire->rows,
	};
	return CUDA_SUCCESS;
}

static CUresult memcpy_learn(uint32_t node, struct node_content *content)
{
	const struct vgpu_graph_memcpy *wire = &content->wire.memcpy;
	const struct vgpu_graph_program_copy *program_copy = &content->wire.program_copy;
	CUDA_MEMCPY3D *copy = &content->parameters.memcpy.copyParams;
	uint32_t bytes = 0;
	CUresult result =
		host_cuGraphMemcpyNodeGetParams(content->context, node, &content->wire, sizeof(content->wire), &bytes);

	if (result)
		return result;
	if (bytes == sizeof(*program_copy)) {
		content->wire_type = VGPU_GRAPH_PROGRAM_COPY;
		return host_function_copy_get(program_copy->function, copy) ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
	}
	if (bytes != sizeof(*wire))
		return CUDA_ERROR_UNKNOWN;
	*copy = wire->copy;
	copy->srcArray = wire->source_array ? (CUarray)object_by_id(wire->source_array) : NULL;
	copy->dstArray = wire->destination_array ? (CUarray)object_by_id(wire->destination_array) : NULL;
	return CUDA_SUCCESS;
}

static CUresult allocation_learn(uint32_t node, struct node_content *content)
{
	struct memory_range range = {.kind = MEMORY_GRAPH};
	uint32_t device = 0;
	CUresult result =
		host_cuGraphMemAllocNodeGetParams(content->context, node, &range.address, &range.bytes, &device);

	if (result)
		return result;
	range.device = (CUdevice)device;
	content->parameters.alloc = (CUDA_MEM_ALLOC_NODE_PARAMS){
		.poolProps = {.allocType = CU_MEM_ALLOCATION_TYPE_PINNED,
			      .handleTypes = CU_MEM_HANDLE_TYPE_NONE,
			      .location = {.type = CU_MEM_LOCATION_TYPE_DEVICE, .id = range.device}},
		.bytesize = range.bytes,
		.dptr = range.address,
	};
	return memory_is_of_graph(range.address) ? CUDA_SUCCESS : memory_note(&range);
}

static CUresult operations_learn(uint32_t node, struct node_content *content)
{
	struct {
		struct vgpu_graph_operations head;
		CUstreamBatchMemOpParams operations[VGPU_GRAPH_OPERATIONS_MAX];
	} wire;
	uint32_t bytes = 0;
	CUresult result = host_cuGraphBatchMemOpNodeGetParams(content->context, node, &wire, sizeof(wire), &bytes);

	if (result)
		return result;
	if (bytes < sizeof(wire.head) || wire.head.count > VGPU_GRAPH_OPERATIONS_MAX ||
	    bytes != sizeof(wire.head) + wire.head.count * sizeof(wire.operations[0]))
		return CUDA_ERROR_UNKNOWN;
	return operations_keep(&wire.head, wire.operations, content);
}

static CUresult host_learn(uint32_t node, struct node_content *content)
{
	CUresult result = host_cuGraphHostNodeGetParams(content->context, node, &content->wire.host.function);

	if (result)
		return result;
	/* A copy within the program's memory is no function of the program's. */
	return host_function_get(content->wire.host.function, &content->parameters.host) ? CUDA_SUCCESS
											 : CUDA_ERROR_NOT_SUPPORTED;
}

static CUresult event_learn(uint32_t node, struct node_content *content)
{
	const struct object *event;
	CUresult result = host_cuGraphEventRecordNodeGetEvent(content->context, node, &content->wire.event.event);

	if (result)
		return result;
	event = object_by_id(content->wire.event.event);
	/* Of both types; the wait's parameters are the same. */
	content->parameters.eventRecord.event = (CUevent)event;
	return event ? CUDA_SUCCESS : CUDA_ERROR_UNKNOWN;
}

static CUresult free_learn(uint32_t node, struct node_content *content)
{
	uint64_t address = 0;
	CUresult result = host_cuGraphMemFreeNodeGetParams(content->context, node, &address);

	content->parameters.free.dptr = address;
	return result;
}

CUresult node_content_learn(const struct graph_node *node, uint32_t context, struct node_content **ret_content)
{
	struct node_content *content = calloc(1, sizeof(*content));
	CUresult result = CUDA_ERROR_NOT_SUPPORTED;

	if (!content)
		return CUDA_ERROR_OUT_OF_MEMORY;
	content->context = context;
	content->parameters.type = node->type;
	content->wire_type = (uint32_t)node->type;
	if (node->type == CU_GRAPH_NODE_TYPE_KERNEL)
		result = kernel_learn(node->object->id, content);
	else if (node->type == CU_GRAPH_NODE_TYPE_MEMSET)
		result = memset_learn(node->object->id, content);
	else if (node->type == CU_GRAPH_NODE_TYPE_MEMCPY)
		result = memcpy_learn(node->object->id, content);
	else if (node->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
		result = allocation_learn(node->object->id, content);
	else if (node->type == CU_GRAPH_NODE_TYPE_BATCH_MEM_OP)
		result = operations_learn(node->object->id, content);
	else if (node->type == CU_GRAPH_NODE_TYPE_MEM_FREE)
		result = free_learn(node->object->id, content);
	else if (node->type == CU_GRAPH_NODE_TYPE_HOST)
		result = host_learn(node->object->id, content);
	else if (node->type == CU_GRAPH_NODE_TYPE_EVENT_RECORD || node->type == CU_GRAPH_NODE_TYPE_WAIT_EVENT)
		result = event_learn(node->object->id, content);
	if (result)
		node_content_free(content);
	else
		*ret_content = content;
	return result;
}

void node_content_free(struct node_content *content)
{
	if (content) {
		graph_bodies_free(content->bodies, content->body_count);
		free(content->launch);
		free(content->operations);
		free(content->conditional);
	}
	free(content);
}

void node_content_abandon(struct node_content *content)
{
	if (content->wire_type == CU_GRAPH_NODE_TYPE_HOST)
		host_function_drop(content->wire.host.function);
	if (content->wire_type == VGPU_GRAPH_PROGRAM_COPY)
		host_function_drop(content->wire.program_copy.function);
	node_content_free(content);
}

const void *node_content_wire(const struct node_content *content)
{
	if (content->operations)
		return content->operations;
	if (content->conditional)
		return content->conditional;
	return content->launch ? (const void *)&content->launch->wire : &content->wire;
}
