/* SPDX-License-Identifier: Apache-2.0 */
/* The objects behind wire ids, for generated code (execute.h). */
#include "context_work.h"
#include "executor.h"
#include "limit.h"
#include "vgpu_api_wire.h"

const struct driver *executor_driver(const struct executor *executor)
{
	return &executor->driver;
}

CUresult execute_find(struct executor *executor, enum vgpu_kind kind, uint32_t id, void **ret_object)
{
	struct handle *handle = handles_find(&executor->handles, kind, id);

	/* Pool 0 is the device's own; the calls that take it do not come here. */
	if (!handle)
		return kind == VGPU_KIND_CONTEXT ? CUDA_ERROR_INVALID_CONTEXT : CUDA_ERROR_INVALID_HANDLE;
	*ret_object = handle->object;
	return CUDA_SUCCESS;
}

CUresult execute_enter_stream(struct executor *executor, uint32_t id, CUstream *ret_stream)
{
	struct handle *handle;

	*ret_stream = NULL;
	if (id == 0)
		return CUDA_SUCCESS;
	handle = handles_find(&executor->handles, VGPU_KIND_STREAM, id);
	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	*ret_stream = handle->object;
	return context_enter(executor, context_owner_id(executor, handle->context)) ? CUDA_SUCCESS
										    : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult execute_find_stream(struct executor *executor, uint32_t id, CUstream *ret_stream)
{
	struct handle *handle;

	if (id == 0) {
		*ret_stream = NULL;
		context_legacy_use(executor->contexts.current);
		gate_touch(executor, executor->contexts.current ? executor->contexts.current->id : 0, NULL);
		return CUDA_SUCCESS;
	}
	handle = handles_find(&executor->handles, VGPU_KIND_STREAM, id);
	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	*ret_stream = handle->object;
	if (executor->contexts.current && executor->contexts.current->legacy_copied)
		context_copy_settle(executor, handle);
	gate_touch(executor, handle->context, handle->object);
	return CUDA_SUCCESS;
}

struct handle *execute_function_handle(struct executor *executor, uint32_t id)
{
	enum vgpu_kind kind = VGPU_ID_KIND(id) == VGPU_KIND_KERNEL ? VGPU_KIND_KERNEL : VGPU_KIND_FUNCTION;

	return handles_find(&executor->handles, kind, id);
}

CUresult execute_find_function(struct executor *executor, uint32_t id, CUfunction *ret_function)
{
	struct handle *handle = execute_function_handle(executor, id);

	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	/* The driver takes a CUkernel for a CUfunction (API reference, cuLaunchKernel). */
	*ret_function = handle->object;
	return CUDA_SUCCESS;
}

CUresult execute_check_mint(struct executor *executor, enum vgpu_kind kind, uint32_t id)
{
	CUresult result = limit_handles_admit(executor);

	return result ? result : handles_reserve(&executor->handles, kind, id);
}

/* Kinds that end with a context; the others belong to the process. */
static bool kind_is_of_context(enum vgpu_kind kind)
{
	switch (kind) {
	case VGPU_KIND_STREAM:
	case VGPU_KIND_EVENT:
	case VGPU_KIND_MODULE:
	case VGPU_KIND_FUNCTION:
	case VGPU_KIND_LINK_STATE:
	case VGPU_KIND_ARRAY:
	case VGPU_KIND_MIPMAPPED_ARRAY:
	case VGPU_KIND_TEXTURE:
	case VGPU_KIND_SURFACE:
	case VGPU_KIND_TEXTURE_REFERENCE:
	case VGPU_KIND_SURFACE_REFERENCE:
		return true;
	default:
		return false;
	}
}

/* The object that the one made by the current request ends with. */
static uint32_t owner_find(const struct executor *executor)
{
	const struct request *request = executor->request;
	uint32_t kernel;
	struct handle *handle;

	switch (request->opcode) {
	case VGPU_CALL_cuModuleGetFunction:
		return ((const struct wire_cuModuleGetFunction *)request->payload)->hmod;
	case VGPU_CALL_cuModuleGetTexRef:
		return ((const struct wire_cuModuleGetTexRef *)request->payload)->module;
	case VGPU_CALL_cuModuleGetSurfRef:
		return ((const struct wire_cuModuleGetSurfRef *)request->payload)->module;
	case VGPU_CALL_cuLibraryGetKernel:
		return ((const struct wire_cuLibraryGetKernel *)request->payload)->library;
	case VGPU_CALL_cuLibraryGetModule:
		return ((const struct wire_cuLibraryGetModule *)request->payload)->library;
	case VGPU_CALL_cuKernelGetFunction:
		kernel = ((const struct wire_cuKernelGetFunction *)request->payload)->kernel;
		handle = handles_find(&executor->handles, VGPU_KIND_KERNEL, kernel);
		return handle ? handle->owner : 0;
	case VGPU_CALL_cuGraphAddNode_v2:
		return ((const struct wire_cuGraphAddNode_v2 *)request->payload)->hGraph;
	case VGPU_CALL_cuMipmappedArrayGetLevel:
		return ((const struct wire_cuMipmappedArrayGetLevel *)request->payload)->mipmap;
	case VGPU_CALL_cuArrayGetPlane:
		return ((const struct wire_cuArrayGetPlane *)request->payload)->array;
	default:
		return 0;
	}
}

void execute_mint(struct executor *executor, uint32_t id, uint32_t context, void *object)
{
	bool is_of_context = kind_is_of_context(VGPU_ID_KIND(id));
	uint32_t owner_id = owner_find(executor);
	const struct handle *owner;
	struct handle *handle;

	if (VGPU_ID_KIND(id) != VGPU_KIND_STREAM)
		context = context_owner_id(executor, context);
	/* It may be looked up while another context is current, and ends with its owner's. */
	owner = owner_id ? handles_find(&executor->handles, VGPU_ID_KIND(owner_id), owner_id) : NULL;
	if (owner && owner->context)
		context = owner->context;
	handle = handles_mint(&executor->handles, id, is_of_context ? context : 0, object);
	handle->owner = owner_id;
}

/* A graph or an executable has ended. */
static void graphs_settle(struct executor *executor)
{
	graph_memory_settle(executor);
	user_objects_settle(executor);
	graph_holds_settle(executor);
	graph_conditions_settle(executor);
}

void execute_forget(struct executor *executor, uint32_t id)
{
	struct handle *handle;

	switch (VGPU_ID_KIND(id)) {
	case VGPU_KIND_GRAPH:
		handles_forget_graph(&executor->handles, id);
		graphs_settle(executor);
		return;
	case VGPU_KIND_GRAPH_EXEC:
		handles_forget(&executor->handles, id);
		graphs_settle(executor);
		return;
	case VGPU_KIND_GRAPH_NODE:
		handle = handles_find(&executor->handles, VGPU_KIND_GRAPH_NODE, id);
		/* The cache is the id of its embedded graph. */
		if (handle && handle->cache) {
			handles_forget_graph(&executor->handles, id);
			graphs_settle(executor);
			return;
		}
		break;
	case VGPU_KIND_STREAM:
		handle = handles_find(&executor->handles, VGPU_KIND_STREAM, id);
		if (handle)
			gate_forget_stream(executor, handle->object);
		break;
	case VGPU_KIND_EVENT:
		pending_forget_event(executor, id);
		break;
	case VGPU_KIND_ARRAY:
		handle = handles_find(&executor->handles, VGPU_KIND_ARRAY, id);
		/* The cache says that it has planes. */
		if (handle && handle->cache)
			handles_forget_owned(&executor->handles, id);
		break;
	case VGPU_KIND_MODULE:
	case VGPU_KIND_LIBRARY:
	case VGPU_KIND_MIPMAPPED_ARRAY:
		handles_forget_owned(&executor->handles, id);
		break;
	}
	handles_forget(&executor->handles, id);
}
