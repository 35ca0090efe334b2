/* SPDX-License-Identifier: Apache-2.0 */
#include "handles.h"

#include <stdlib.h>
#include <string.h>

#define CAPACITY_FIRST 64u

struct handle *handles_find(const struct handles *handles, enum vgpu_kind kind, uint32_t id)
{
	const struct handle_table *table = &handles->tables[kind];
	uint32_t index = VGPU_ID_INDEX(id);

	if (VGPU_ID_KIND(id) != kind || index >= table->end || !table->entries[index].object)
		return NULL;
	return &table->entries[index];
}

static CUresult table_grow(struct handle_table *table, uint32_t index, uint32_t max)
{
	uint32_t capacity = table->capacity ? table->capacity : CAPACITY_FIRST;
	struct handle *entries;

	while (capacity <= index)
		capacity *= 2;
	if (capacity > max)
		capacity = max;
	entries = realloc(table->entries, capacity * sizeof(*entries));
	if (!entries)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memset(entries + table->capacity, 0, (capacity - table->capacity) * sizeof(*entries));
	table->entries = entries;
	table->capacity = capacity;
	return CUDA_SUCCESS;
}

CUresult handles_reserve(struct handles *handles, enum vgpu_kind kind, uint32_t id)
{
	struct handle_table *table = &handles->tables[kind];
	uint32_t index = VGPU_ID_INDEX(id);

	if (VGPU_ID_KIND(id) != kind)
		return CUDA_ERROR_INVALID_HANDLE;
	if (index >= vgpu_kind_capacity[kind])
		return CUDA_ERROR_OUT_OF_MEMORY;
	if (index >= table->capacity && table_grow(table, index, vgpu_kind_capacity[kind]))
		return CUDA_ERROR_OUT_OF_MEMORY;
	return table->entries[index].object ? CUDA_ERROR_INVALID_HANDLE : CUDA_SUCCESS;
}

struct handle *handles_mint(struct handles *handles, uint32_t id, uint32_t context, void *object)
{
	struct handle_table *table = &handles->tables[VGPU_ID_KIND(id)];
	uint32_t index = VGPU_ID_INDEX(id);
	struct handle *handle = &table->entries[index];

	*handle = (struct handle){.object = object, .context = context};
	if (index >= table->end)
		table->end = index + 1;
	table->count++;
	return handle;
}

static void entry_clear(struct handle_table *table, uint32_t index)
{
	table->entries[index] = (struct handle){0};
	table->count--;
	while (table->end > 0 && !table->entries[table->end - 1].object)
		table->end--;
}

void handles_forget(struct handles *handles, uint32_t id)
{
	uint32_t kind = VGPU_ID_KIND(id);
	uint32_t index = VGPU_ID_INDEX(id);

	if (kind >= VGPU_KIND_COUNT || index >= handles->tables[kind].end ||
	    !handles->tables[kind].entries[index].object)
		return;
	entry_clear(&handles->tables[kind], index);
}

void handles_forget_context(struct handles *handles, uint32_t context)
{
	for (int kind = 0; kind < VGPU_KIND_COUNT; kind++) {
		struct handle_table *table = &handles->tables[kind];

		for (uint32_t index = table->end; index-- > 0;) {
			if (table->entries[index].object && table->entries[index].context == context)
				entry_clear(table, index);
		}
	}
}

static void module_forget_owned(struct handles *handles, uint32_t module);

static void kind_forget_owned(struct handles *handles, enum vgpu_kind kind, uint32_t owner)
{
	struct handle_table *table = &handles->tables[kind];

	for (uint32_t index = table->end; index-- > 0;) {
		if (!table->entries[index].object || table->entries[index].owner != owner)
			continue;
		entry_clear(table, index);
		if (kind == VGPU_KIND_MODULE)
			module_forget_owned(handles, VGPU_ID(VGPU_KIND_MODULE, index));
	}
}

static void module_forget_owned(struct handles *handles, uint32_t module)
{
	kind_forget_owned(handles, VGPU_KIND_FUNCTION, module);
	kind_forget_owned(handles, VGPU_KIND_TEXTURE_REFERENCE, module);
	kind_forget_owned(handles, VGPU_KIND_SURFACE_REFERENCE, module);
}

void handles_forget_owned(struct handles *handles, uint32_t owner)
{
	kind_forget_owned(handles, VGPU_KIND_MODULE, owner);
	module_forget_owned(handles, owner);
	kind_forget_owned(handles, VGPU_KIND_KERNEL, owner);
	kind_forget_owned(handles, VGPU_KIND_ARRAY, owner);
}

/* Nodes whose graph there is no more, and graphs whose node there is no more; true: some. */
static bool graph_orphans_forget(struct handles *handles)
{
	struct handle_table *nodes = &handles->tables[VGPU_KIND_GRAPH_NODE];
	struct handle_table *graphs = &handles->tables[VGPU_KIND_GRAPH];
	uint32_t before = graphs->count;

	for (uint32_t index = nodes->end; index-- > 0;) {
		if (nodes->entries[index].object &&
		    !handles_find(handles, VGPU_KIND_GRAPH, nodes->entries[index].owner))
			entry_clear(nodes, index);
	}
	for (uint32_t index = graphs->end; index-- > 0;) {
		const struct handle *graph = &graphs->entries[index];

		if (graph->object && graph->owner && !handles_find(handles, VGPU_KIND_GRAPH_NODE, graph->owner))
			entry_clear(graphs, index);
	}
	return graphs->count != before;
}

void handles_forget_graph(struct handles *handles, uint32_t id)
{
	handles_forget(handles, id);
	/* Embedded graphs may have embedded graphs. */
	while (graph_orphans_forget(handles))
		;
}

struct handle *handles_next(const struct handles *handles, enum vgpu_kind kind, uint32_t *index)
{
	const struct handle_table *table = &handles->tables[kind];

	while (*index < table->end) {
		struct handle *handle = &table->entries[(*index)++];

		if (handle->object)
			return handle;
	}
	return NULL;
}
