/* SPDX-License-Identifier: Apache-2.0 */
#include "lower.h"
#include "float_math.h"
#include "lower_families.h"
#include "scalar.h"

static unsigned rounding_take(struct lower *lower)
{
	if (lower_take(lower, "rz"))
		return ROUND_ZERO;
	if (lower_take(lower, "rm"))
		return ROUND_DOWN;
	if (lower_take(lower, "rp"))
		return ROUND_UP;
	lower_take(lower, "rn");
	return ROUND_NEAREST;
}

static bool type_is_half(enum ptx_type type)
{
	return type == PTX_F16 || type == PTX_BF16 || type == PTX_F16X2 || type == PTX_BF16X2;
}

static bool emit_saturation(struct lower *lower, uint32_t d)
{
	struct instruction *ins = lower_emit_handler(lower, HANDLER_saturate_f32);

	if (!ins)
		return false;
	ins->d = d;
	ins->a = d;
	return true;
}

static bool emit_by_count(struct lower *lower, enum handler handler, enum ptx_type type, unsigned sources)
{
	return sources == 1   ? lower_emit_unary(lower, handler, type, type)
	       : sources == 2 ? lower_emit_binary(lower, handler, type, type, type)
			      : lower_emit_ternary(lower, handler, type, type, type, type);
}

/* The general form, a lane at a time. */
static bool emit_scalar_float(struct lower *lower, enum float_operation operation, enum ptx_type type,
			      unsigned rounding, unsigned flags, unsigned sources)
{
	const enum ptx_type types[] = {type, type, type};
	struct instruction *ins;

	if (!lower_scalar(lower,
			  type == PTX_F64   ? scalar_float64
			  : type == PTX_F32 ? scalar_float32
					    : scalar_half,
			  type, types, sources, &ins))
		return false;
	ins->op = (uint8_t)operation;
	ins->rounding = (uint8_t)rounding;
	ins->flags = (uint8_t)flags;
	return true;
}

static bool lower_float32(struct lower *lower, enum float_operation operation, unsigned rounding, unsigned flags,
			  unsigned sources)
{
	static const enum handler plain[] = {
		[FLOAT_ADD] = HANDLER_add_f32, [FLOAT_SUB] = HANDLER_sub_f32, [FLOAT_MUL] = HANDLER_mul_f32,
		[FLOAT_FMA] = HANDLER_fma_f32, [FLOAT_MIN] = HANDLER_min_f32, [FLOAT_MAX] = HANDLER_max_f32,
		[FLOAT_DIV] = HANDLER_div_f32, [FLOAT_RCP] = HANDLER_rcp_f32, [FLOAT_SQRT] = HANDLER_sqrt_f32,
	};
	static const enum handler flushed[] = {
		[FLOAT_ADD] = HANDLER_add_ftz_f32, [FLOAT_SUB] = HANDLER_sub_ftz_f32, [FLOAT_MUL] = HANDLER_mul_ftz_f32,
		[FLOAT_FMA] = HANDLER_fma_ftz_f32, [FLOAT_MIN] = HANDLER_min_ftz_f32, [FLOAT_MAX] = HANDLER_max_ftz_f32,
		[FLOAT_DIV] = HANDLER_div_ftz_f32, [FLOAT_RCP] = HANDLER_rcp_ftz_f32, [FLOAT_SQRT] = HANDLER_sqrt_f32,
	};
	static const enum handler directed[] = {HANDLER_fma_f32, HANDLER_fma_rz_f32, HANDLER_fma_rm_f32,
						HANDLER_fma_rp_f32};
	bool saturate = flags & FLOAT_SAT, ftz = flags & FLOAT_FTZ;
	bool emitted;

	if (flags & ~(unsigned)(FLOAT_SAT | FLOAT_FTZ) || (ftz && operation == FLOAT_SQRT))
		emitted = emit_scalar_float(lower, operation, PTX_F32, rounding, flags & ~(unsigned)FLOAT_SAT, sources);
	else if (rounding == ROUND_NEAREST)
		emitted = emit_by_count(lower, ftz ? flushed[operation] : plain[operation], PTX_F32, sources);
	else if (operation == FLOAT_FMA && !ftz)
		emitted = emit_by_count(lower, directed[rounding], PTX_F32, sources);
	else
		emitted = emit_scalar_float(lower, operation, PTX_F32, rounding, flags & ~(unsigned)FLOAT_SAT, sources);
	if (!emitted)
		return false;
	return !saturate || emit_saturation(lower, lower->code[lower->code_count - 1].d);
}

