/* SPDX-License-Identifier: Apache-2.0 */
/* What lowering functions build instructions from: operands, constants, temporaries, labels. */
#include "lower.h"
#include "special.h"

#include <string.h>

enum {
	CODE_COUNT_MAX = 1 << 22,
};

const struct ptx_operand *lower_operand(const struct lower *lower, uint32_t index)
{
	return &lower->statement->operands[index];
}

bool lower_type_wide(enum ptx_type type)
{
	return ptx_type_bytes(type) == 8;
}

bool lower_register_wide(const struct ptx_register *reg)
{
	return lower_type_wide(reg->type);
}

struct instruction *lower_emit(struct lower *lower, exec_handler run)
{
	void *code = lower->code;

	if (lower->code_count >= CODE_COUNT_MAX) {
		lower_no_memory(lower);
		return NULL;
	}
	if (!lower_array_grow(lower, &code, lower->code_count, &lower->code_capacity, sizeof(*lower->code)))
		return NULL;
	lower->code = code;
	struct instruction *ins = &lower->code[lower->code_count++];

	*ins = (struct instruction){.run = run, .line = lower->statement ? lower->statement->line : 0};
	return ins;
}

struct instruction *lower_emit_handler(struct lower *lower, enum handler handler)
{
	return lower_emit(lower, lower->table->handlers[handler]);
}

static bool frame_reserve(struct lower *lower, uint32_t bytes, uint32_t *ret_offset)
{
	if (lower->frame_bytes > LOWER_FRAME_BYTES_MAX)
		return lower_no_memory(lower);
	*ret_offset = lower->frame_bytes;
	lower->frame_bytes += bytes;
	return true;
}

bool lower_constant(struct lower *lower, uint64_t bits, bool wide, uint32_t *ret_offset)
{
	void *constants = lower->constants;

	if (!wide)
		bits = (uint32_t)bits;
	for (uint32_t i = lower->constant_count; i-- > 0;) {
		const struct lower_constant *constant = &lower->constants[i];

		if (constant->bits == bits && constant->wide == wide) {
			*ret_offset = constant->offset;
			return true;
		}
		/* Far back a search costs more than a second copy. */
		if (lower->constant_count - i > LOWER_CONSTANT_BUCKETS)
			break;
	}
	if (!lower_array_grow(lower, &constants, lower->constant_count, &lower->constant_capacity,
			      sizeof(*lower->constants)))
		return false;
	lower->constants = constants;
	struct lower_constant *constant = &lower->constants[lower->constant_count];

	constant->bits = bits;
	constant->wide = wide;
	if (!frame_reserve(lower, wide ? LANES64_BYTES : LANES32_BYTES, &constant->offset))
		return false;
	lower->constant_count++;
	*ret_offset = constant->offset;
	return true;
}

/* Of 64-bit lanes; until the statement's end. */
static bool lower_temporary(struct lower *lower, uint32_t *ret_offset)
{
	if (lower->temporaries_used == LOWER_TEMPORARIES)
		return lower_invalid(lower, "too many operands");
	uint32_t *temporary = &lower->temporaries[lower->temporaries_used];

	if (!*temporary && !frame_reserve(lower, LANES64_BYTES, temporary))
		return false;
	lower->temporaries_used++;
	*ret_offset = *temporary;
	return true;
}

bool lower_temporary_predicate(struct lower *lower, uint32_t *ret_offset)
{
	if (!lower->temporary_predicate && !frame_reserve(lower, 64, &lower->temporary_predicate))
		return false;
	*ret_offset = lower->temporary_predicate;
	return true;
}

bool lower_special(struct lower *lower, unsigned special, uint32_t *ret_offset)
{
	void *specials = lower->specials;

	for (uint32_t i = 0; i < lower->special_count; i++) {
		if (lower->specials[i].special == special) {
			*ret_offset = lower->specials[i].offset;
			return true;
		}
	}
	if (special >= SPECIAL_FIXED_COUNT) {
		uint32_t temporary = 0;

		if (!lower_temporary(lower, &temporary))
			return false;
		struct instruction *ins = lower_emit(lower, control_special);

		if (!ins)
			return false;
		ins->d = temporary;
		ins->op = (uint8_t)special;
		ins->wide = special_is_wide(special) ? WIDE_D : 0;
		*ret_offset = temporary;
		return true;
	}
	if (!lower_array_grow(lower, &specials, lower->special_count, &lower->special_capacity,
			      sizeof(*lower->specials)))
		return false;
	lower->specials = specials;
	struct frame_special *entry = &lower->specials[lower->special_count];

	entry->special = special;
	if (!frame_reserve(lower, special_is_wide(special) ? LANES64_BYTES : LANES32_BYTES, &entry->offset))
		return false;
	lower->special_count++;
	*ret_offset = entry->offset;
	return true;
}

