/* SPDX-License-Identifier: Apache-2.0 */
#include "user_object.h"

#include <limits.h>
#include <stdlib.h>

#include "executor.h"
#include "executor_calls.h"
#include "host_function.h"

#define REFERENCES_FIRST 16u
#define REFERENCES_MAX	 65536u

static struct user_reference *reference_find(const struct user_references *references, uint32_t graph, uint32_t object)
{
	for (size_t i = 0; i < references->count; i++)
		if (references->list[i].graph == graph && references->list[i].object == object)
			return &references->list[i];
	return NULL;
}

static bool is_referenced(const struct user_references *references, uint32_t object)
{
	for (size_t i = 0; i < references->count; i++)
		if (references->list[i].object == object)
			return true;
	return false;
}

/* The id ends with the last reference that is known. */
static void object_settle(struct executor *executor, uint32_t id)
{
	const struct handle *handle = handles_find(&executor->handles, VGPU_KIND_USER_OBJECT, id);

	if (handle && !handle->cache && !is_referenced(&executor->user_references, id))
		handles_forget(&executor->handles, id);
}

static void reference_remove(struct executor *executor, struct user_reference *reference)
{
	struct user_references *references = &executor->user_references;
	uint32_t object = reference->object;

	*reference = references->list[--references->count];
	object_settle(executor, object);
}

void user_objects_settle(struct executor *executor)
{
	struct user_references *references = &executor->user_references;

	for (size_t i = references->count; i-- > 0;)
		if (!handles_find(&executor->handles, VGPU_KIND_GRAPH, references->list[i].graph))
			reference_remove(executor, &references->list[i]);
}

/* Room for one more. */
static CUresult references_reserve(struct user_references *references)
{
	size_t capacity = references->capacity ? 2 * references->capacity : REFERENCES_FIRST;
	struct user_reference *list;

	if (references->count < references->capacity)
		return CUDA_SUCCESS;
	list = capacity <= REFERENCES_MAX ? realloc(references->list, capacity * sizeof(*list)) : NULL;
	if (!list)
		return CUDA_ERROR_OUT_OF_MEMORY;
	references->list = list;
	references->capacity = capacity;
	return CUDA_SUCCESS;
}

CUresult execute_cuUserObjectCreate(struct executor *executor, const struct request *request,
				    const struct wire_cuUserObjectCreate *arguments)
{
	CUuserObject object = NULL;
	CUresult result = execute_check_mint(executor, VGPU_KIND_USER_OBJECT, arguments->object_out);

	if (result)
		return result;
	if (!executor->driver.cuUserObjectCreate)
		return CUDA_ERROR_NOT_SUPPORTED;
	if (!arguments->initialRefcount || arguments->initialRefcount > INT_MAX)
		return CUDA_ERROR_INVALID_VALUE;
	result = executor->driver.cuUserObjectCreate(&object, (void *)(uintptr_t)arguments->function, host_function_run,
						     arguments->initialRefcount, arguments->flags);
	if (result)
		return result;
	execute_mint(executor, arguments->object_out, request->context, object);
	handles_find(&executor->handles, VGPU_KIND_USER_OBJECT, arguments->object_out)->cache =
		arguments->initialRefcount;
	return CUDA_SUCCESS;
}

/* The object of an id, and that many references are a number that the driver takes. */
static CUresult object_find(const struct executor *executor, uint32_t id, uint32_t count, struct handle **ret_handle)
{
	*ret_handle = handles_find(&executor->handles, VGPU_KIND_USER_OBJECT, id);
	if (!*ret_handle)
		return CUDA_ERROR_INVALID_HANDLE;
	return count && count <= INT_MAX ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult execute_cuUserObjectRetain(struct executor *executor, const struct request *request,
				    const struct wire_cuUserObjectRetain *arguments)
{
	struct handle *handle;
	CUresult result = object_find(executor, arguments->hObject, arguments->count, &handle);

	(void)request;
	if (!result && arguments->count > INT_MAX - handle->cache)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	if (!executor->driver.cuUserObjectRetain)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuUserObjectRetain(handle->object, arguments->count);
	if (!result)
		handle->cache += arguments->count;
	return result;
}

CUresult execute_cuUserObjectRelease(struct executor *executor, const struct request *request,
				     const struct wire_cuUserObjectRelease *arguments)
{
	struct handle *handle;
	CUresult result = object_find(executor, arguments->hObject, arguments->count, &handle);

	(void)request;
	if (!result && arguments->count > handle->cache)
		result = CUDA_ERROR_INVALID_VALUE;
	if (result)
		return result;
	if (!executor->driver.cuUserObjectRelease)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuUserObjectRelease(handle->object, arguments->count);
	if (!result) {
		handle->cache -= arguments->count;
		object_settle(executor, arguments->hObject);
	}
	return result;
}

/* A graph gets references: the guest's own, which it must have then, or further ones. */
CUresult execute_cuGraphRetainUserObject(struct executor *executor, const struct request *request,
					 const struct wire_cuGraphRetainUserObject *arguments)
{
	struct user_references *references = &executor->user_references;
	bool moves = arguments->flags & CU_GRAPH_USER_OBJECT_MOVE;
	struct user_reference *reference;
	struct handle *handle;
	void *graph;
	CUresult result = object_find(executor, arguments->hObject, arguments->count, &handle);

	(void)request;
	if (!result)
		result = execute_find(executor, VGPU_KIND_GRAPH, arguments->graph, &graph);
	if (!result && moves && arguments->count > handle->cache)
		result = CUDA_ERROR_INVALID_VALUE;
	if (!result)
		result = references_reserve(references);
	if (result)
		return result;
	reference = reference_find(references, arguments->graph, arguments->hObject);
	if (reference && arguments->count > INT_MAX - reference->count)
		return CUDA_ERROR_INVALID_VALUE;
	if (!executor->driver.cuGraphRetainUserObject)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphRetainUserObject(graph, handle->object, arguments->count, arguments->flags);
	if (result)
		return result;
	if (!reference) {
		reference = &references->list[references->count++];
		*reference = (struct user_reference){.graph = arguments->graph, .object = arguments->hObject};
	}
	reference->count += arguments->count;
	if (moves)
		handle->cache -= arguments->count;
	return CUDA_SUCCESS;
}

/* Those that a graph was given by name; a copy of a graph keeps what it has. */
CUresult execute_cuGraphReleaseUserObject(struct executor *executor, const struct request *request,
					  const struct wire_cuGraphReleaseUserObject *arguments)
{
	struct user_reference *reference;
	struct handle *handle;
	void *graph;
	CUresult result = object_find(executor, arguments->hObject, arguments->count, &handle);

	(void)request;
	if (!result)
		result = execute_find(executor, VGPU_KIND_GRAPH, arguments->graph, &graph);
	if (result)
		return result;
	reference = reference_find(&executor->user_references, arguments->graph, arguments->hObject);
	if (!reference || arguments->count > reference->count)
		return CUDA_ERROR_INVALID_VALUE;
	if (!executor->driver.cuGraphReleaseUserObject)
		return CUDA_ERROR_NOT_SUPPORTED;
	result = executor->driver.cuGraphReleaseUserObject(graph, handle->object, arguments->count);
	if (result)
		return result;
	reference->count -= arguments->count;
	if (!reference->count)
		reference_remove(executor, reference);
	return CUDA_SUCCESS;
}
