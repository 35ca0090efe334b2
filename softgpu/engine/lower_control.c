/* SPDX-License-Identifier: Apache-2.0 */
/* mov, jumps, calls and barriers. */
#include "lower.h"
#include "builtin.h"
#include "lower_families.h"
#include "special.h"

#include <string.h>

static bool no_memory(struct lower *lower)
{
	return load_fail(lower->error, ENGINE_ERROR_OUT_OF_MEMORY, lower->statement->line, "out of memory");
}

static bool vector_offsets(struct lower *lower, const struct ptx_operand *vector, bool destination,
			   unsigned element_bits, const uint32_t **ret_offsets)
{
	enum ptx_type type = element_bits == 64 ? PTX_B64 : element_bits == 32 ? PTX_B32 : PTX_B16;
	uint32_t *offsets = pool_allocate_array(lower->pool, PTX_VECTOR_MAX, sizeof(*offsets));

	if (!offsets)
		return no_memory(lower);
	for (uint32_t i = 0; i < vector->element_count; i++) {
		const struct ptx_operand *element = &vector->elements[i];

		if (destination && element->kind == OPERAND_SINK)
			continue;
		if (destination ? !lower_destination(lower, element, element_bits == 64, &offsets[i])
				: !lower_source(lower, element, type, &offsets[i]))
			return false;
	}
	*ret_offsets = offsets;
	return true;
}

static bool lower_mov_vector(struct lower *lower, enum ptx_type type, bool pack)
{
	const struct ptx_operand *vector = lower_operand(lower, pack ? 1 : 0);
	const struct ptx_operand *scalar = lower_operand(lower, pack ? 0 : 1);
	unsigned bits = 8 * ptx_type_bytes(type);
	const uint32_t *offsets = NULL;
	uint32_t offset;

	if ((vector->element_count != 2 && vector->element_count != 4) || bits > 64 || bits / vector->element_count < 8)
		return lower_unsupported(lower);
	if (!vector_offsets(lower, vector, !pack, bits / vector->element_count, &offsets))
		return false;
	if (pack ? !lower_destination(lower, scalar, bits == 64, &offset) : !lower_source(lower, scalar, type, &offset))
		return false;
	struct instruction *ins = lower_emit(lower, pack ? control_pack : control_unpack);

	if (!ins)
		return false;
	ins->d = offset;
	ins->a = offset;
	ins->elements = offsets;
	ins->count = (uint8_t)vector->element_count;
	ins->type2 = (uint8_t)(bits / vector->element_count);
	ins->wide = bits == 64 ? WIDE_D | WIDE_A : 0;
	return true;
}

static bool lower_mov_predicate(struct lower *lower)
{
	return lower_logic_predicate(lower, PREDICATE_MOVE);
}

static bool lower_mov(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);

	if (!lower_operand_count(lower, 2, 2))
		return false;
	if (type == PTX_PRED)
		return lower_mov_predicate(lower);
	if (!ptx_type_bytes(type) || ptx_type_bytes(type) == 1 || type == PTX_B128)
		return lower_unsupported(lower);
	if (lower_operand(lower, 0)->kind == OPERAND_VECTOR)
		return lower_mov_vector(lower, type, false);
	if (lower_operand(lower, 1)->kind == OPERAND_VECTOR)
		return lower_mov_vector(lower, type, true);
	/* Not "mov d, a" of a clock through a temporary alone: the guard covers both instructions. */
	return lower_emit_unary(lower, lower_type_wide(type) ? HANDLER_mov_b64 : HANDLER_mov_b32, type, type);
}

static bool lower_bra(struct lower *lower)
{
	const struct ptx_statement *statement = lower->statement;
	struct ptx_label *label;

	lower_take(lower, "uni");
	if (!lower_operand_count(lower, 1, 1) || !lower_label_find(lower, lower_operand(lower, 0), &label))
		return false;
	uint32_t index = lower->code_count;
	struct instruction *ins = lower_emit(lower, statement->guard ? control_branch : control_jump);

	if (!ins)
		return false;
	if (statement->guard) {
		ins->guard = statement->guard->offset;
		ins->guard_negated = statement->guard_negated;
	}
	return lower_fixup_add(lower, index, label, 0);
}