static bool lower_resize(struct lower *lower, uint32_t *offset, bool from_wide, bool to_wide)
{
	uint32_t temporary = 0;

	if (from_wide == to_wide)
		return true;
	if (!lower_temporary(lower, &temporary))
		return false;
	struct instruction *ins = lower_emit_handler(lower, to_wide ? HANDLER_widen_u32 : HANDLER_narrow_b64);

	if (!ins)
		return false;
	ins->a = *offset;
	ins->d = temporary;
	*offset = temporary;
	return true;
}

static uint64_t immediate_convert(const struct ptx_operand *operand, enum ptx_type type)
{
	uint64_t value = operand->value;
	uint32_t bits32 = (uint32_t)value;
	double wide;
	float narrow;

	if (operand->kind == OPERAND_FLOAT64 && ptx_type_bytes(type) == 4) {
		memcpy(&wide, &value, sizeof(wide));
		narrow = (float)wide;
		memcpy(&bits32, &narrow, sizeof(bits32));
		return bits32;
	}
	if (operand->kind == OPERAND_FLOAT32 && type == PTX_F64) {
		memcpy(&narrow, &bits32, sizeof(narrow));
		wide = narrow;
		memcpy(&value, &wide, sizeof(value));
		return value;
	}
	if (operand->kind == OPERAND_INTEGER && type == PTX_F32) {
		narrow = (float)(int64_t)value;
		memcpy(&bits32, &narrow, sizeof(bits32));
		return bits32;
	}
	if (operand->kind == OPERAND_INTEGER && type == PTX_F64) {
		wide = (double)(int64_t)value;
		memcpy(&value, &wide, sizeof(value));
		return value;
	}
	return value;
}

static bool lower_source_variable(struct lower *lower, const struct ptx_operand *operand, bool wide,
				  uint32_t *ret_offset)
{
	struct lower_address address;
	uint32_t temporary = 0, constant = 0;

	if (!lower_variable_address(lower, operand->variable, &address))
		return false;
	address.immediate += operand->value;
	if (!address.base)
		return lower_constant(lower, address.immediate, wide, ret_offset);
	if (!lower_resize(lower, &address.base, address.wide, wide))
		return false;
	if (!address.immediate) {
		*ret_offset = address.base;
		return true;
	}
	if (!lower_constant(lower, address.immediate, wide, &constant) || !lower_temporary(lower, &temporary))
		return false;
	struct instruction *ins = lower_emit_handler(lower, wide ? HANDLER_add_b64 : HANDLER_add_b32);

	if (!ins)
		return false;
	ins->d = temporary;
	ins->a = address.base;
	ins->b = constant;
	*ret_offset = temporary;
	return true;
}

bool lower_source(struct lower *lower, const struct ptx_operand *operand, enum ptx_type type, uint32_t *ret_offset)
{
	bool wide = lower_type_wide(type);

	if (operand->is_address || operand->negated)
		return lower_invalid(lower, "an operand of the wrong kind");
	switch (operand->kind) {
	case OPERAND_REGISTER:
		if (operand->reg->type == PTX_PRED || operand->second || operand->second_sink ||
		    lower_register_wide(operand->reg) != wide)
			return lower_invalid(lower, "a register of the wrong type");
		*ret_offset = operand->reg->offset;
		return true;
	case OPERAND_INTEGER:
	case OPERAND_FLOAT32:
	case OPERAND_FLOAT64:
		return lower_constant(lower, immediate_convert(operand, type), wide, ret_offset);
	case OPERAND_SPECIAL:
		return lower_special(lower, operand->special, ret_offset) &&
		       lower_resize(lower, ret_offset, special_is_wide(operand->special), wide);
	case OPERAND_VARIABLE:
		return lower_source_variable(lower, operand, wide, ret_offset);
	case OPERAND_FUNCTION: {
		const struct ptx_function *function = operand->function;

		if (function->definition)
			function = function->definition;
		if (!function->has_body)
			return load_fail(lower->error, ENGINE_ERROR_UNRESOLVED, lower->statement->line,
					 "function '%s' is not defined", function->name);
		return lower_constant(lower, WINDOW_FUNCTION + function->call_target_index, wide, ret_offset);
	}
	case OPERAND_NAME:
		return load_fail(lower->error, ENGINE_ERROR_INVALID_PTX, lower->statement->line, "unknown name '%.*s'",
				 operand->name.length < 80 ? (int)operand->name.length : 80, operand->name.text);
	default:
		return lower_invalid(lower, "an operand of the wrong kind");
	}
}

