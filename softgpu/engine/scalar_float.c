/* SPDX-License-Identifier: Apache-2.0 */
#include "scalar.h"
#include "directed.h"
#include "float_math.h"

#include <fenv.h>
#include <math.h>

#define SCALAR(name)                                                                                             \
	uint64_t name(__attribute__((unused)) const struct instruction *ins, __attribute__((unused)) uint64_t a, \
		      __attribute__((unused)) uint64_t b, __attribute__((unused)) uint64_t c)

static float flush(float value)
{
	uint32_t bits = float_bits(value);

	return bits & 0x7f800000u ? value : float_from_bits(bits & 0x80000000u);
}

static float minimum(float a, float b, bool maximum, unsigned flags)
{
	uint32_t sign = (float_bits(a) ^ float_bits(b)) & 0x80000000u;
	float result;

	if (flags & FLOAT_NAN && (a != a || b != b))
		return float_from_bits(0x7fffffffu);
	if (a != a && b != b)
		return float_from_bits(0x7fffffffu);
	if (flags & FLOAT_XORSIGN) {
		a = fabsf(a);
		b = fabsf(b);
	}
	if (a != a)
		result = b;
	else if (b != b)
		result = a;
	else if (a == b)
		result = float_from_bits(maximum ? float_bits(a) & float_bits(b) : float_bits(a) | float_bits(b));
	else
		result = (a < b) != maximum ? a : b;
	return flags & FLOAT_XORSIGN ? float_from_bits((float_bits(result) & 0x7fffffffu) | sign) : result;
}

static float float32_compute(const struct instruction *ins, float a, float b, float c)
{
	int rounding = ins->rounding;

	switch (ins->op) {
	case FLOAT_ADD:
		return float_fma_directed(a, 1.0f, b, rounding);
	case FLOAT_SUB:
		return float_fma_directed(a, 1.0f, -b, rounding);
	case FLOAT_MUL:
		return float_direct((double)a * (double)b, 0.0, rounding);
	case FLOAT_FMA:
		return rounding == ROUND_NEAREST ? fmaf(a, b, c) : float_fma_directed(a, b, c, rounding);
	case FLOAT_MIN:
		return minimum(a, b, false, ins->flags);
	case FLOAT_MAX:
		return minimum(a, b, true, ins->flags);
	case FLOAT_DIV:
		return rounding == ROUND_NEAREST ? a / b : float_divide_directed(a, b, rounding);
	case FLOAT_RCP:
		return rounding == ROUND_NEAREST ? 1.0f / a : float_divide_directed(1.0f, a, rounding);
	default:
		return float_sqrt_directed(a, rounding);
	}
}

SCALAR(scalar_float32)
{
	float x = float_from_bits((uint32_t)a), y = float_from_bits((uint32_t)b), z = float_from_bits((uint32_t)c);
	bool ftz = ins->flags & FLOAT_FTZ;
	float result = ftz ? flush(float32_compute(ins, flush(x), flush(y), flush(z))) : float32_compute(ins, x, y, z);

	return float_bits(result);
}

static double double_from_bits(uint64_t bits)
{
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static uint64_t double_bits(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* Directed rounding of double precision is rare: the processor's mode serves, and volatile keeps code in its place. */
SCALAR(scalar_float64)
{
	static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
	volatile double x = double_from_bits(a), y = double_from_bits(b), z = double_from_bits(c), result;

	fesetround(modes[ins->rounding & 3]);
	switch (ins->op) {
	case FLOAT_ADD:
		result = x + y;
		break;
	case FLOAT_SUB:
		result = x - y;
		break;
	case FLOAT_MUL:
		result = x * y;
		break;
	case FLOAT_FMA:
		result = fma(x, y, z);
		break;
	case FLOAT_DIV:
		result = x / y;
		break;
	case FLOAT_RCP:
		result = 1.0 / x;
		break;
	default:
		result = sqrt(x);
		break;
	}
	fesetround(FE_TONEAREST);
	return double_bits(result);
}

SCALAR(scalar_math32)
{
	float x = float_from_bits((uint32_t)a), result;
	bool ftz = ins->flags & FLOAT_FTZ;

	if (ftz)
		x = flush(x);
	switch (ins->op) {
	case MATH_ABS:
		result = fabsf(x);
		break;
	case MATH_NEG:
		result = -x;
		break;
	case MATH_SIN:
		result = sinf(x);
		break;
	case MATH_COS:
		result = cosf(x);
		break;
	case MATH_LG2:
		result = log2f(x);
		break;
	case MATH_TANH:
		result = tanhf(x);
		break;
	default:
		result = exp2f(x);
		break;
	}
	/* The GPU makes one NaN, positive. */
	if (result != result && ins->op > MATH_NEG)
		result = float_from_bits(0x7fffffffu);
	return float_bits(ftz ? flush(result) : result);
}

SCALAR(scalar_math64)
{
	double x = double_from_bits(a);
	double result = ins->op == MATH_RCP ? 1.0 / x : 1.0 / sqrt(x);

	/* The .approx.ftz forms give the upper 32 bits only (PTX ISA). */
	return ins->flags & FLOAT_FTZ ? double_bits(result) & ~UINT64_C(0xffffffff) : double_bits(result);
}

SCALAR(scalar_copysign)
{
	uint64_t sign = ins->type == PTX_F32 ? UINT64_C(1) << 31 : UINT64_C(1) << 63;

	/* copysign.type d, a, b: the sign of a, the magnitude of b. */
	return (b & ~sign) | (a & sign);
}

SCALAR(scalar_testp)
{
	bool wide = ins->type == PTX_F64;
	double value = wide ? double_from_bits(a) : (double)float_from_bits((uint32_t)a);
	double least = wide ? 0x1p-1022 : 0x1p-126;
	double magnitude = fabs(value);

	switch (ins->op) {
	case TEST_FINITE:
		return isfinite(value);
	case TEST_INFINITE:
		return isinf(value) != 0;
	case TEST_NUMBER:
		return value == value;
	case TEST_NAN:
		return value != value;
	case TEST_NORMAL:
		return isfinite(value) && magnitude >= least;
	default:
		/* Zero counts as subnormal (PTX ISA, testp). */
		return magnitude < least;
	}
}
