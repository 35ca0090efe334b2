/* SPDX-License-Identifier: Apache-2.0 */
/* Bits within integers, and dot products of bytes. */
#include "lower.h"
#include "lower_families.h"
#include "scalar.h"

static bool integer_is(enum ptx_type type)
{
	return (type >= PTX_U16 && type <= PTX_U64) || (type >= PTX_S16 && type <= PTX_S64);
}

/* d has 32 bits whatever the operand has. */
static bool lower_count_bits(struct lower *lower, scalar_function function)
{
	enum ptx_type type = lower_take_type(lower);
	struct instruction *ins;

	if (type != PTX_B32 && type != PTX_B64)
		return lower_unsupported(lower);
	if (!lower_scalar(lower, function, PTX_U32, &type, 1, &ins))
		return false;
	ins->type = (uint8_t)type;
	return true;
}

static bool lower_popc(struct lower *lower)
{
	if (lower->statement->modifier_count == 1 && token_is(&lower->statement->modifiers[0], "b32")) {
		lower_take_type(lower);
		return lower_emit_unary(lower, HANDLER_popc_b32, PTX_U32, PTX_B32);
	}
	return lower_count_bits(lower, scalar_popc);
}

static bool lower_clz(struct lower *lower)
{
	return lower_count_bits(lower, scalar_clz);
}

static bool lower_brev(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);

	if (type != PTX_B32 && type != PTX_B64)
		return lower_unsupported(lower);
	return lower_scalar(lower, scalar_brev, type, &type, 1, NULL);
}

static bool lower_bfind(struct lower *lower)
{
	bool shift_amount = lower_take(lower, "shiftamt");
	enum ptx_type type = lower_take_type(lower);
	struct instruction *ins;

	if (!integer_is(type) || ptx_type_bytes(type) < 4)
		return lower_unsupported(lower);
	if (!lower_scalar(lower, scalar_bfind, PTX_U32, &type, 1, &ins))
		return false;
	ins->type = (uint8_t)type;
	ins->op = shift_amount;
	return true;
}

static bool lower_fns(struct lower *lower)
{
	const enum ptx_type sources[] = {PTX_B32, PTX_B32, PTX_S32};

	if (lower_take_type(lower) != PTX_B32)
		return lower_unsupported(lower);
	return lower_scalar(lower, scalar_fns, PTX_B32, sources, 3, NULL);
}

static bool lower_sad(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);
	const enum ptx_type sources[] = {type, type, type};

	if (!integer_is(type))
		return lower_unsupported(lower);
	return lower_scalar(lower, scalar_sad, type, sources, 3, NULL);
}

static bool lower_bfe(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);
	const enum ptx_type sources[] = {type, PTX_U32, PTX_U32};

	if (!integer_is(type) || ptx_type_bytes(type) < 4)
		return lower_unsupported(lower);
	return lower_scalar(lower, scalar_bfe, type, sources, 3, NULL);
}

/* Four operands: the length comes in as an immediate's register in guard's stead, see control_scalar4. */
static bool lower_four(struct lower *lower, scalar_function function, enum ptx_type result,
		       const enum ptx_type *sources)
{
	uint32_t offsets[4], d;

	if (!lower_operand_count(lower, 5, 5))
		return false;
	for (unsigned i = 0; i < 4; i++)
		if (!lower_source(lower, lower_operand(lower, i + 1), sources[i], &offsets[i]))
			return false;
	if (!lower_destination(lower, lower_operand(lower, 0), lower_type_wide(result), &d))
		return false;
	struct instruction *ins = lower_emit(lower, scalar4_run);

	if (!ins)
		return false;
	ins->scalar = function;
	ins->d = d;
	ins->a = offsets[0];
	ins->b = offsets[1];
	ins->c = offsets[2];
	ins->q = offsets[3];
	ins->type = (uint8_t)result;
	ins->wide = lower_type_wide(result) ? WIDE_D : 0;
	ins->wide |= lower_type_wide(sources[0]) ? WIDE_A : 0;
	ins->wide |= lower_type_wide(sources[1]) ? WIDE_B : 0;
	return true;
}

static bool lower_bfi(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);
	const enum ptx_type sources[] = {type, type, PTX_U32, PTX_U32};

	if (type != PTX_B32 && type != PTX_B64)
		return lower_unsupported(lower);
	return lower_four(lower, scalar_bfi, type, sources);
}

