/* SPDX-License-Identifier: Apache-2.0 */
#include "lower.h"
#include "lower_families.h"
#include "scalar.h"

static bool integer_is(enum ptx_type type)
{
	return (type >= PTX_U16 && type <= PTX_U64) || (type >= PTX_S16 && type <= PTX_S64);
}

static bool bits_are(enum ptx_type type)
{
	return type >= PTX_B16 && type <= PTX_B64;
}

bool lower_emit_binary(struct lower *lower, enum handler handler, enum ptx_type d_type, enum ptx_type a_type,
		       enum ptx_type b_type)
{
	uint32_t d, a, b;

	if (!lower_operand_count(lower, 3, 3) || !lower_source(lower, lower_operand(lower, 1), a_type, &a) ||
	    !lower_source(lower, lower_operand(lower, 2), b_type, &b) ||
	    !lower_destination(lower, lower_operand(lower, 0), lower_type_wide(d_type), &d))
		return false;
	struct instruction *ins = lower_emit_handler(lower, handler);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	ins->b = b;
	return true;
}

bool lower_emit_unary(struct lower *lower, enum handler handler, enum ptx_type d_type, enum ptx_type a_type)
{
	uint32_t d, a;

	if (!lower_operand_count(lower, 2, 2) || !lower_source(lower, lower_operand(lower, 1), a_type, &a) ||
	    !lower_destination(lower, lower_operand(lower, 0), lower_type_wide(d_type), &d))
		return false;
	struct instruction *ins = lower_emit_handler(lower, handler);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	return true;
}

bool lower_emit_ternary(struct lower *lower, enum handler handler, enum ptx_type d_type, enum ptx_type a_type,
			enum ptx_type b_type, enum ptx_type c_type)
{
	uint32_t d, a, b, c;

	if (!lower_operand_count(lower, 4, 4) || !lower_source(lower, lower_operand(lower, 1), a_type, &a) ||
	    !lower_source(lower, lower_operand(lower, 2), b_type, &b) ||
	    !lower_source(lower, lower_operand(lower, 3), c_type, &c) ||
	    !lower_destination(lower, lower_operand(lower, 0), lower_type_wide(d_type), &d))
		return false;
	struct instruction *ins = lower_emit_handler(lower, handler);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	ins->b = b;
	ins->c = c;
	return true;
}

static bool lower_carry(struct lower *lower, enum carry_operation operation, enum ptx_type type, unsigned flags)
{
	bool wide = lower_type_wide(type), ternary = operation >= CARRY_MAD_LO;
	uint32_t d, a, b, c = 0;

	if (ptx_type_bytes(type) < 4)
		return lower_unsupported(lower);
	if (!lower_operand_count(lower, ternary ? 4 : 3, ternary ? 4 : 3) ||
	    !lower_source(lower, lower_operand(lower, 1), type, &a) ||
	    !lower_source(lower, lower_operand(lower, 2), type, &b) ||
	    (ternary && !lower_source(lower, lower_operand(lower, 3), type, &c)) ||
	    !lower_destination(lower, lower_operand(lower, 0), wide, &d))
		return false;
	struct instruction *ins = lower_emit(lower, control_carry);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	ins->b = b;
	ins->c = c;
	ins->op = (uint8_t)operation;
	ins->flags = (uint8_t)flags;
	ins->wide = wide ? WIDE_D : 0;
	return true;
}

static bool lower_add_sub(struct lower *lower, bool subtract, bool carry_in)
{
	enum ptx_type type = lower_take_type(lower);
	bool carry_out = lower_take(lower, "cc");

	if (!integer_is(type))
		return carry_in || carry_out ? lower_unsupported(lower)
					     : lower_float_arithmetic(lower, subtract ? FLOAT_SUB : FLOAT_ADD, type);
	if (carry_in || carry_out)
		return lower_carry(lower, subtract ? CARRY_SUB : CARRY_ADD, type,
				   (carry_in ? CARRY_IN : 0) | (carry_out ? CARRY_OUT : 0));
	if (type == PTX_S32 && lower_take(lower, "sat")) {
		const enum ptx_type sources[] = {type, type};

		return lower_scalar(lower, subtract ? scalar_sub_sat_s32 : scalar_add_sat_s32, type, sources, 2, NULL);
	}
	if (lower_type_wide(type))
		return lower_emit_binary(lower, subtract ? HANDLER_sub_b64 : HANDLER_add_b64, type, type, type);
	return lower_emit_binary(lower, subtract ? HANDLER_sub_b32 : HANDLER_add_b32, type, type, type);
}

