/* SPDX-License-Identifier: Apache-2.0 */
/* What one family of opcodes asks of another. */
#ifndef SOFTGPU_LOWER_FAMILIES_H
#define SOFTGPU_LOWER_FAMILIES_H

#include "lower.h"

enum float_operation {
	FLOAT_ADD,
	FLOAT_SUB,
	FLOAT_MUL,
	FLOAT_FMA,
	FLOAT_MIN,
	FLOAT_MAX,
	FLOAT_DIV,
	FLOAT_RCP,
	FLOAT_SQRT,
};

enum float_rounding {
	ROUND_NEAREST,
	ROUND_ZERO,
	ROUND_DOWN,
	ROUND_UP,
	ROUND_NEAREST_AWAY,
};

enum float_flags {
	FLOAT_FTZ = 1,
	FLOAT_SAT = 2,
	FLOAT_NAN = 4,
	FLOAT_RELU = 8,
	FLOAT_ABS = 16,
	FLOAT_XORSIGN = 32,
	CONVERT_INTEGER = 64, /* cvt.rni.f32.f32: round to an integer */
};

bool lower_emit_unary(struct lower *lower, enum handler handler, enum ptx_type d_type, enum ptx_type a_type);
bool lower_emit_binary(struct lower *lower, enum handler handler, enum ptx_type d_type, enum ptx_type a_type,
		       enum ptx_type b_type);
bool lower_emit_ternary(struct lower *lower, enum handler handler, enum ptx_type d_type, enum ptx_type a_type,
			enum ptx_type b_type, enum ptx_type c_type);
bool lower_logic_predicate(struct lower *lower, enum predicate_operation operation);

/* After the type was taken. */
bool lower_float_arithmetic(struct lower *lower, enum float_operation operation, enum ptx_type type);
bool lower_float_divide(struct lower *lower, enum ptx_type type);
bool lower_float_sign(struct lower *lower, bool absolute, enum ptx_type type);

#endif
