/* SPDX-License-Identifier: Apache-2.0 */
#include "lower.h"
#include "atomic.h"
#include "lower_families.h"

static enum handler handler_choose(enum ptx_space space, bool store, unsigned kind)
{
	static const enum handler loads[4] = {HANDLER_load_generic_b32, HANDLER_load_global_b32,
					      HANDLER_load_shared_b32, HANDLER_load_local_b32};
	static const enum handler stores[4] = {HANDLER_store_generic_b32, HANDLER_store_global_b32,
					       HANDLER_store_shared_b32, HANDLER_store_local_b32};
	unsigned row = space == SPACE_GLOBAL || space == SPACE_CONST ? 1
		       : space == SPACE_SHARED			     ? 2
		       : space == SPACE_LOCAL			     ? 3
								     : 0;

	/* The list in handlers.h has _b32, _b64, _other in this order. */
	return (enum handler)((store ? stores[row] : loads[row]) + kind);
}

/* The registers that a load fills or a store reads: offsets of the elements, all of one width. */
static bool elements_read(struct lower *lower, const struct ptx_operand *operand, unsigned count, enum ptx_type type,
			  bool store, uint32_t *offsets, bool *ret_wide)
{
	bool wide = lower_type_wide(type), found = false;

	for (unsigned i = 0; i < count; i++) {
		const struct ptx_operand *element =
			count == 1 && operand->kind != OPERAND_VECTOR ? operand : &operand->elements[i];

		if (element->kind != OPERAND_REGISTER)
			continue;
		if (element->reg->type == PTX_PRED || element->is_address)
			return lower_invalid(lower, "a register of the wrong type");
		if (found && lower_register_wide(element->reg) != wide)
			return lower_invalid(lower, "registers of different widths");
		wide = lower_register_wide(element->reg);
		found = true;
	}
	for (unsigned i = 0; i < count; i++) {
		const struct ptx_operand *element =
			count == 1 && operand->kind != OPERAND_VECTOR ? operand : &operand->elements[i];

		if (ptx_type_bytes(type) == 8 && !wide)
			return lower_invalid(lower, "a register too narrow");
		if (store ? !lower_source(lower, element, wide && !ptx_type_float(type) ? PTX_B64 : type, &offsets[i])
			  : !lower_destination(lower, element, wide, &offsets[i]))
			return false;
	}
	*ret_wide = wide;
	return true;
}

/* The elements that .v2 and its like announce; 0 for none. */
static unsigned lower_vector_width(struct lower *lower)
{
	return lower_take(lower, "v2") ? 2 : lower_take(lower, "v4") ? 4 : lower_take(lower, "v8") ? 8 : 0;
}

static bool lower_load_store(struct lower *lower, bool store)
{
	enum ptx_space space = lower_take_space(lower);
	const struct ptx_operand *value, *where;
	struct lower_address address = {0};
	uint32_t offsets[PTX_VECTOR_MAX] = {0};
	unsigned count = 1;
	bool wide = false;

	bool polls = lower_take_memory_hints(lower);
	bool hinted = lower_take(lower, "L2::cache_hint");
	unsigned vector = lower_vector_width(lower);
	enum ptx_type type = lower_take_type(lower);

	if (!ptx_type_bytes(type) || type == PTX_B128)
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, 2, hinted ? 3 : 2))
		return false;
	value = lower_operand(lower, store ? 1 : 0);
	where = lower_operand(lower, store ? 0 : 1);
	if (vector != (value->kind == OPERAND_VECTOR ? value->element_count : 0))
		return lower_invalid(lower, "a vector of another size than the instruction says");
	if (vector)
		count = vector;
	if (count * ptx_type_bytes(type) > 32)
		return lower_invalid(lower, "a vector too large");
	if (!elements_read(lower, value, count, type, store, offsets, &wide) ||
	    !lower_address(lower, where, space, &address))
		return false;
	uint32_t *elements = pool_allocate_array(lower->pool, PTX_VECTOR_MAX, sizeof(*elements));

	if (!elements)
		return load_fail(lower->error, ENGINE_ERROR_OUT_OF_MEMORY, lower->statement->line, "out of memory");
	for (unsigned i = 0; i < count; i++)
		elements[i] = offsets[i];
	struct instruction *ins;

	if (address.is_kernel_parameter) {
		if (store)
			return lower_invalid(lower, "a store to a kernel's parameter");
		if (address.is_constant) {
			uint64_t end;

			if (__builtin_add_overflow(address.immediate, (uint64_t)count * ptx_type_bytes(type), &end) ||
			    end > lower->code_function->info.parameter_bytes)
				return lower_invalid(lower, "an address past the parameters");
			ins = lower_emit_handler(lower, HANDLER_load_param);
		} else {
			ins = lower_emit(lower, memory_load_parameter);
		}
	} else {
		unsigned kind = ptx_type_bytes(type) == 4 && !wide ? 0 : ptx_type_bytes(type) == 8 ? 1 : 2;

		ins = lower_emit_handler(lower, handler_choose(address.space, store, kind));
	}
	if (!ins)
		return false;
	ins->d = offsets[0];
	ins->a = address.base;
	ins->immediate = address.immediate;
	ins->elements = elements;
	ins->count = (uint8_t)count;
	ins->type = (uint8_t)type;
	ins->type2 = (uint8_t)ptx_type_bytes(type);
	ins->space = (uint8_t)address.space;
	ins->wide = (uint8_t)((address.wide ? WIDE_ADDRESS : 0) | (wide ? WIDE_D : 0));
	return store || !polls || lower_emit(lower, control_poll) != NULL;
}