static bool lower_add(struct lower *lower)
{
	return lower_add_sub(lower, false, false);
}

static bool lower_addc(struct lower *lower)
{
	return lower_add_sub(lower, false, true);
}

static bool lower_sub(struct lower *lower)
{
	return lower_add_sub(lower, true, false);
}

static bool lower_subc(struct lower *lower)
{
	return lower_add_sub(lower, true, true);
}

static enum ptx_type type_doubled(enum ptx_type type)
{
	switch (type) {
	case PTX_U16:
		return PTX_U32;
	case PTX_S16:
		return PTX_S32;
	case PTX_U32:
		return PTX_U64;
	default:
		return PTX_S64;
	}
}

static bool lower_mul(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);

	if (!integer_is(type))
		return lower_float_arithmetic(lower, FLOAT_MUL, type);
	if (lower_take(lower, "wide")) {
		enum handler handler = type == PTX_U16	 ? HANDLER_mulwide_u16
				       : type == PTX_S16 ? HANDLER_mulwide_s16
				       : type == PTX_U32 ? HANDLER_mulwide_u32
							 : HANDLER_mulwide_s32;

		if (lower_type_wide(type))
			return lower_invalid(lower, "mul.wide of 64 bits");
		return lower_emit_binary(lower, handler, type_doubled(type), type, type);
	}
	if (lower_take(lower, "hi")) {
		const enum ptx_type sources[] = {type, type};
		struct instruction *ins;

		if (type == PTX_U32 || type == PTX_S32)
			return lower_emit_binary(lower, type == PTX_U32 ? HANDLER_mulhi_u32 : HANDLER_mulhi_s32, type,
						 type, type);
		if (!lower_scalar(lower, scalar_mul_hi, type, sources, 2, &ins))
			return false;
		ins->type = (uint8_t)type;
		return true;
	}
	if (!lower_take(lower, "lo"))
		return lower_unsupported(lower);
	return lower_emit_binary(lower, lower_type_wide(type) ? HANDLER_mul_b64 : HANDLER_mul_b32, type, type, type);
}

static bool lower_mad_carry(struct lower *lower, bool carry_in)
{
	enum ptx_type type = lower_take_type(lower);
	bool carry_out = lower_take(lower, "cc");
	bool low = lower_take(lower, "lo"), high = lower_take(lower, "hi");

	if (!carry_in && !carry_out) {
		const enum ptx_type sources[] = {type, type, type};

		if (type == PTX_F32 || type == PTX_F64)
			return low || high ? lower_unsupported(lower) : lower_float_arithmetic(lower, FLOAT_FMA, type);
		if (!integer_is(type))
			return lower_unsupported(lower);
		if (low)
			return lower_emit_ternary(lower, lower_type_wide(type) ? HANDLER_mad_b64 : HANDLER_mad_b32,
						  type, type, type, type);
		if (high) {
			if (type == PTX_S32 && lower_take(lower, "sat"))
				return lower_scalar(lower, scalar_mad_hi_sat_s32, type, sources, 3, NULL);
			return lower_scalar(lower, scalar_mul_hi, type, sources, 3, NULL);
		}
		if (!lower_take(lower, "wide") || lower_type_wide(type))
			return lower_unsupported(lower);
		if (ptx_type_bytes(type) == 2)
			return lower_scalar(lower, type == PTX_U16 ? scalar_mad_wide_u16 : scalar_mad_wide_s16,
					    type_doubled(type), sources, 3, NULL);
		return lower_emit_ternary(lower, type == PTX_U32 ? HANDLER_madwide_u32 : HANDLER_madwide_s32,
					  type_doubled(type), type, type, type_doubled(type));
	}
	if (!integer_is(type) || low == high)
		return lower_unsupported(lower);
	return lower_carry(lower, low ? CARRY_MAD_LO : CARRY_MAD_HI, type,
			   (carry_in ? CARRY_IN : 0) | (carry_out ? CARRY_OUT : 0) |
				   (ptx_type_signed(type) ? CARRY_SIGNED : 0));
}