bool lower_destination(struct lower *lower, const struct ptx_operand *operand, bool wide, uint32_t *ret_offset)
{
	if (operand->kind == OPERAND_SINK) {
		/* A register that nobody reads. */
		return lower_temporary(lower, ret_offset);
	}
	if (operand->kind != OPERAND_REGISTER || operand->is_address || operand->negated ||
	    operand->reg->type == PTX_PRED || lower_register_wide(operand->reg) != wide)
		return lower_invalid(lower, "a destination of the wrong type");
	*ret_offset = operand->reg->offset;
	return true;
}

bool lower_predicate(struct lower *lower, const struct ptx_operand *operand, uint32_t *ret_offset, bool *ret_negated)
{
	if (operand->kind == OPERAND_INTEGER && !operand->is_address) {
		/* A constant of all lanes is a mask of all ones or none, as predicates are. */
		*ret_negated = operand->negated;
		return lower_constant(lower, operand->value ? UINT32_MAX : 0, false, ret_offset);
	}
	if (operand->kind != OPERAND_REGISTER || operand->is_address || operand->reg->type != PTX_PRED ||
	    operand->second)
		return lower_invalid(lower, "expected a predicate");
	*ret_offset = operand->reg->offset;
	*ret_negated = operand->negated;
	return true;
}

bool lower_predicate_destination(struct lower *lower, const struct ptx_operand *operand, uint32_t *ret_offset)
{
	if (operand->kind == OPERAND_SINK)
		return lower_temporary_predicate(lower, ret_offset);
	if (operand->kind != OPERAND_REGISTER || operand->is_address || operand->negated ||
	    operand->reg->type != PTX_PRED)
		return lower_invalid(lower, "expected a predicate");
	*ret_offset = operand->reg->offset;
	return true;
}

bool lower_label_find(struct lower *lower, const struct ptx_operand *operand, struct ptx_label **ret_label)
{
	struct ptx_symbol *symbol;

	if (operand->kind != OPERAND_NAME || operand->is_address)
		return lower_invalid(lower, "expected a label");
	symbol = ptx_symbol_find(lower->function->unit, lower->statement->scope, operand->name.text,
				 operand->name.length);
	if (!symbol || symbol->kind != SYMBOL_LABEL)
		return lower_invalid(lower, "an unknown label");
	*ret_label = symbol->label;
	return true;
}

bool lower_fixup_add(struct lower *lower, uint32_t instruction, struct ptx_label *label, uint32_t code)
{
	void *fixups = lower->fixups;

	if (!lower_array_grow(lower, &fixups, lower->fixup_count, &lower->fixup_capacity, sizeof(*lower->fixups)))
		return false;
	lower->fixups = fixups;
	lower->fixups[lower->fixup_count++] =
		(struct lower_fixup){.instruction = instruction, .label = label, .code = code};
	return true;
}

bool lower_table_fixup_add(struct lower *lower, struct branch_table *table, uint32_t entry, struct ptx_label *label)
{
	void *fixups = lower->table_fixups;

	if (!lower_array_grow(lower, &fixups, lower->table_fixup_count, &lower->table_fixup_capacity,
			      sizeof(*lower->table_fixups)))
		return false;
	lower->table_fixups = fixups;
	lower->table_fixups[lower->table_fixup_count++] =
		(struct lower_table_fixup){.table = table, .entry = entry, .label = label};
	return true;
}

bool lower_scalar(struct lower *lower, scalar_function function, enum ptx_type result, const enum ptx_type *sources,
		  unsigned source_count, struct instruction **ret_instruction)
{
	uint32_t offsets[3] = {0}, d = 0;
	uint8_t wide = 0;

	if (!lower_operand_count(lower, source_count + 1, source_count + 1))
		return false;
	for (unsigned i = 0; i < source_count; i++) {
		if (!lower_source(lower, lower_operand(lower, i + 1), sources[i], &offsets[i]))
			return false;
		if (lower_type_wide(sources[i]))
			wide |= (uint8_t)(WIDE_A << i);
	}
	if (result == PTX_PRED) {
		if (!lower_predicate_destination(lower, lower_operand(lower, 0), &d))
			return false;
		wide |= RESULT_PREDICATE;
	} else {
		if (!lower_destination(lower, lower_operand(lower, 0), lower_type_wide(result), &d))
			return false;
		wide |= lower_type_wide(result) ? WIDE_D : 0;
	}
	struct instruction *ins = lower_emit(lower, control_scalar);

	if (!ins)
		return false;
	ins->scalar = function;
	ins->d = d;
	ins->a = offsets[0];
	ins->b = offsets[1];
	ins->c = offsets[2];
	ins->wide = wide;
	ins->type = (uint8_t)result;
	if (ret_instruction)
		*ret_instruction = ins;
	return true;
}
