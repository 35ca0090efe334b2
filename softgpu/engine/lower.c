/* SPDX-License-Identifier: Apache-2.0 */
#include "lower.h"
#include "engine_private.h"
#include "registers.h"
#include "special.h"

#include <stdlib.h>
#include <string.h>

enum {
	FRAME_BYTES_MIN = LANES64_BYTES, /* an absent operand reads the frame's start */
	REGISTERS_BASE = 6,
	REGISTERS_MAX = 255,
};

bool lower_unsupported(struct lower *lower)
{
	const struct ptx_statement *statement = lower->statement;
	int length = statement->text_length < 160 ? (int)statement->text_length : 160;

	return load_fail(lower->error, ENGINE_ERROR_UNSUPPORTED_PTX, statement->line,
			 "unsupported instruction '%.*s' in %s", length, statement->text, lower->function->name);
}

bool lower_invalid(struct lower *lower, const char *why)
{
	const struct ptx_statement *statement = lower->statement;
	int length = statement->text_length < 160 ? (int)statement->text_length : 160;

	return load_fail(lower->error, ENGINE_ERROR_INVALID_PTX, statement->line, "%s in '%.*s'", why, length,
			 statement->text);
}

bool lower_no_memory(struct lower *lower)
{
	return load_fail(lower->error, ENGINE_ERROR_OUT_OF_MEMORY, lower->statement ? lower->statement->line : 0,
			 "out of memory");
}

/* Room for one more element; the array is the caller's malloc'd memory. */
bool lower_array_grow(struct lower *lower, void **array, uint32_t count, uint32_t *capacity, size_t element_bytes)
{
	if (count < *capacity)
		return true;
	uint32_t wanted = 64;

	if (*capacity && __builtin_mul_overflow(*capacity, 2u, &wanted))
		return lower_no_memory(lower);
	void *grown = realloc(*array, (size_t)wanted * element_bytes);

	if (!grown)
		return lower_no_memory(lower);
	*array = grown;
	*capacity = wanted;
	return true;
}

static const struct lower_entry *opcode_find(const struct token *name)
{
	static const struct lower_entry *const families[] = {
		lower_memory_opcodes,  lower_integer_opcodes, lower_bits_opcodes,    lower_control_opcodes,
		lower_compare_opcodes, lower_float_opcodes,   lower_convert_opcodes, lower_exchange_opcodes,
		lower_matrix_opcodes,  lower_texture_opcodes, lower_video_opcodes,
	};

	for (size_t f = 0; f < sizeof(families) / sizeof(*families); f++)
		for (const struct lower_entry *entry = families[f]; entry->name; entry++)
			if (token_is(name, entry->name))
				return entry;
	return NULL;
}

static void guard_wrap(struct lower *lower, uint32_t first)
{
	const struct ptx_statement *statement = lower->statement;

	for (uint32_t i = first; i < lower->code_count; i++) {
		struct instruction *ins = &lower->code[i];

		ins->inner = ins->run;
		ins->run = control_guard;
		ins->guard = statement->guard->offset;
		ins->guard_negated = statement->guard_negated;
	}
}

static bool statement_lower(struct lower *lower, const struct ptx_statement *statement)
{
	uint32_t first = lower->code_count;

	lower->statement = statement;
	lower->modifiers_taken = 0;
	lower->temporaries_used = 0;
	if (statement->label) {
		statement->label->defined = true;
		statement->label->code = lower->code_count;
		return lower_emit(lower, control_converge) != NULL;
	}
	const struct lower_entry *entry = opcode_find(&statement->opcode);

	if (!entry)
		return lower_unsupported(lower);
	/* "bra" looks at its guard itself. */
	bool jump_around = statement->guard && entry->is_control && !token_is(&statement->opcode, "bra");

	if (jump_around) {
		struct instruction *ins = lower_emit(lower, control_branch);

		if (!ins)
			return false;
		ins->guard = statement->guard->offset;
		ins->guard_negated = !statement->guard_negated;
	}
	if (!entry->lower(lower))
		return false;
	if (lower->modifiers_taken != (1u << statement->modifier_count) - 1)
		return lower_unsupported(lower);
	if (jump_around)
		return lower_fixup_add(lower, first, NULL, lower->code_count) &&
		       lower_emit(lower, control_converge) != NULL;
	if (statement->guard && !entry->is_control)
		guard_wrap(lower, first);
	return true;
}