static bool lower_mad(struct lower *lower)
{
	return lower_mad_carry(lower, false);
}

static bool lower_madc(struct lower *lower)
{
	return lower_mad_carry(lower, true);
}

static bool lower_mul24_mad24(struct lower *lower, bool add)
{
	enum ptx_type type = lower_take_type(lower);
	const enum ptx_type sources[] = {type, type, type};
	bool high = lower_take(lower, "hi");
	struct instruction *ins;

	if ((type != PTX_U32 && type != PTX_S32) || (!high && !lower_take(lower, "lo")))
		return lower_unsupported(lower);
	if (!lower_scalar(lower, scalar_mul24, type, sources, add ? 3 : 2, &ins))
		return false;
	ins->op = high;
	/* Without an addend c is the carry flags' place: say so. */
	ins->flags = add;
	return true;
}

static bool lower_mul24(struct lower *lower)
{
	return lower_mul24_mad24(lower, false);
}

static bool lower_mad24(struct lower *lower)
{
	return lower_mul24_mad24(lower, true);
}

static bool lower_div_rem(struct lower *lower, bool remainder)
{
	enum ptx_type type = lower_take_type(lower);
	const enum ptx_type sources[] = {type, type};
	struct instruction *ins;

	if (!integer_is(type))
		return remainder ? lower_unsupported(lower) : lower_float_divide(lower, type);
	if (type == PTX_U32)
		return lower_emit_binary(lower, remainder ? HANDLER_rem_u32 : HANDLER_div_u32, type, type, type);
	if (type == PTX_S32)
		return lower_emit_binary(lower, remainder ? HANDLER_rem_s32 : HANDLER_div_s32, type, type, type);
	if (!lower_scalar(lower, scalar_div_rem, type, sources, 2, &ins))
		return false;
	ins->op = remainder;
	return true;
}

static bool lower_div(struct lower *lower)
{
	return lower_div_rem(lower, false);
}

static bool lower_rem(struct lower *lower)
{
	return lower_div_rem(lower, true);
}

bool lower_logic_predicate(struct lower *lower, enum predicate_operation operation)
{
	bool binary = operation >= PREDICATE_AND && operation <= PREDICATE_XOR, negate_a = false, negate_b = false;
	uint32_t d, a, b = 0;

	if (!lower_operand_count(lower, binary ? 3 : 2, binary ? 3 : 2) ||
	    !lower_predicate(lower, lower_operand(lower, 1), &a, &negate_a) ||
	    (binary && !lower_predicate(lower, lower_operand(lower, 2), &b, &negate_b)) ||
	    !lower_predicate_destination(lower, lower_operand(lower, 0), &d))
		return false;
	struct instruction *ins = lower_emit(lower, control_predicate);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = a;
	ins->b = b;
	ins->invert = negate_a;
	ins->negate_c = negate_b;
	ins->op = (uint8_t)operation;
	return true;
}

static bool lower_logic(struct lower *lower, enum handler narrow, enum handler wide, enum predicate_operation predicate)
{
	enum ptx_type type = lower_take_type(lower);

	if (type == PTX_PRED)
		return lower_logic_predicate(lower, predicate);
	if (!bits_are(type))
		return lower_unsupported(lower);
	return lower_emit_binary(lower, lower_type_wide(type) ? wide : narrow, type, type, type);
}

static bool lower_and(struct lower *lower)
{
	return lower_logic(lower, HANDLER_and_b32, HANDLER_and_b64, PREDICATE_AND);
}

static bool lower_or(struct lower *lower)
{
	return lower_logic(lower, HANDLER_or_b32, HANDLER_or_b64, PREDICATE_OR);
}

static bool lower_xor(struct lower *lower)
{
	return lower_logic(lower, HANDLER_xor_b32, HANDLER_xor_b64, PREDICATE_XOR);
}

static bool lower_not(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);

	if (type == PTX_PRED)
		return lower_logic_predicate(lower, PREDICATE_NOT);
	if (!bits_are(type))
		return lower_unsupported(lower);
	return lower_emit_unary(lower, lower_type_wide(type) ? HANDLER_not_b64 : HANDLER_not_b32, type, type);
}

static bool lower_cnot(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);

	if (!bits_are(type))
		return lower_unsupported(lower);
	return lower_scalar(lower, scalar_cnot, type, &type, 1, NULL);
}