static bool lower_ld(struct lower *lower)
{
	return lower_load_store(lower, false);
}

static bool lower_st(struct lower *lower)
{
	return lower_load_store(lower, true);
}

static uint64_t window_of(enum ptx_space space)
{
	switch (space) {
	case SPACE_SHARED:
		return WINDOW_SHARED;
	case SPACE_LOCAL:
		return WINDOW_LOCAL;
	case SPACE_PARAM:
		return WINDOW_PARAM;
	default:
		return 0;
	}
}

/* Generic addresses of the other spaces are a window's base and the offset. */
static bool lower_cvta(struct lower *lower)
{
	bool to = lower_take(lower, "to");
	enum ptx_space space = lower_take_space(lower);
	enum ptx_type type = lower_take_type(lower);
	uint32_t d, a, window;

	if (type != PTX_U64 || space == SPACE_GENERIC)
		return lower_unsupported(lower);
	if (space == SPACE_PARAM && !lower->function->is_entry)
		space = SPACE_LOCAL;
	if (!lower_operand_count(lower, 2, 2) || !lower_source(lower, lower_operand(lower, 1), type, &a) ||
	    !lower_constant(lower, to ? 0 - window_of(space) : window_of(space), true, &window) ||
	    !lower_destination(lower, lower_operand(lower, 0), true, &d))
		return false;
	struct instruction *ins = lower_emit_handler(lower, window_of(space) ? HANDLER_add_b64 : HANDLER_mov_b64);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	ins->b = window;
	return true;
}

static bool lower_isspacep(struct lower *lower)
{
	enum ptx_space space = lower_take_space(lower);
	bool cluster = lower_take(lower, "shared::cluster");
	uint32_t d, a;
	const struct ptx_operand *operand;

	if (!lower_operand_count(lower, 2, 2))
		return false;
	operand = lower_operand(lower, 1);
	if (operand->kind != OPERAND_REGISTER || !lower_register_wide(operand->reg))
		return lower_unsupported(lower);
	if (!lower_source(lower, operand, PTX_U64, &a) ||
	    !lower_predicate_destination(lower, lower_operand(lower, 0), &d))
		return false;
	struct instruction *ins = lower_emit(lower, memory_address_test);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	ins->wide = WIDE_A;
	ins->space = (uint8_t)(cluster ? SPACE_SHARED : space);
	return true;
}

static bool lower_nothing(struct lower *lower)
{
	for (uint32_t i = 0; i < lower->statement->modifier_count; i++)
		lower->modifiers_taken |= 1u << i;
	return lower_emit(lower, control_nothing) != NULL;
}

static bool lower_fence(struct lower *lower)
{
	static const char *const modifiers[] = {"sc",	   "acq_rel", "acquire", "release", "cta",
						"cluster", "gpu",     "gl",	 "sys"};

	for (size_t i = 0; i < sizeof(modifiers) / sizeof(*modifiers); i++)
		lower_take(lower, modifiers[i]);
	/* Proxies have no other path to memory here. */
	if (lower_take(lower, "proxy")) {
		lower_take(lower, "async");
		lower_take(lower, "alias");
		lower_take(lower, "async::global");
		lower_take(lower, "async::generic");
		lower_take(lower, "async::shared::cta");
	}
	return lower_operand_count(lower, 0, 0) && lower_emit(lower, control_fence) != NULL;
}

static bool atomic_operation_find(struct lower *lower, enum atomic_operation *ret_operation)
{
	static const struct {
		const char *name;
		enum atomic_operation operation;
	} operations[] = {
		{"add", ATOMIC_ADD}, {"min", ATOMIC_MIN},   {"max", ATOMIC_MAX}, {"and", ATOMIC_AND},
		{"or", ATOMIC_OR},   {"xor", ATOMIC_XOR},   {"inc", ATOMIC_INC}, {"dec", ATOMIC_DEC},
		{"cas", ATOMIC_CAS}, {"exch", ATOMIC_EXCH},
	};

	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++) {
		if (!lower_take(lower, operations[i].name))
			continue;
		*ret_operation = operations[i].operation;
		return true;
	}
	return lower_unsupported(lower);
}

