/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded modules: what the texts define, where it lies, and the code of every function. */
#ifndef SOFTGPU_MODULE_H
#define SOFTGPU_MODULE_H

#include "exec.h"
#include "ptx.h"

struct engine_module {
	struct engine *engine;
	struct pool *pool;
	struct ptx_unit **units;
	size_t unit_count;
	uint64_t memory; /* one allocation holds every .global and .const variable */
	uint64_t memory_bytes;
	uint64_t constants_begin, constants_end; /* the .const variables in it */
	uint32_t constant_bytes;
	uint32_t common_shared_bytes; /* shared variables that device functions use */
	const struct engine_function **entries;
	size_t entry_count;
	const struct engine_function **call_targets; /* by index; NULL: not defined here */
	uint32_t call_target_count;
};

/* The function whose address a register holds; NULL when it is none. */
const struct engine_function *module_call_target(const struct engine_module *module, uint64_t address);

#endif