static bool lower_shl(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);

	if (!bits_are(type))
		return lower_unsupported(lower);
	return lower_emit_binary(lower,
				 lower_type_wide(type) ? HANDLER_shl_b64
				 : type == PTX_B16     ? HANDLER_shl_b16
						       : HANDLER_shl_b32,
				 type, type, PTX_U32);
}

static bool lower_shr(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);
	enum handler handler;

	switch (type) {
	case PTX_B16:
	case PTX_U16:
		handler = HANDLER_shr_u16;
		break;
	case PTX_S16:
		handler = HANDLER_shr_s16;
		break;
	case PTX_B32:
	case PTX_U32:
		handler = HANDLER_shr_u32;
		break;
	case PTX_S32:
		handler = HANDLER_shr_s32;
		break;
	case PTX_B64:
	case PTX_U64:
		handler = HANDLER_shr_u64;
		break;
	case PTX_S64:
		handler = HANDLER_shr_s64;
		break;
	default:
		return lower_unsupported(lower);
	}
	return lower_emit_binary(lower, handler, type, type, PTX_U32);
}

static bool lower_min_max(struct lower *lower, bool maximum)
{
	enum ptx_type type = lower_take_type(lower);
	const enum ptx_type sources[] = {type, type};
	struct instruction *ins;

	if (!integer_is(type))
		return lower_float_arithmetic(lower, maximum ? FLOAT_MAX : FLOAT_MIN, type);
	switch (type) {
	case PTX_U32:
		return lower_emit_binary(lower, maximum ? HANDLER_max_u32 : HANDLER_min_u32, type, type, type);
	case PTX_S32:
		return lower_emit_binary(lower, maximum ? HANDLER_max_s32 : HANDLER_min_s32, type, type, type);
	case PTX_U64:
		return lower_emit_binary(lower, maximum ? HANDLER_max_u64 : HANDLER_min_u64, type, type, type);
	case PTX_S64:
		return lower_emit_binary(lower, maximum ? HANDLER_max_s64 : HANDLER_min_s64, type, type, type);
	default:
		if (!lower_scalar(lower, scalar_min_max_16, type, sources, 2, &ins))
			return false;
		ins->op = maximum;
		return true;
	}
}

static bool lower_min(struct lower *lower)
{
	return lower_min_max(lower, false);
}

static bool lower_max(struct lower *lower)
{
	return lower_min_max(lower, true);
}

static bool lower_abs_neg(struct lower *lower, bool absolute)
{
	enum ptx_type type = lower_take_type(lower);

	switch (type) {
	case PTX_S32:
		return lower_emit_unary(lower, absolute ? HANDLER_abs_s32 : HANDLER_neg_b32, type, type);
	case PTX_S64:
		return lower_emit_unary(lower, absolute ? HANDLER_abs_s64 : HANDLER_neg_b64, type, type);
	case PTX_S16:
		if (!absolute)
			return lower_emit_unary(lower, HANDLER_neg_b32, type, type);
		return lower_scalar(lower, scalar_abs_s16, type, &type, 1, NULL);
	default:
		return lower_float_sign(lower, absolute, type);
	}
}

static bool lower_abs(struct lower *lower)
{
	return lower_abs_neg(lower, true);
}

static bool lower_neg(struct lower *lower)
{
	return lower_abs_neg(lower, false);
}

const struct lower_entry lower_integer_opcodes[] = {
	{"add", lower_add, false},   {"addc", lower_addc, false},   {"sub", lower_sub, false},
	{"subc", lower_subc, false}, {"mul", lower_mul, false},	    {"mad", lower_mad, false},
	{"madc", lower_madc, false}, {"mul24", lower_mul24, false}, {"mad24", lower_mad24, false},
	{"div", lower_div, false},   {"rem", lower_rem, false},	    {"and", lower_and, false},
	{"or", lower_or, false},     {"xor", lower_xor, false},	    {"not", lower_not, false},
	{"cnot", lower_cnot, false}, {"shl", lower_shl, false},	    {"shr", lower_shr, false},
	{"min", lower_min, false},   {"max", lower_max, false},	    {"abs", lower_abs, false},
	{"neg", lower_neg, false},   {NULL, NULL, false},
};