static bool lower_brx(struct lower *lower)
{
	const struct ptx_operand *list;
	struct ptx_symbol *symbol;
	uint32_t a;

	lower_take(lower, "uni");
	if (!lower_take(lower, "idx") || !lower_operand_count(lower, 2, 2))
		return lower_unsupported(lower);
	list = lower_operand(lower, 1);
	if (!lower_source(lower, lower_operand(lower, 0), PTX_U32, &a) || list->kind != OPERAND_NAME)
		return lower_invalid(lower, "expected a list of targets");
	symbol = ptx_symbol_find(lower->function->unit, lower->statement->scope, list->name.text, list->name.length);
	if (!symbol || symbol->kind != SYMBOL_TARGETS || !symbol->targets->count)
		return lower_invalid(lower, "expected a list of targets");
	const struct ptx_targets *targets = symbol->targets;
	struct branch_table *table =
		pool_allocate(lower->pool, sizeof(*table) + targets->count * sizeof(table->targets[0]));

	if (!table)
		return no_memory(lower);
	table->count = targets->count;
	for (uint32_t i = 0; i < targets->count; i++) {
		struct ptx_operand operand = {.kind = OPERAND_NAME, .name = targets->names[i]};
		struct ptx_label *label;

		if (!lower_label_find(lower, &operand, &label) || !lower_table_fixup_add(lower, table, i, label))
			return false;
	}
	struct instruction *ins = lower_emit(lower, control_branch_table);

	if (!ins)
		return false;
	ins->a = a;
	ins->extra = table;
	return true;
}

static bool call_variable(struct lower *lower, const struct ptx_operand *operand, uint32_t *ret_offset,
			  uint32_t *ret_bytes)
{
	const struct ptx_variable *variable = operand->variable;

	if (operand->kind != OPERAND_VARIABLE || operand->is_address || variable->space != SPACE_PARAM ||
	    variable->is_kernel_parameter || operand->value)
		return lower_unsupported(lower);
	*ret_offset = (uint32_t)variable->address;
	*ret_bytes = (uint32_t)variable->bytes;
	return true;
}

static bool call_site_read(struct lower *lower, const struct ptx_operand *result, const struct ptx_operand *arguments,
			   struct call_site *site)
{
	uint32_t count = arguments ? arguments->element_count : 0;
	uint32_t *offsets = pool_allocate_array(lower->pool, 2 * ((size_t)count + 1), sizeof(*offsets));

	if (!offsets)
		return no_memory(lower);
	site->argument_offsets = offsets;
	site->argument_bytes = offsets + count + 1;
	site->argument_count = count;
	for (uint32_t i = 0; i < count; i++)
		if (!call_variable(lower, &arguments->elements[i], &offsets[i], &offsets[count + 1 + i]))
			return false;
	if (!result || !result->element_count)
		return true;
	if (result->element_count > 1)
		return lower_unsupported(lower);
	return call_variable(lower, &result->elements[0], &site->return_offset, &site->return_bytes);
}