static bool lower_float_operation(struct lower *lower, enum float_operation operation, enum ptx_type type,
				  unsigned sources)
{
	static const enum handler float64[] = {
		[FLOAT_ADD] = HANDLER_add_f64, [FLOAT_SUB] = HANDLER_sub_f64, [FLOAT_MUL] = HANDLER_mul_f64,
		[FLOAT_FMA] = HANDLER_fma_f64, [FLOAT_MIN] = HANDLER_min_f64, [FLOAT_MAX] = HANDLER_max_f64,
		[FLOAT_DIV] = HANDLER_div_f64, [FLOAT_RCP] = HANDLER_rcp_f64, [FLOAT_SQRT] = HANDLER_sqrt_f64,
	};
	unsigned rounding = rounding_take(lower);
	unsigned flags = (lower_take(lower, "ftz") ? FLOAT_FTZ : 0) | (lower_take(lower, "sat") ? FLOAT_SAT : 0);

	if (operation == FLOAT_MIN || operation == FLOAT_MAX) {
		flags |= lower_take(lower, "NaN") ? FLOAT_NAN : 0;
		if (lower_take(lower, "xorsign"))
			flags |= lower_take(lower, "abs") ? FLOAT_XORSIGN : 0;
	}
	if (type == PTX_F32)
		return lower_float32(lower, operation, rounding, flags, sources);
	if (type == PTX_F64) {
		if (flags)
			return lower_unsupported(lower);
		return rounding == ROUND_NEAREST ? emit_by_count(lower, float64[operation], type, sources)
						 : emit_scalar_float(lower, operation, type, rounding, 0, sources);
	}
	if (!type_is_half(type) || rounding != ROUND_NEAREST || operation > FLOAT_MAX)
		return lower_unsupported(lower);
	if (operation == FLOAT_FMA)
		flags |= lower_take(lower, "relu") ? FLOAT_RELU : 0;
	if (!flags && operation <= FLOAT_FMA) {
		static const enum handler halves[] = {HANDLER_add_f16, HANDLER_sub_f16, HANDLER_mul_f16,
						      HANDLER_fma_f16};
		static const enum handler bfloats[] = {HANDLER_add_bf16, HANDLER_sub_bf16, HANDLER_mul_bf16,
						       HANDLER_fma_bf16};

		return emit_by_count(lower,
				     type == PTX_F16 || type == PTX_F16X2 ? halves[operation] : bfloats[operation],
				     type, sources);
	}
	return emit_scalar_float(lower, operation, type, rounding, flags, sources);
}

bool lower_float_arithmetic(struct lower *lower, enum float_operation operation, enum ptx_type type)
{
	return lower_float_operation(lower, operation, type, operation == FLOAT_FMA ? 3 : 2);
}

static bool lower_fma(struct lower *lower)
{
	return lower_float_arithmetic(lower, FLOAT_FMA, lower_take_type(lower));
}

bool lower_float_divide(struct lower *lower, enum ptx_type type)
{
	if (type == PTX_F32 && !lower_take(lower, "approx"))
		lower_take(lower, "full");
	return ptx_type_bytes(type) >= 4 && ptx_type_float(type) ? lower_float_operation(lower, FLOAT_DIV, type, 2)
								 : lower_unsupported(lower);
}

bool lower_float_sign(struct lower *lower, bool absolute, enum ptx_type type)
{
	bool ftz = lower_take(lower, "ftz");

	if (type == PTX_F64 && !ftz)
		return lower_emit_unary(lower, absolute ? HANDLER_abs_f64 : HANDLER_neg_f64, type, type);
	if (type == PTX_F32 && !ftz)
		return lower_emit_unary(lower, absolute ? HANDLER_abs_f32 : HANDLER_neg_f32, type, type);
	if (type == PTX_F32 || type_is_half(type)) {
		struct instruction *ins;

		if (!lower_scalar(lower, type == PTX_F32 ? scalar_math32 : scalar_half_math, type, &type, 1, &ins))
			return false;
		ins->op = absolute ? MATH_ABS : MATH_NEG;
		ins->flags = ftz ? FLOAT_FTZ : 0;
		return true;
	}
	return lower_unsupported(lower);
}