static bool lower_atomic(struct lower *lower, bool reduction)
{
	enum ptx_space space = lower_take_space(lower);
	enum atomic_operation operation = ATOMIC_ADD;
	struct lower_address address = {0};
	unsigned first = reduction ? 0 : 1;
	uint32_t d = 0, b, c = 0;

	lower_take_memory_hints(lower);
	lower_take(lower, "noftz");
	if (!atomic_operation_find(lower, &operation))
		return false;
	enum ptx_type type = lower_take_type(lower);
	bool wide = lower_type_wide(type), compare = operation == ATOMIC_CAS;

	if (!atomic_supports(operation, type))
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, first + (compare ? 3 : 2), first + (compare ? 3 : 2)) ||
	    !lower_address(lower, lower_operand(lower, first), space, &address) ||
	    !lower_source(lower, lower_operand(lower, first + 1), type, &b) ||
	    (compare && !lower_source(lower, lower_operand(lower, first + 2), type, &c)) ||
	    (!reduction && !lower_destination(lower, lower_operand(lower, 0), wide, &d)))
		return false;
	if (address.is_kernel_parameter)
		return lower_invalid(lower, "an atomic on parameters");
	struct instruction *ins = lower_emit(lower, atomic_run);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = address.base;
	ins->immediate = address.immediate;
	ins->b = b;
	ins->c = c;
	ins->op = (uint8_t)operation;
	ins->type = (uint8_t)type;
	ins->space = (uint8_t)address.space;
	ins->wide = (uint8_t)((address.wide ? WIDE_ADDRESS : 0) | (wide ? WIDE_D : 0));
	return true;
}

static bool lower_atom(struct lower *lower)
{
	return lower_atomic(lower, false);
}

static bool lower_red(struct lower *lower)
{
	return lower_atomic(lower, true);
}

/* cp.async copies at once; its groups and waits then have nothing to wait for. */
static bool lower_cp(struct lower *lower)
{
	struct lower_address to = {0}, from = {0};
	uint32_t count = 0;
	uint64_t bytes;

	if (!lower_take(lower, "async"))
		return lower_unsupported(lower);
	if (lower_take(lower, "commit_group") || lower_take(lower, "wait_all"))
		return lower_operand_count(lower, 0, 0) && lower_emit(lower, control_nothing) != NULL;
	if (lower_take(lower, "wait_group"))
		return lower_operand_count(lower, 1, 1) && lower_emit(lower, control_nothing) != NULL;
	lower_take_memory_hints(lower);
	if ((!lower_take(lower, "shared") && !lower_take(lower, "shared::cta")) || !lower_take(lower, "global"))
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, 3, 4) || lower_operand(lower, 2)->kind != OPERAND_INTEGER)
		return lower_unsupported(lower);
	bytes = lower_operand(lower, 2)->value;
	if (bytes != 4 && bytes != 8 && bytes != 16)
		return lower_invalid(lower, "a bad number of bytes");
	if (!lower_address(lower, lower_operand(lower, 0), SPACE_SHARED, &to) ||
	    !lower_address(lower, lower_operand(lower, 1), SPACE_GLOBAL, &from))
		return false;
	if (lower->statement->operand_count == 4) {
		const struct ptx_operand *operand = lower_operand(lower, 3);

		if (operand->kind == OPERAND_REGISTER && operand->reg->type == PTX_PRED)
			return lower_unsupported(lower);
		if (!lower_source(lower, operand, PTX_U32, &count))
			return false;
	}
	struct instruction *ins = lower_emit(lower, memory_copy);

	if (!ins)
		return false;
	ins->d = to.base;
	ins->immediate = to.immediate;
	ins->a = from.base;
	ins->extra = (const void *)(uintptr_t)from.immediate;
	ins->b = count;
	ins->type2 = (uint8_t)bytes;
	ins->wide = (uint8_t)((to.wide ? WIDE_D : 0) | (from.wide ? WIDE_A : 0));
	return true;
}

const struct lower_entry lower_memory_opcodes[] = {
	{"ld", lower_ld, false},
	{"ldu", lower_ld, false},
	{"st", lower_st, false},
	{"cvta", lower_cvta, false},
	{"isspacep", lower_isspacep, false},
	{"prefetch", lower_nothing, false},
	{"prefetchu", lower_nothing, false},
	{"applypriority", lower_nothing, false},
	{"discard", lower_nothing, false},
	{"fence", lower_fence, false},
	{"membar", lower_fence, false},
	{"atom", lower_atom, false},
	{"red", lower_red, false},
	{"cp", lower_cp, false},
	{NULL, NULL, false},
};