static bool call_direct(struct lower *lower, const struct ptx_function *function, struct call_site *site)
{
	struct instruction *ins;
	uint32_t returned = 0;

	if (function->definition)
		function = function->definition;
	if (!function->has_body) {
		enum builtin builtin = builtin_find(function->name);

		if (builtin == BUILTIN_NONE)
			return load_fail(lower->error, ENGINE_ERROR_UNRESOLVED, lower->statement->line,
					 "function '%s' is not defined", function->name);
		if (!builtin_arguments_fit(builtin, site->argument_count, site->return_bytes, site->argument_bytes))
			return lower_invalid(lower, "arguments that the function does not take");
		ins = lower_emit(lower, control_call_builtin);
		if (!ins)
			return false;
		ins->op = (uint8_t)builtin;
		ins->extra = site;
		return true;
	}
	if (function->is_entry)
		return lower_unsupported(lower);
	returned = function->return_value ? (uint32_t)function->return_value->bytes : 0;
	if (site->argument_count != function->parameter_count || site->return_bytes > returned)
		return lower_invalid(lower, "arguments that the function does not take");
	for (uint32_t i = 0; i < site->argument_count; i++)
		if (site->argument_bytes[i] != function->parameters[i]->bytes)
			return lower_invalid(lower, "arguments that the function does not take");
	ins = lower_emit(lower, control_call);
	if (!ins)
		return false;
	site->callee = function->code;
	ins->extra = site;
	lower->code_function->makes_calls = true;
	return true;
}

static bool lower_call(struct lower *lower)
{
	const struct ptx_statement *statement = lower->statement;
	const struct ptx_operand *result = NULL, *arguments = NULL, *target;
	uint32_t at = 0;
	struct call_site *site = pool_allocate(lower->pool, sizeof(*site));

	lower_take(lower, "uni");
	if (!site)
		return no_memory(lower);
	if (at < statement->operand_count && statement->operands[at].kind == OPERAND_LIST)
		result = &statement->operands[at++];
	if (at >= statement->operand_count)
		return lower_invalid(lower, "a call of nothing");
	target = &statement->operands[at++];
	if (at < statement->operand_count && statement->operands[at].kind == OPERAND_LIST)
		arguments = &statement->operands[at++];
	/* What may follow, a prototype or a list of targets, says nothing that the arguments do not. */
	if (at < statement->operand_count && statement->operands[at].kind == OPERAND_NAME)
		at++;
	if (at != statement->operand_count)
		return lower_invalid(lower, "a wrong number of operands");
	if (!call_site_read(lower, result, arguments, site))
		return false;
	if (target->kind == OPERAND_FUNCTION)
		return call_direct(lower, target->function, site);
	uint32_t a;

	if (target->kind != OPERAND_REGISTER || !lower_source(lower, target, PTX_U64, &a))
		return lower_invalid(lower, "a call of something that is no function");
	struct instruction *ins = lower_emit(lower, control_call_indirect);

	if (!ins)
		return false;
	ins->a = a;
	ins->extra = site;
	lower->code_function->makes_calls = true;
	return true;
}

static bool lower_plain(struct lower *lower, exec_handler run)
{
	return lower_operand_count(lower, 0, 0) && lower_emit(lower, run) != NULL;
}

static bool lower_ret(struct lower *lower)
{
	lower_take(lower, "uni");
	return lower_plain(lower, control_return);
}

static bool lower_exit(struct lower *lower)
{
	return lower_plain(lower, control_exit);
}

static bool lower_trap(struct lower *lower)
{
	return lower_plain(lower, control_trap);
}

static bool lower_brkpt(struct lower *lower)
{
	return lower_plain(lower, control_nothing);
}

static bool lower_nanosleep(struct lower *lower)
{
	uint32_t a;

	if (lower_take_type(lower) != PTX_U32)
		return lower_unsupported(lower);
	return lower_operand_count(lower, 1, 1) && lower_source(lower, lower_operand(lower, 0), PTX_U32, &a) &&
	       lower_emit(lower, control_sleep) != NULL;
}

static bool lower_hint(struct lower *lower)
{
	return lower_emit(lower, control_nothing) != NULL;
}

/* bar.warp.sync is the warp's own. */
static bool lower_bar_warp(struct lower *lower)
{
	uint32_t members;

	if (!lower_take(lower, "sync") || !lower_operand_count(lower, 1, 1) ||
	    !lower_source(lower, lower_operand(lower, 0), PTX_B32, &members))
		return lower_unsupported(lower);
	struct instruction *ins = lower_emit(lower, exchange_warp_sync);

	if (!ins)
		return false;
	ins->guard = members;
	ins->flags = 1;
	return true;
}

