/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_hold.h"

#include <stdlib.h>

#include "executor.h"
#include "graph.h"
#include "overhead.h"

#define HOLDS_FIRST 64u
#define HOLDS_MAX   262144u

struct graph_held {
	struct graph_held *next;
	uint32_t id; /* 0: the guest has destroyed it, or its context has ended */
	enum vgpu_kind kind;
	uint32_t context; /* wire id, 0: of none */
	void *object;	  /* NULL: gone with its context */
	size_t holders;
};

static CUresult room_make(struct graph_holds *holds, size_t count)
{
	size_t capacity = holds->capacity ? holds->capacity : HOLDS_FIRST;
	struct graph_hold *list;

	while (capacity - holds->count < count)
		capacity *= 2;
	if (capacity <= holds->capacity)
		return CUDA_SUCCESS;
	list = capacity <= HOLDS_MAX ? realloc(holds->list, capacity * sizeof(*list)) : NULL;
	if (!list)
		return CUDA_ERROR_OUT_OF_MEMORY;
	holds->list = list;
	holds->capacity = capacity;
	return CUDA_SUCCESS;
}

static bool is_holdable(uint32_t kind)
{
	return kind == VGPU_KIND_MODULE || kind == VGPU_KIND_FUNCTION || kind == VGPU_KIND_LIBRARY ||
	       kind == VGPU_KIND_KERNEL || kind == VGPU_KIND_EVENT || kind == VGPU_KIND_ARRAY ||
	       kind == VGPU_KIND_MIPMAPPED_ARRAY;
}

/* What ends with nothing but itself: a function's module, a kernel's library, a level's mipmapped array. */
static const struct handle *root_find(const struct executor *executor, uint32_t *id)
{
	const struct handle *handle = NULL;

	if (is_holdable(VGPU_ID_KIND(*id)))
		handle = handles_find(&executor->handles, VGPU_ID_KIND(*id), *id);
	while (handle && handle->owner) {
		*id = handle->owner;
		handle = handles_find(&executor->handles, VGPU_ID_KIND(*id), *id);
	}
	return handle;
}

static struct graph_held *held_find(const struct graph_holds *holds, uint32_t id)
{
	struct graph_held *held = holds->held;

	while (held && held->id != id)
		held = held->next;
	return held;
}

static struct graph_held *held_make(struct graph_holds *holds, uint32_t id, const struct handle *handle)
{
	struct graph_held *held = calloc(1, sizeof(*held));

	if (!held)
		return NULL;
	*held = (struct graph_held){
		.next = holds->held,
		.id = id,
		.kind = VGPU_ID_KIND(id),
		.context = handle->context,
		.object = handle->object,
	};
	holds->held = held;
	return held;
}

/* There is room for it. */
static void hold_put(struct graph_holds *holds, uint64_t holder, struct graph_held *held)
{
	for (size_t i = 0; i < holds->count; i++)
		if (holds->list[i].holder == holder && holds->list[i].held == held)
			return;
	holds->list[holds->count++] = (struct graph_hold){holder, held};
	held->holders++;
}

CUresult graph_hold_add(struct executor *executor, uint64_t holder, uint32_t id)
{
	struct graph_holds *holds = &executor->graph_holds;
	const struct handle *handle = root_find(executor, &id);
	struct graph_held *held;
	CUresult result;

	if (!handle)
		return CUDA_ERROR_INVALID_HANDLE;
	result = room_make(holds, 1);
	if (result)
		return result;
	held = held_find(holds, id);
	if (!held)
		held = held_make(holds, id, handle);
	if (!held)
		return CUDA_ERROR_OUT_OF_MEMORY;
	hold_put(holds, holder, held);
	return CUDA_SUCCESS;
}

CUresult graph_hold_captured(struct executor *executor, CUstream stream, uint32_t id)
{
	uint64_t number;

	/* Where the driver does not tell, it refuses the call too, and that may end a capture. */
	if (!executor->captures.count || capture_find(executor, stream, &number) || !number)
		return CUDA_SUCCESS;
	return graph_hold_add(executor, graph_holder_of_capture(number), id);
}

static bool is_named_by(const struct executor *executor, const struct graph_hold *hold, uint32_t root)
{
	return hold->holder == root || (VGPU_ID_KIND(root) == VGPU_KIND_GRAPH && hold->holder <= UINT32_MAX &&
					VGPU_ID_KIND((uint32_t)hold->holder) == VGPU_KIND_GRAPH &&
					graph_is_in(executor, (uint32_t)hold->holder, root));
}

