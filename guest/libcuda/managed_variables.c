/* SPDX-License-Identifier: Apache-2.0 */
#include "managed_variables.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "host_calls.h"
#include "memory.h"
#include "module.h"
#include "pinned.h"
#include "session.h"
#include "vgpu_managed.h"

struct managed_variables {
	struct memory_range memory; /* not in the map */
	bool holds_context;	    /* device 0's primary one */
	struct vgpu_managed_table *table;
};

/* The program may write to the memory from now on: the table is copied. */
static CUresult table_copy(struct managed_variables *variables)
{
	const struct vgpu_managed_table *table = (const void *)(uintptr_t)variables->memory.address;
	uint64_t bytes = variables->memory.bytes;
	uint64_t end = sizeof(*table) + (uint64_t)table->count * sizeof(table->variables[0]);

	if (end > bytes)
		return CUDA_ERROR_UNKNOWN;
	for (uint32_t i = 0; i < table->count; i++) {
		const struct vgpu_managed_variable *variable = &table->variables[i];

		if (variable->offset > bytes || variable->bytes > bytes - variable->offset ||
		    variable->name_offset >= bytes || variable->name_bytes >= bytes - variable->name_offset)
			return CUDA_ERROR_UNKNOWN;
		if (variable->name_offset + (uint64_t)variable->name_bytes + 1 > end)
			end = variable->name_offset + (uint64_t)variable->name_bytes + 1;
	}
	variables->table = malloc((size_t)end);
	if (!variables->table)
		return CUDA_ERROR_OUT_OF_MEMORY;
	memcpy(variables->table, table, (size_t)end);
	return CUDA_SUCCESS;
}

static CUresult variables_note(const struct managed_variables *variables, uint32_t owner)
{
	CUresult result = CUDA_SUCCESS;

	for (uint32_t i = 0; !result && i < variables->table->count; i++) {
		const struct vgpu_managed_variable *variable = &variables->table->variables[i];
		struct memory_range range = {
			.address = variables->memory.address + variable->offset,
			.bytes = variable->bytes,
			.kind = MEMORY_MANAGED,
			.owner = owner,
			.flags = CU_MEM_ATTACH_GLOBAL,
			.device = variables->memory.device,
		};

		if (range.bytes)
			result = memory_note(&range);
	}
	return result;
}

/* In memory of that size, which the executor fills. */
static CUresult variables_make(uint32_t context, CUdevice device, uint64_t bytes,
			       struct managed_variables **ret_variables)
{
	struct managed_variables *variables = calloc(1, sizeof(*variables));
	void *address = NULL;
	CUresult result;

	if (!variables)
		return CUDA_ERROR_OUT_OF_MEMORY;
	result = pinned_allocate((size_t)bytes, context, &address);
	if (result) {
		free(variables);
		return result;
	}
	variables->memory = (struct memory_range){
		.address = (uintptr_t)address,
		.bytes = bytes,
		.kind = MEMORY_MANAGED,
		.device = device,
	};
	*ret_variables = variables;
	return CUDA_SUCCESS;
}

/* What the staged image's take, or another answer of vgpu_managed.h. */
static uint64_t examine(uint32_t context, const struct image *image, const struct jit_options *options)
{
	uint64_t bytes = VGPU_MANAGED_NONE;

	/* An older executor does not know the call. */
	if (host_cuModuleExamineManaged(context, image->kind, options->count, options->wire,
					(uint32_t)(options->count * sizeof(options->wire[0])), &bytes))
		return VGPU_MANAGED_NONE;
	if (bytes == VGPU_MANAGED_NEEDS_CONTEXT && !context)
		return bytes;
	return bytes >= sizeof(struct vgpu_managed_table) && bytes <= PINNED_BYTES_MAX ? bytes : VGPU_MANAGED_NONE;
}

static CUresult variables_move(uint32_t context, CUdevice device, struct owner *owner, uint64_t bytes)
{
	struct managed_variables *variables;
	CUresult result = variables_make(context, device, bytes, &variables);

	if (result)
		return result;
	/* What cannot be moved stays with the device, where the program does not reach it. */
	if (host_cuModulePlaceManaged(context, variables->memory.address)) {
		managed_variables_free(variables);
		return CUDA_SUCCESS;
	}
	result = table_copy(variables);
	if (!result)
		result = variables_note(variables, owner->object->id);
	if (result)
		managed_variables_free(variables);
	else
		owner->managed = variables;
	return result;
}

/*
 * The runtime loads libraries, and asks where their managed variables are, before there is a context. It makes the
 * primary one next, so that it costs nothing to have it now.
 */
static CUresult place_without_context(struct owner *owner, const struct image *image, const struct jit_options *options,
				      bool *ret_releases)
{
	struct object *primary;
	uint64_t bytes;
	CUresult result = context_primary_retain(0, &primary);

	if (result)
		return result;
	bytes = examine(primary->id, image, options);
	if (bytes != VGPU_MANAGED_NONE)
		result = variables_move(primary->id, 0, owner, bytes);
	if (owner->managed)
		owner->managed->holds_context = true;
	*ret_releases = !owner->managed;
	return result;
}

CUresult managed_variables_place(uint32_t context, struct owner *owner, const struct image *image,
				 const struct jit_options *options, bool *ret_releases)
{
	uint64_t bytes;

	*ret_releases = false;
	if (!session_shares_memory())
		return CUDA_SUCCESS;
	bytes = examine(context, image, options);
	if (bytes == VGPU_MANAGED_NEEDS_CONTEXT)
		return place_without_context(owner, image, options, ret_releases);
	if (bytes == VGPU_MANAGED_NONE || !context)
		return CUDA_SUCCESS;
	return variables_move(context, (CUdevice)thread_state.current->words[CONTEXT_DEVICE], owner, bytes);
}

bool managed_variables_find(const struct managed_variables *variables, const char *name, uint64_t *ret_address,
			    uint64_t *ret_bytes)
{
	size_t name_bytes = strlen(name);

	for (uint32_t i = 0; variables && i < variables->table->count; i++) {
		const struct vgpu_managed_variable *variable = &variables->table->variables[i];

		if (variable->name_bytes != name_bytes ||
		    memcmp((const char *)variables->table + variable->name_offset, name, name_bytes) != 0)
			continue;
		*ret_address = variables->memory.address + variable->offset;
		*ret_bytes = variable->bytes;
		return true;
	}
	return false;
}

void managed_variables_free(struct managed_variables *variables)
{
	struct memory_range range;

	if (!variables)
		return;
	for (uint32_t i = 0; variables->table && i < variables->table->count; i++)
		(void)memory_remove(variables->memory.address + variables->table->variables[i].offset,
				    1u << MEMORY_MANAGED, &range);
	(void)pinned_free(&variables->memory, 0);
	if (variables->holds_context)
		(void)context_primary_release(0);
	free(variables->table);
	free(variables);
}

CUresult managed_variables_end(struct owner *owner, uint32_t context)
{
	CUresult result = CUDA_SUCCESS;

	if (owner->managed && context)
		result = host_cuCtxSynchronize(context);
	managed_variables_free(owner->managed);
	owner->managed = NULL;
	return result;
}