/* Clusters are of one block, so that their barrier is the block's; arrive and wait are one there. */
static bool lower_barrier_cluster(struct lower *lower)
{
	bool arrive = lower_take(lower, "arrive"), wait = lower_take(lower, "wait");
	uint32_t zero, id;

	lower_take(lower, "release");
	lower_take(lower, "relaxed");
	lower_take(lower, "acquire");
	lower_take(lower, "aligned");
	if (arrive == wait)
		return lower_unsupported(lower);
	if (arrive)
		return lower_emit(lower, control_fence) != NULL;
	if (!lower_constant(lower, 0, false, &zero) || !lower_constant(lower, BARRIER_COUNT - 1, false, &id))
		return false;
	struct instruction *ins = lower_emit(lower, barrier_sync);

	if (!ins)
		return false;
	ins->a = id;
	ins->b = zero;
	ins->op = BARRIER_SYNC;
	return true;
}

static bool lower_bar(struct lower *lower)
{
	enum barrier_operation operation = BARRIER_SYNC;
	uint32_t id, threads, d = 0, predicate = 0, at = 0;
	bool negated = false;

	if (lower_take(lower, "warp"))
		return lower_bar_warp(lower);
	if (lower_take(lower, "cluster"))
		return lower_barrier_cluster(lower);
	lower_take(lower, "cta");
	lower_take(lower, "aligned");
	if (lower_take(lower, "arrive")) {
		operation = BARRIER_ARRIVE;
	} else if (lower_take(lower, "red")) {
		operation = lower_take(lower, "popc")  ? BARRIER_POPC
			    : lower_take(lower, "and") ? BARRIER_AND
						       : BARRIER_OR;
		if (operation == BARRIER_OR && !lower_take(lower, "or"))
			return lower_unsupported(lower);
		lower_take_type(lower);
		if (!lower_operand_count(lower, 3, 4))
			return false;
		if (operation == BARRIER_POPC ? !lower_destination(lower, lower_operand(lower, 0), false, &d)
					      : !lower_predicate_destination(lower, lower_operand(lower, 0), &d))
			return false;
		at = 1;
		if (!lower_predicate(lower, lower_operand(lower, lower->statement->operand_count - 1), &predicate,
				     &negated))
			return false;
	} else if (!lower_take(lower, "sync")) {
		return lower_unsupported(lower);
	} else if (!lower_operand_count(lower, 1, 2)) {
		return false;
	}
	bool counted = lower->statement->operand_count - (operation >= BARRIER_POPC) > at + 1;

	if (operation == BARRIER_ARRIVE && !lower_operand_count(lower, 2, 2))
		return false;
	if (!lower_source(lower, lower_operand(lower, at), PTX_U32, &id))
		return false;
	if (counted ? !lower_source(lower, lower_operand(lower, at + 1), PTX_U32, &threads)
		    : !lower_constant(lower, 0, false, &threads))
		return false;
	struct instruction *ins = lower_emit(lower, barrier_sync);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = id;
	ins->b = threads;
	ins->c = predicate;
	ins->negate_c = negated;
	ins->op = (uint8_t)operation;
	return true;
}

const struct lower_entry lower_control_opcodes[] = {
	{"mov", lower_mov, false},	{"bra", lower_bra, true},	   {"brx", lower_brx, true},
	{"call", lower_call, true},	{"ret", lower_ret, true},	   {"exit", lower_exit, true},
	{"trap", lower_trap, true},	{"brkpt", lower_brkpt, false},	   {"nanosleep", lower_nanosleep, false},
	{"pmevent", lower_hint, false}, {"setmaxnreg", lower_hint, false}, {"griddepcontrol", lower_hint, false},
	{"bar", lower_bar, true},	{"barrier", lower_bar, true},	   {NULL, NULL, false},
};