static bool lower_rcp(struct lower *lower)
{
	bool approximate = lower_take(lower, "approx");
	enum ptx_type type = lower_take_type(lower);

	if (type == PTX_F64 && approximate) {
		struct instruction *ins;

		if (!lower_take(lower, "ftz"))
			return lower_unsupported(lower);
		if (!lower_scalar(lower, scalar_math64, type, &type, 1, &ins))
			return false;
		ins->flags = FLOAT_FTZ;
		ins->op = MATH_RCP;
		return true;
	}
	return ptx_type_float(type) && ptx_type_bytes(type) >= 4 ? lower_float_operation(lower, FLOAT_RCP, type, 1)
								 : lower_unsupported(lower);
}

static bool lower_sqrt(struct lower *lower)
{
	lower_take(lower, "approx");
	enum ptx_type type = lower_take_type(lower);

	return ptx_type_float(type) && ptx_type_bytes(type) >= 4 ? lower_float_operation(lower, FLOAT_SQRT, type, 1)
								 : lower_unsupported(lower);
}

static bool lower_math(struct lower *lower, enum math_function function)
{
	bool approximate = lower_take(lower, "approx"), ftz = lower_take(lower, "ftz");
	enum ptx_type type = lower_take_type(lower);
	struct instruction *ins;

	if (!approximate)
		return lower_unsupported(lower);
	if (type == PTX_F32 && function == MATH_RSQRT)
		return lower_emit_unary(lower, ftz ? HANDLER_rsqrt_ftz_f32 : HANDLER_rsqrt_f32, type, type);
	if (type == PTX_F32 && function == MATH_EX2)
		return lower_emit_unary(lower, ftz ? HANDLER_ex2_ftz_f32 : HANDLER_ex2_f32, type, type);
	if (type == PTX_F64 && function == MATH_RSQRT) {
		if (!lower_scalar(lower, scalar_math64, type, &type, 1, &ins))
			return false;
	} else if (type == PTX_F32) {
		if (!lower_scalar(lower, scalar_math32, type, &type, 1, &ins))
			return false;
	} else if (type_is_half(type) && (function == MATH_EX2 || function == MATH_TANH)) {
		if (!lower_scalar(lower, scalar_half_math, type, &type, 1, &ins))
			return false;
	} else {
		return lower_unsupported(lower);
	}
	ins->op = (uint8_t)function;
	ins->flags = ftz ? FLOAT_FTZ : 0;
	return true;
}

static bool lower_rsqrt(struct lower *lower)
{
	return lower_math(lower, MATH_RSQRT);
}

static bool lower_sin(struct lower *lower)
{
	return lower_math(lower, MATH_SIN);
}

static bool lower_cos(struct lower *lower)
{
	return lower_math(lower, MATH_COS);
}

static bool lower_lg2(struct lower *lower)
{
	return lower_math(lower, MATH_LG2);
}

static bool lower_ex2(struct lower *lower)
{
	return lower_math(lower, MATH_EX2);
}

static bool lower_tanh(struct lower *lower)
{
	return lower_math(lower, MATH_TANH);
}

static bool lower_copysign(struct lower *lower)
{
	enum ptx_type type = lower_take_type(lower);
	const enum ptx_type sources[] = {type, type};

	if (type != PTX_F32 && type != PTX_F64)
		return lower_unsupported(lower);
	return lower_scalar(lower, scalar_copysign, type, sources, 2, NULL);
}

static bool lower_testp(struct lower *lower)
{
	static const char *const tests[] = {"finite", "infinite", "number", "notanumber", "normal", "subnormal"};
	unsigned test = 0;

	while (test < 6 && !lower_take(lower, tests[test]))
		test++;
	enum ptx_type type = lower_take_type(lower);
	struct instruction *ins;

	if (test == 6 || (type != PTX_F32 && type != PTX_F64))
		return lower_unsupported(lower);
	if (!lower_scalar(lower, scalar_testp, PTX_PRED, &type, 1, &ins))
		return false;
	ins->type = (uint8_t)type;
	ins->op = (uint8_t)test;
	return true;
}

const struct lower_entry lower_float_opcodes[] = {
	{"fma", lower_fma, false},	     {"rcp", lower_rcp, false},	    {"sqrt", lower_sqrt, false},
	{"rsqrt", lower_rsqrt, false},	     {"sin", lower_sin, false},	    {"cos", lower_cos, false},
	{"lg2", lower_lg2, false},	     {"ex2", lower_ex2, false},	    {"tanh", lower_tanh, false},
	{"copysign", lower_copysign, false}, {"testp", lower_testp, false}, {NULL, NULL, false},
};