static bool lower_shf(struct lower *lower)
{
	const enum ptx_type sources[] = {PTX_B32, PTX_B32, PTX_U32};
	bool left = lower_take(lower, "l"), right = lower_take(lower, "r");
	bool wrap = lower_take(lower, "wrap"), clamp = lower_take(lower, "clamp");
	struct instruction *ins;

	if (left == right || wrap == clamp || lower_take_type(lower) != PTX_B32)
		return lower_unsupported(lower);
	if (!lower_scalar(lower, scalar_shf, PTX_B32, sources, 3, &ins))
		return false;
	ins->op = left;
	ins->flags = wrap;
	return true;
}

static bool lower_prmt(struct lower *lower)
{
	static const char *const modes[] = {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"};
	const enum ptx_type sources[] = {PTX_B32, PTX_B32, PTX_B32};
	struct instruction *ins;

	if (lower_take_type(lower) != PTX_B32)
		return lower_unsupported(lower);
	if (!lower_scalar(lower, scalar_prmt, PTX_B32, sources, 3, &ins))
		return false;
	for (unsigned i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (lower_take(lower, modes[i]))
			ins->op = (uint8_t)(i + 1);
	return true;
}

static bool lower_lop3(struct lower *lower)
{
	const enum ptx_type sources[] = {PTX_B32, PTX_B32, PTX_B32};
	uint32_t offsets[3], d;

	if (lower_take_type(lower) != PTX_B32)
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, 5, 5))
		return false;
	for (unsigned i = 0; i < 3; i++)
		if (!lower_source(lower, lower_operand(lower, i + 1), sources[i], &offsets[i]))
			return false;
	if (lower_operand(lower, 4)->kind != OPERAND_INTEGER)
		return lower_invalid(lower, "lop3 needs a constant table");
	if (!lower_destination(lower, lower_operand(lower, 0), false, &d))
		return false;
	struct instruction *ins = lower_emit(lower, control_scalar);

	if (!ins)
		return false;
	ins->scalar = scalar_lop3;
	ins->d = d;
	ins->a = offsets[0];
	ins->b = offsets[1];
	ins->c = offsets[2];
	ins->immediate = lower_operand(lower, 4)->value & 0xff;
	return true;
}

static bool lower_dot_product(struct lower *lower, bool halves)
{
	bool low = lower_take(lower, "lo"), high = lower_take(lower, "hi");
	enum ptx_type a_type = lower_take_type(lower), b_type = lower_take_type(lower);
	const enum ptx_type sources[] = {PTX_B32, PTX_B32, PTX_B32};
	struct instruction *ins;

	if ((a_type != PTX_U32 && a_type != PTX_S32) || (b_type != PTX_U32 && b_type != PTX_S32) ||
	    halves != (low || high))
		return lower_unsupported(lower);
	if (!lower_scalar(lower, halves ? scalar_dp2a : scalar_dp4a, PTX_B32, sources, 3, &ins))
		return false;
	ins->op = high;
	ins->type = (uint8_t)a_type;
	ins->type2 = (uint8_t)b_type;
	return true;
}

static bool lower_dp4a(struct lower *lower)
{
	return lower_dot_product(lower, false);
}

static bool lower_dp2a(struct lower *lower)
{
	return lower_dot_product(lower, true);
}

static bool lower_bmsk_szext(struct lower *lower, scalar_function function)
{
	bool clamp = lower_take(lower, "clamp"), wrap = lower_take(lower, "wrap");
	enum ptx_type type = lower_take_type(lower);
	const enum ptx_type sources[] = {type, PTX_U32};
	struct instruction *ins;

	if (clamp == wrap || ptx_type_bytes(type) != 4)
		return lower_unsupported(lower);
	if (!lower_scalar(lower, function, type, sources, 2, &ins))
		return false;
	ins->flags = wrap;
	return true;
}

static bool lower_bmsk(struct lower *lower)
{
	return lower_bmsk_szext(lower, scalar_bmsk);
}

static bool lower_szext(struct lower *lower)
{
	return lower_bmsk_szext(lower, scalar_szext);
}

const struct lower_entry lower_bits_opcodes[] = {
	{"popc", lower_popc, false},   {"clz", lower_clz, false},   {"brev", lower_brev, false},
	{"bfind", lower_bfind, false}, {"fns", lower_fns, false},   {"sad", lower_sad, false},
	{"bfe", lower_bfe, false},     {"bfi", lower_bfi, false},   {"shf", lower_shf, false},
	{"prmt", lower_prmt, false},   {"lop3", lower_lop3, false}, {"dp4a", lower_dp4a, false},
	{"dp2a", lower_dp2a, false},   {"bmsk", lower_bmsk, false}, {"szext", lower_szext, false},
	{NULL, NULL, false},
};
