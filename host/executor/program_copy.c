/* SPDX-License-Identifier: Apache-2.0 */
#include "program_copy.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "executor.h"
#include "host_function.h"

#define PAGE_BYTES 4096u

struct program_copy {
	struct program_copy *next;
	struct program_copies *all;
	struct vgpu_graph_program_copy wire;
	uint8_t *memory;
	uint64_t memory_bytes;
	uint64_t bytes; /* that are copied */
	bool up;
	struct context *registered_in; /* NULL: its context is gone */
	CUuserObject object;	       /* as long as a graph has the copy */
	_Atomic bool is_ended;
};

/* In a thread of the driver's. */
static void copy_run(void *argument)
{
	const struct program_copy *copy = argument;

	host_function_copy(copy->wire.function, copy->up ? VGPU_FUNCTION_FETCH : VGPU_FUNCTION_DELIVER, copy->memory,
			   copy->bytes);
}

/* In a thread of the driver's: nothing uses the copy any more. The main thread frees it, also while this goes on. */
static void copy_end(void *argument)
{
	struct program_copy *copy = argument;
	struct program_copies *all = copy->all;
	uint64_t function = copy->wire.function;

	copy->is_ended = true;
	all->ended++;
	host_function_copy(function, VGPU_FUNCTION_END, NULL, 0);
}

static bool driver_can(const struct driver *driver)
{
	return driver->cuGraphCreate && driver->cuGraphDestroy && driver->cuUserObjectCreate &&
	       driver->cuUserObjectRelease && driver->cuGraphRetainUserObject && driver->cuGraphReleaseUserObject &&
	       driver->cuGraphAddNode_v2 && driver->cuGraphHostNodeGetParams && driver->cuGraphGetNodes &&
	       driver->cuGraphNodeGetType && driver->cuGraphChildGraphNodeGetGraph && driver->cuMemHostRegister_v2 &&
	       driver->cuMemHostUnregister;
}

static void memory_free(struct executor *executor, struct program_copy *copy)
{
	if (copy->registered_in && context_enter(executor, copy->registered_in->id))
		executor->driver.cuMemHostUnregister(copy->memory);
	munmap(copy->memory, copy->memory_bytes);
	pinned_own_release(executor, copy->memory_bytes);
}

static CUresult memory_make(struct executor *executor, struct program_copy *copy)
{
	void *memory;
	CUresult result;

	if (__builtin_add_overflow(copy->bytes, PAGE_BYTES - 1, &copy->memory_bytes))
		return CUDA_ERROR_INVALID_VALUE;
	copy->memory_bytes &= ~(uint64_t)(PAGE_BYTES - 1);
	result = pinned_own_charge(executor, copy->memory_bytes);
	if (result)
		return result;
	memory = mmap(NULL, copy->memory_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		pinned_own_release(executor, copy->memory_bytes);
		return CUDA_ERROR_OUT_OF_MEMORY;
	}
	copy->memory = memory;
	result = executor->driver.cuMemHostRegister_v2(memory, copy->memory_bytes, CU_MEMHOSTREGISTER_PORTABLE);
	if (!result)
		copy->registered_in = context_owner(executor, executor->contexts.current);
	else
		memory_free(executor, copy);
	return result;
}

/* The caller's, who has its one reference; copy_end() comes when the last is gone. */
static CUresult copy_new(struct executor *executor, const struct vgpu_graph_program_copy *wire,
			 CUDA_MEMCPY3D *ret_shape, struct program_copy **ret_copy)
{
	struct program_copies *all = &executor->program_copies;
	struct program_copy *copy = calloc(1, sizeof(*copy));
	CUresult result;

	if (!copy)
		return CUDA_ERROR_OUT_OF_MEMORY;
	copy->all = all;
	copy->wire = *wire;
	copy->up = wire->memcpy.copy.srcMemoryType == CU_MEMORYTYPE_HOST;
	result = copy_shape_take_program(executor, &wire->memcpy, NULL, ret_shape, &copy->bytes);
	if (!result)
		result = memory_make(executor, copy);
	if (result) {
		free(copy);
		return result;
	}
	result = copy_shape_take_program(executor, &wire->memcpy, copy->memory, ret_shape, &copy->bytes);
	if (!result)
		result = executor->driver.cuUserObjectCreate(&copy->object, copy, copy_end, 1,
							     CU_USER_OBJECT_NO_DESTRUCTOR_SYNC);
	if (result) {
		memory_free(executor, copy);
		free(copy);
		return result;
	}
	copy->next = all->first;
	all->first = copy;
	*ret_copy = copy;
	return CUDA_SUCCESS;
}

