/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One reservation of addresses holds the slots of all kinds: each kind has a
 * span of its own, as large as the executor's table of that kind.  Pages come
 * into being when a slot is first used.  Freed slots wait in a queue before they
 * are used again, so that a stale handle is usually noticed.
 */
#include "object.h"

#include <string.h>
#include <sys/mman.h>

#include "lock.h"
#include "object_table.h"

/* Freed slots are kept out of use until so many others of the kind have been freed. */
#define QUARANTINE 1024u

#define SPAN_SLOTS (1u << 18) /* of each kind, a power of two */

/* The free slots of a kind form a queue through words[0], as slot number + 1. */
struct kind_state {
	struct lock lock;
	uint32_t fresh; /* slots from here on were never used */
	uint32_t free_count;
	uint32_t first;
	uint32_t last;
};

static struct object *table;
static struct kind_state kinds[VGPU_KIND_COUNT];

bool object_table_prepare(void)
{
	void *space;

	if (table)
		return true;
	space = mmap(NULL, sizeof(struct object) * SPAN_SLOTS * VGPU_KIND_COUNT, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (space == MAP_FAILED)
		return false;
	table = space;
	return true;
}

static struct object *slot_of(enum vgpu_kind kind, uint32_t index)
{
	return table + (size_t)kind * SPAN_SLOTS + index;
}

uint32_t object_context_owner(uint32_t context)
{
	const struct object *object = context ? object_by_id(context) : NULL;

	return object && object->context ? object->context : context;
}

struct object *object_mint(enum vgpu_kind kind, uint32_t context)
{
	struct kind_state *state = &kinds[kind];
	struct object *object = NULL;
	uint32_t index = 0;

	if (kind != VGPU_KIND_STREAM)
		context = object_context_owner(context);
	lock_take(&state->lock);
	if (state->free_count > QUARANTINE || (state->fresh == vgpu_kind_capacity[kind] && state->free_count > 0)) {
		index = state->first - 1;
		object = slot_of(kind, index);
		state->first = (uint32_t)object->words[0];
		if (--state->free_count == 0)
			state->last = 0;
	} else if (state->fresh < vgpu_kind_capacity[kind]) {
		index = state->fresh++;
		object = slot_of(kind, index);
	}
	if (object) {
		*object = (struct object){.context = context};
		__atomic_store_n(&object->id, VGPU_ID(kind, index), __ATOMIC_RELEASE);
	}
	lock_release(&state->lock);
	return object;
}

void object_release(struct object *object)
{
	enum vgpu_kind kind = VGPU_ID_KIND(object->id);
	struct kind_state *state = &kinds[kind];
	uint32_t number = VGPU_ID_INDEX(object->id) + 1;

	lock_take(&state->lock);
	__atomic_store_n(&object->id, 0, __ATOMIC_RELEASE);
	object->context = 0;
	object->detail = NULL;
	memset(object->words, 0, sizeof(object->words));
	if (state->free_count++ == 0)
		state->first = number;
	else
		slot_of(kind, state->last - 1)->words[0] = number;
	state->last = number;
	lock_release(&state->lock);
}

struct object *object_find(const void *handle, enum vgpu_kind kind)
{
	uintptr_t offset = (uintptr_t)handle - (uintptr_t)slot_of(kind, 0);
	struct object *object;

	if (!table || offset >= (uintptr_t)vgpu_kind_capacity[kind] * sizeof(struct object) ||
	    offset % sizeof(struct object))
		return NULL;
	object = slot_of(kind, (uint32_t)(offset / sizeof(struct object)));
	return __atomic_load_n(&object->id, __ATOMIC_ACQUIRE) ? object : NULL;
}

struct object *object_by_id(uint32_t id)
{
	enum vgpu_kind kind = VGPU_ID_KIND(id);

	if (!table || kind >= VGPU_KIND_COUNT || VGPU_ID_INDEX(id) >= vgpu_kind_capacity[kind])
		return NULL;
	return object_find(slot_of(kind, VGPU_ID_INDEX(id)), kind);
}

/* What the API reference lists for calls that take such a handle. */
static CUresult missing_error(enum vgpu_kind kind)
{
	switch (kind) {
	case VGPU_KIND_CONTEXT:
		return CUDA_ERROR_INVALID_CONTEXT;
	case VGPU_KIND_MEMORY_POOL:
	case VGPU_KIND_GRAPH:
	case VGPU_KIND_GRAPH_NODE:
	case VGPU_KIND_GRAPH_EXEC:
	case VGPU_KIND_USER_OBJECT:
		return CUDA_ERROR_INVALID_VALUE;
	default:
		return CUDA_ERROR_INVALID_HANDLE;
	}
}

CUresult object_id(const void *handle, enum vgpu_kind kind, uint32_t *ret_id)
{
	struct object *object = object_find(handle, kind);

	if (!object)
		return missing_error(kind);
	*ret_id = object->id;
	return CUDA_SUCCESS;
}

void object_each(enum vgpu_kind kind, bool (*visit)(struct object *object, void *argument), void *argument)
{
	uint32_t end = __atomic_load_n(&kinds[kind].fresh, __ATOMIC_ACQUIRE);

	for (uint32_t index = 0; index < end; index++) {
		struct object *object = slot_of(kind, index);

		if (__atomic_load_n(&object->id, __ATOMIC_ACQUIRE) && !visit(object, argument))
			return;
	}
}
