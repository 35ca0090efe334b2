/* SPDX-License-Identifier: Apache-2.0 */
#include "graph_memory.h"

#include <stdlib.h>

#include "executor.h"
#include "graph.h"
#include "limit.h"

#define CAPACITY_FIRST 64u
#define CAPACITY_MAX   16384u

static CUresult bytes_charge(struct executor *executor, uint64_t bytes)
{
	CUresult result = reserve_charge(executor, bytes);

	if (result)
		return result;
	counter_add(&executor->counters->memory_bytes, bytes);
	reserve_graphs_charged(executor, bytes);
	return CUDA_SUCCESS;
}

static void bytes_release(struct executor *executor, uint64_t bytes)
{
	/* What the driver keeps for the next launch, or a stream has not come to, is charged on. */
	reserve_graphs_freed(executor, bytes);
	memory_release(executor, bytes);
	counter_add(&executor->counters->memory_bytes, -bytes);
}

static CUresult room_make(struct graph_memories *memories)
{
	size_t capacity = memories->capacity ? 2 * memories->capacity : CAPACITY_FIRST;
	struct graph_memory *entries;

	if (memories->count < memories->capacity)
		return CUDA_SUCCESS;
	entries = capacity <= CAPACITY_MAX ? realloc(memories->entries, capacity * sizeof(*entries)) : NULL;
	if (!entries)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memories->entries = entries;
	memories->capacity = capacity;
	return CUDA_SUCCESS;
}

CUresult graph_memory_admit(struct executor *executor, uint64_t bytes)
{
	CUresult result = room_make(&executor->graph_memories);

	return result ? result : bytes_charge(executor, bytes);
}

static bool place_is(const struct graph_memory *memory, struct graph_memory_place place)
{
	return memory->place.capture == place.capture && memory->place.graph == place.graph;
}

static bool contains(const struct graph_memory *memory, CUdeviceptr address)
{
	return address >= memory->address && address - memory->address < memory->bytes;
}

/* Allocated in that place, best with that beginning; NULL: none is. */
static struct graph_memory *find_in(const struct graph_memories *memories, struct graph_memory_place place,
				    CUdeviceptr address)
{
	struct graph_memory *found = NULL;

	for (size_t i = 0; i < memories->count; i++) {
		struct graph_memory *memory = &memories->entries[i];

		if (place_is(memory, place) && contains(memory, address) && (!found || memory->address == address))
			found = memory;
	}
	return found;
}

/* The driver gives out the same addresses for memory of one graph that is not needed at the same time. */
static bool allocation_join(struct executor *executor, struct graph_memory *memory, CUdeviceptr address, uint64_t bytes)
{
	if (bytes <= memory->bytes - (address - memory->address)) {
		bytes_release(executor, bytes);
	} else if (address == memory->address) {
		bytes_release(executor, memory->bytes);
		memory->bytes = bytes;
	} else {
		return false;
	}
	memory->nodes++;
	return true;
}

void graph_memory_add(struct executor *executor, CUresult result, struct graph_memory_place place, CUdeviceptr address,
		      uint64_t bytes)
{
	struct graph_memories *memories = &executor->graph_memories;
	struct graph_memory *found;

	if (result) {
		bytes_release(executor, bytes);
		return;
	}
	found = find_in(memories, place, address);
	if (found && !bytes) {
		found->freed++;
		return;
	}
	if (found && allocation_join(executor, found, address, bytes))
		return;
	memories->entries[memories->count++] = (struct graph_memory){
		.address = address,
		.bytes = bytes,
		.place = place,
		.nodes = bytes ? 1 : 0,
	};
}

void graph_memory_settle(struct executor *executor)
{
	struct graph_memories *memories = &executor->graph_memories;
	size_t kept = 0;

	for (size_t i = 0; i < memories->count; i++) {
		struct graph_memory *memory = &memories->entries[i];

		if (!handles_find(&executor->handles, VGPU_KIND_GRAPH, memory->place.graph))
			memory->place.graph = 0;
		if (!handles_find(&executor->handles, VGPU_KIND_GRAPH_EXEC, memory->exec))
			memory->exec = 0;
		if (memory->place.capture || memory->place.graph || memory->exec || memory->live)
			memories->entries[kept++] = *memory;
		else
			bytes_release(executor, memory->bytes);
	}
	memories->count = kept;
}

void graph_memory_capture_end(struct executor *executor, uint64_t capture, uint32_t graph)
{
	struct graph_memories *memories = &executor->graph_memories;

	for (size_t i = 0; i < memories->count; i++)
		if (memories->entries[i].place.capture == capture)
			memories->entries[i].place = (struct graph_memory_place){.graph = graph};
	graph_memory_settle(executor);
}

void graph_memory_captures_forget(struct executor *executor)
{
	struct graph_memories *memories = &executor->graph_memories;

	for (size_t i = 0; i < memories->count; i++)
		memories->entries[i].place.capture = 0;
	graph_memory_settle(executor);
}

CUresult graph_memory_check_instantiate(const struct executor *executor, uint32_t graph, uint32_t exec)
{
	const struct graph_memories *memories = &executor->graph_memories;

	for (size_t i = 0; i < memories->count; i++) {
		const struct graph_memory *memory = &memories->entries[i];

		if (memory->exec && memory->exec != exec && graph_is_in(executor, memory->place.graph, graph))
			return CUDA_ERROR_NOT_SUPPORTED;
	}
	return CUDA_SUCCESS;
}

/* An executable's cache says that it allocates or frees. */
void graph_memory_instantiate(struct executor *executor, uint32_t graph, uint32_t exec)
{
	struct graph_memories *memories = &executor->graph_memories;

	for (size_t i = 0; i < memories->count; i++) {
		if (!graph_is_in(executor, memories->entries[i].place.graph, graph))
			continue;
		memories->entries[i].exec = exec;
		handles_find(&executor->handles, VGPU_KIND_GRAPH_EXEC, exec)->cache = 1;
	}
}

/* False: nothing that is allocated now lies there. */
static bool free_one(struct graph_memories *memories, CUdeviceptr address)
{
	struct graph_memory *found = NULL;

	for (size_t i = 0; i < memories->count; i++) {
		struct graph_memory *memory = &memories->entries[i];

		if (memory->live && contains(memory, address) && (!found || memory->address == address))
			found = memory;
	}
	if (found)
		found->live--;
	return found != NULL;
}

void graph_memory_launch(struct executor *executor, uint32_t exec)
{
	struct graph_memories *memories = &executor->graph_memories;
	uint64_t nodes = 0, freed = 0;
	bool frees = false;

	for (size_t i = 0; i < memories->count; i++) {
		if (memories->entries[i].exec != exec)
			continue;
		nodes += memories->entries[i].nodes;
		freed += memories->entries[i].freed;
	}
	for (size_t i = 0; i < memories->count; i++) {
		struct graph_memory *memory = &memories->entries[i];

		/* Where addresses overlap, a free may have been counted for the other one. */
		if (memory->exec == exec)
			memory->live =
				nodes > freed && memory->nodes > memory->freed ? memory->nodes - memory->freed : 0;
	}
	for (size_t i = 0; i < memories->count; i++)
		if (memories->entries[i].exec == exec && !memories->entries[i].bytes)
			frees |= free_one(memories, memories->entries[i].address);
	if (frees)
		graph_memory_settle(executor);
}

void graph_memory_free(struct executor *executor, CUdeviceptr address)
{
	if (free_one(&executor->graph_memories, address))
		graph_memory_settle(executor);
}