static CUgraphNodeParams function_parameters(struct program_copy *copy)
{
	return (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_HOST, .host = {.fn = copy_run, .userData = copy}};
}

static CUgraphNodeParams shape_parameters(const struct executor *executor, const CUDA_MEMCPY3D *shape)
{
	return (CUgraphNodeParams){.type = CU_GRAPH_NODE_TYPE_MEMCPY,
				   .memcpy = {.copyCtx = executor->contexts.current->object, .copyParams = *shape}};
}

static CUresult nodes_add(const struct executor *executor, CUgraph graph, struct program_copy *copy,
			  const CUDA_MEMCPY3D *shape)
{
	CUgraphNodeParams function = function_parameters(copy), moving = shape_parameters(executor, shape);
	CUgraphNode first = NULL, second = NULL;
	CUresult result =
		executor->driver.cuGraphAddNode_v2(&first, graph, NULL, NULL, 0, copy->up ? &function : &moving);

	return result ? result
		      : executor->driver.cuGraphAddNode_v2(&second, graph, &first, NULL, 1,
							   copy->up ? &moving : &function);
}

CUresult program_copy_make(struct executor *executor, const struct vgpu_graph_program_copy *wire, CUgraph *ret_graph)
{
	const struct driver *driver = &executor->driver;
	struct program_copy *copy;
	CUDA_MEMCPY3D shape;
	CUgraph graph = NULL;
	CUresult result;

	if (!driver_can(driver))
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!executor->contexts.current)
		return CUDA_ERROR_INVALID_CONTEXT;
	program_copies_poll(executor);
	result = copy_new(executor, wire, &shape, &copy);
	if (result)
		return result;
	result = driver->cuGraphCreate(&graph, 0);
	if (!result)
		result = driver->cuGraphRetainUserObject(graph, copy->object, 1, CU_GRAPH_USER_OBJECT_MOVE);
	if (result) {
		/* The reference is still ours. The guest learns that it is not called in the copy's end. */
		driver->cuUserObjectRelease(copy->object, 1);
		if (graph)
			driver->cuGraphDestroy(graph);
		return result;
	}
	result = nodes_add(executor, graph, copy, &shape);
	if (result)
		driver->cuGraphDestroy(graph);
	else
		*ret_graph = graph;
	return result;
}

CUresult program_copy_hold(struct executor *executor, uint64_t holder, const struct vgpu_graph_program_copy *wire)
{
	const struct vgpu_graph_memcpy *memcpy = &wire->memcpy;

	if (memcpy->copy.srcMemoryType == CU_MEMORYTYPE_ARRAY)
		return graph_hold_add(executor, holder, memcpy->source_array);
	if (memcpy->copy.dstMemoryType == CU_MEMORYTYPE_ARRAY)
		return graph_hold_add(executor, holder, memcpy->destination_array);
	return CUDA_SUCCESS;
}

struct program_copy *program_copy_find(const struct executor *executor, CUgraphNode node, CUgraph *ret_graph)
{
	const struct driver *driver = &executor->driver;
	CUDA_HOST_NODE_PARAMS host;
	CUgraphNode nodes[2];
	CUgraphNodeType type;
	CUgraph graph;
	size_t count = 0;