CUresult graph_hold_check(const struct executor *executor, uint32_t holder)
{
	const struct graph_holds *holds = &executor->graph_holds;

	for (size_t i = 0; holds->gone && i < holds->count; i++)
		if (!holds->list[i].held->object && is_named_by(executor, &holds->list[i], holder))
			return CUDA_ERROR_CONTEXT_IS_DESTROYED;
	return CUDA_SUCCESS;
}

CUresult graph_hold_copy(struct executor *executor, uint32_t from, uint64_t holder)
{
	struct graph_holds *holds = &executor->graph_holds;
	size_t before = holds->count, count = 0;
	CUresult result = graph_hold_check(executor, from);

	for (size_t i = 0; i < before; i++)
		count += is_named_by(executor, &holds->list[i], from);
	if (!result)
		result = room_make(holds, count);
	for (size_t i = 0; !result && i < before; i++)
		if (is_named_by(executor, &holds->list[i], from))
			hold_put(holds, holder, holds->list[i].held);
	return result;
}

static void destroy(struct executor *executor, const struct graph_held *held)
{
	const struct driver *driver = &executor->driver;
	struct overhead_mark mark;

	if (held->context && !context_enter(executor, held->context))
		return;
	switch (held->kind) {
	case VGPU_KIND_MODULE:
		overhead_module_begin(executor, &mark);
		driver->cuModuleUnload(held->object);
		overhead_module_gone(executor, &mark);
		print_forward(executor);
		break;
	case VGPU_KIND_LIBRARY:
		overhead_module_begin(executor, &mark);
		driver->cuLibraryUnload(held->object);
		overhead_module_gone(executor, &mark);
		print_forward(executor);
		break;
	case VGPU_KIND_EVENT:
		driver->cuEventDestroy_v2(held->object);
		break;
	case VGPU_KIND_ARRAY:
		driver->cuArrayDestroy(held->object);
		sparse_remove(executor, held->object);
		account_remove(executor, account_handle_key(held->object));
		break;
	case VGPU_KIND_MIPMAPPED_ARRAY:
		driver->cuMipmappedArrayDestroy(held->object);
		sparse_remove(executor, held->object);
		account_remove(executor, account_handle_key(held->object));
		break;
	default:
		break;
	}
}

/* Those that nothing names any more. */
static void held_settle(struct executor *executor)
{
	uint32_t current = executor->contexts.current ? executor->contexts.current->id : 0;
	struct graph_held **place = &executor->graph_holds.held;

	while (*place) {
		struct graph_held *held = *place;

		if (held->holders) {
			place = &held->next;
			continue;
		}
		*place = held->next;
		executor->graph_holds.gone -= !held->object;
		if (!held->id && held->object)
			destroy(executor, held);
		free(held);
	}
	context_enter(executor, current);
}

static bool is_there(const struct executor *executor, uint64_t holder)
{
	if (holder > UINT32_MAX)
		return capture_by_number(executor, holder & ~graph_holder_of_capture(0)) != NULL;
	return handles_find(&executor->handles, VGPU_ID_KIND((uint32_t)holder), (uint32_t)holder) != NULL;
}

void graph_holds_settle(struct executor *executor)
{
	struct graph_holds *holds = &executor->graph_holds;
	size_t kept = 0, before = holds->count;

	for (size_t i = 0; i < before; i++) {
		if (is_there(executor, holds->list[i].holder))
			holds->list[kept++] = holds->list[i];
		else
			holds->list[i].held->holders--;
	}
	holds->count = kept;
	if (kept != before)
		held_settle(executor);
}

void graph_hold_capture_end(struct executor *executor, uint64_t number, uint32_t graph)
{
	struct graph_holds *holds = &executor->graph_holds;

	/* One that the graph has already is there twice then, which does no harm. */
	for (size_t i = 0; graph && i < holds->count; i++)
		if (holds->list[i].holder == graph_holder_of_capture(number))
			holds->list[i].holder = graph;
	graph_holds_settle(executor);
}

bool graph_hold_end(struct executor *executor, uint32_t id)
{
	struct graph_held *held = held_find(&executor->graph_holds, id);

	if (!held)
		return false;
	held->id = 0;
	execute_forget(executor, id);
	return true;
}

void graph_holds_forget_context(struct executor *executor, const struct context *context)
{
	for (struct graph_held *held = executor->graph_holds.held; held; held = held->next) {
		if (held->context != context->id || !held->object)
			continue;
		executor->graph_holds.gone++;
		held->id = 0;
		held->object = NULL;
	}
}
