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
static CUresult variables_make(uint32_t context, uint64_t bytes, struct managed_variables **ret_variables)
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
		.device = (CUdevice)thread_state.current->words[CONTEXT_DEVICE],
	};
	*ret_variables = variables;
	return CUDA_SUCCESS;
}

CUresult managed_variables_place(uint32_t context, struct owner *owner, const struct image *image,
				 const struct jit_options *options)
{
	struct managed_variables *variables;
	uint64_t bytes = 0;
	CUresult result;

	if (!context || !session_shares_memory())
		return CUDA_SUCCESS;
	/* An older executor does not know the call. */
	if (host_cuModuleExamineManaged(context, image->kind, options->count, options->wire,
					(uint32_t)(options->count * sizeof(options->wire[0])), &bytes) ||
	    bytes < sizeof(struct vgpu_managed_table) || bytes > PINNED_BYTES_MAX)
		return CUDA_SUCCESS;
	result = variables_make(context, bytes, &variables);
	if (result)
		return result;
	/* What cannot be moved stays with the device, where the program does not reach it. */
	if (host_cuModulePlaceManaged(context, variables->memory.address)) {
		managed_variables_free(variables);
		return CUDA_SUCCESS;
	}
	owner->managed = variables;
	result = table_copy(variables);
	return result ? result : variables_note(variables, owner->object->id);
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

CUresult managed_variables_settle(const struct managed_variables *variables, uint32_t context)
{
	return variables && context ? host_cuCtxSynchronize(context) : CUDA_SUCCESS;
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
	free(variables->table);
	free(variables);
}