	if (!driver_can(driver) || driver->cuGraphNodeGetType(node, &type) || type != CU_GRAPH_NODE_TYPE_GRAPH ||
	    driver->cuGraphChildGraphNodeGetGraph(node, &graph) || driver->cuGraphGetNodes(graph, NULL, &count) ||
	    count != 2 || driver->cuGraphGetNodes(graph, nodes, &count))
		return NULL;
	for (size_t i = 0; i < count; i++) {
		if (driver->cuGraphNodeGetType(nodes[i], &type) || type != CU_GRAPH_NODE_TYPE_HOST ||
		    driver->cuGraphHostNodeGetParams(nodes[i], &host) || host.fn != copy_run)
			continue;
		if (ret_graph)
			*ret_graph = graph;
		return host.userData;
	}
	return NULL;
}

const struct vgpu_graph_program_copy *program_copy_wire(const struct program_copy *copy)
{
	return &copy->wire;
}

/* Of the node's graph, which keeps its nodes. */
static CUresult nodes_set(const struct executor *executor, CUgraph graph, struct program_copy *copy,
			  const CUDA_MEMCPY3D *shape)
{
	const struct driver *driver = &executor->driver;
	CUgraphNodeParams function = function_parameters(copy), moving = shape_parameters(executor, shape);
	CUgraphNode nodes[2];
	CUgraphNodeType type;
	size_t count = 2, host;
	CUresult result = driver->cuGraphGetNodes(graph, nodes, &count);

	if (!result)
		result = driver->cuGraphNodeGetType(nodes[0], &type);
	if (result)
		return result;
	host = type == CU_GRAPH_NODE_TYPE_HOST ? 0 : 1;
	/* This one can be refused, the other cannot. */
	result = driver->cuGraphNodeSetParams(nodes[1 - host], &moving);
	return result ? result : driver->cuGraphNodeSetParams(nodes[host], &function);
}

CUresult program_copy_replace(struct executor *executor, CUgraphNode node, const struct vgpu_graph_program_copy *wire)
{
	const struct driver *driver = &executor->driver;
	struct program_copy *former, *copy;
	CUDA_MEMCPY3D shape;
	CUgraph graph;
	CUresult result;

	if (!driver_can(driver) || !driver->cuGraphNodeSetParams)
		return CUDA_ERROR_NOT_SUPPORTED;
	former = program_copy_find(executor, node, &graph);
	if (!former || former->up != (wire->memcpy.copy.srcMemoryType == CU_MEMORYTYPE_HOST))
		return CUDA_ERROR_INVALID_VALUE;
	if (!executor->contexts.current)
		return CUDA_ERROR_INVALID_CONTEXT;
	program_copies_poll(executor);
	result = copy_new(executor, wire, &shape, &copy);
	if (result)
		return result;
	result = driver->cuGraphRetainUserObject(graph, copy->object, 1, CU_GRAPH_USER_OBJECT_MOVE);
	if (result) {
		driver->cuUserObjectRelease(copy->object, 1);
		return result;
	}
	result = nodes_set(executor, graph, copy, &shape);
	driver->cuGraphReleaseUserObject(graph, result ? copy->object : former->object, 1);
	return result;
}

void program_copies_poll(struct executor *executor)
{
	struct program_copies *copies = &executor->program_copies;
	uint32_t current = executor->contexts.current ? executor->contexts.current->id : 0;
	struct program_copy **place = &copies->first;

	if (__builtin_expect(!copies->ended, 1))
		return;
	while (*place) {
		struct program_copy *copy = *place;

		if (!copy->is_ended) {
			place = &copy->next;
			continue;
		}
		*place = copy->next;
		copies->ended--;
		memory_free(executor, copy);
		free(copy);
	}
	context_enter(executor, current);
}

void program_copies_forget_context(struct executor *executor, const struct context *context)
{
	for (struct program_copy *copy = executor->program_copies.first; copy; copy = copy->next) {
		if (copy->registered_in != context)
			continue;
		if (context_enter(executor, context->id))
			executor->driver.cuMemHostUnregister(copy->memory);
		copy->registered_in = NULL;
	}
}