static bool lower_finish(struct lower *lower)
{
	struct engine_function *function = lower->code_function;
	struct instruction *code = pool_allocate_array(lower->pool, lower->code_count, sizeof(*code));
	uint32_t image_offset = function->image_offset;
	uint8_t *image = pool_allocate(lower->pool, lower->frame_bytes - image_offset + 1);
	struct frame_special *specials = pool_allocate_array(lower->pool, lower->special_count + 1u, sizeof(*specials));

	if (!code || !image || !specials)
		return lower_no_memory(lower);
	memcpy(code, lower->code, lower->code_count * sizeof(*code));
	for (uint32_t i = 0; i < lower->fixup_count; i++) {
		const struct lower_fixup *fixup = &lower->fixups[i];

		code[fixup->instruction].target = &code[fixup->label ? fixup->label->code : fixup->code];
	}
	for (uint32_t i = 0; i < lower->table_fixup_count; i++) {
		const struct lower_table_fixup *fixup = &lower->table_fixups[i];

		fixup->table->targets[fixup->entry] = &code[fixup->label->code];
	}
	for (uint32_t i = 0; i < lower->constant_count; i++) {
		const struct lower_constant *constant = &lower->constants[i];
		uint8_t *at = image + constant->offset - image_offset;

		for (unsigned lane = 0; lane < WARP_LANES; lane++) {
			if (constant->wide)
				((uint64_t *)(void *)at)[lane] = constant->bits;
			else
				((uint32_t *)(void *)at)[lane] = (uint32_t)constant->bits;
		}
	}
	if (lower->special_count)
		memcpy(specials, lower->specials, lower->special_count * sizeof(*specials));
	function->code = code;
	function->code_count = lower->code_count;
	function->image = image;
	function->image_bytes = lower->frame_bytes - image_offset;
	function->frame_bytes = (lower->frame_bytes + FRAME_BYTES_MIN + 63) & ~63u;
	function->specials = specials;
	function->special_count = lower->special_count;
	function->frame_local_bytes = (lower->local_bytes + 15) & ~15u;
	function->info.static_shared_bytes = lower->shared_bytes;
	return true;
}

static bool local_place(struct lower *lower, struct ptx_variable *variable)
{
	uint64_t offset = (lower->local_bytes + variable->alignment - 1) & ~(variable->alignment - 1);

	/* The largest local memory that a GPU gives a thread is 512 KiB. */
	if (offset + variable->bytes > 512 * 1024)
		return load_fail(lower->error, ENGINE_ERROR_INVALID_PTX, variable->line, "too much local memory");
	variable->address = offset;
	lower->local_bytes = (uint32_t)(offset + variable->bytes);
	return true;
}

static bool variables_place(struct lower *lower)
{
	struct ptx_function *function = lower->function;
	struct engine_function *code = lower->code_function;

	if (!function->is_entry) {
		uint32_t *offsets =
			pool_allocate_array(lower->pool, 2 * ((size_t)function->parameter_count + 1), sizeof(*offsets));

		if (!offsets)
			return lower_no_memory(lower);
		code->argument_offsets = offsets;
		code->argument_bytes = offsets + function->parameter_count + 1;
		for (uint32_t i = 0; i < function->parameter_count; i++) {
			if (!local_place(lower, function->parameters[i]))
				return false;
			offsets[i] = (uint32_t)function->parameters[i]->address;
			offsets[function->parameter_count + 1 + i] = (uint32_t)function->parameters[i]->bytes;
		}
		code->argument_count = function->parameter_count;
		if (function->return_value) {
			if (!local_place(lower, function->return_value))
				return false;
			code->return_offset = (uint32_t)function->return_value->address;
			code->return_bytes = (uint32_t)function->return_value->bytes;
		}
	}
	for (struct ptx_variable *variable = function->locals; variable; variable = variable->next) {
		if (variable->space == SPACE_SHARED) {
			variable->owner = NULL;
			if (variable->bytes && !variable->used_by_device_function &&
			    !lower_shared_place(lower, variable))
				return false;
		} else if (!local_place(lower, variable)) {
			return false;
		}
	}
	return true;
}

static bool function_lower(struct lower *lower)
{
	struct ptx_function *function = lower->function;

	lower->shared_bytes = lower->module->common_shared_bytes;
	lower->code_function->dynamic_shared_alignment = 16;
	if (!variables_place(lower))
		return false;
	lower->frame_bytes = registers_allocate(function, &lower->code_function->info.register_count);
	if (!lower->frame_bytes || lower->frame_bytes > LOWER_FRAME_BYTES_MAX)
		return lower_no_memory(lower);
	/* The GPU's own registers go up to 255; some hold what here are special registers and addresses. */
	lower->code_function->info.register_count += REGISTERS_BASE;
	if (lower->code_function->info.register_count > REGISTERS_MAX)
		lower->code_function->info.register_count = REGISTERS_MAX;
	lower->code_function->image_offset = lower->frame_bytes;
	for (uint32_t i = 0; i < function->statement_count; i++)
		if (!statement_lower(lower, &function->statements[i]))
			return false;
	/* Control that runs off the end returns. */
	if (!lower_emit(lower, control_return))
		return false;
	return lower_finish(lower);
}

bool lower_function(struct engine_module *module, struct ptx_function *function, struct load_error *error)
{
	struct lower lower = {
		.module = module,
		.function = function,
		.code_function = function->code,
		.error = error,
		.pool = module->pool,
		.table = module->engine->table,
	};
	bool lowered = function_lower(&lower);

	free(lower.code);
	free(lower.fixups);
	free(lower.table_fixups);
	free(lower.constants);
	free(lower.specials);
	return lowered;
}
