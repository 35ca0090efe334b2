/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f16 and bf16 arithmetic in double precision.  Products are exact there; sums
 * are rounded to odd, so that rounding the result once more is as good as
 * rounding the exact one.
 */
#include "scalar.h"
#include "compare.h"
#include "directed.h"
#include "float_math.h"
#include "half.h"

#include <math.h>

#define SCALAR(name)                                                                                             \
	uint64_t name(__attribute__((unused)) const struct instruction *ins, __attribute__((unused)) uint64_t a, \
		      __attribute__((unused)) uint64_t b, __attribute__((unused)) uint64_t c)

static bool type_is_bfloat(unsigned type)
{
	return type == PTX_BF16 || type == PTX_BF16X2;
}

static bool type_is_pair(unsigned type)
{
	return type == PTX_F16X2 || type == PTX_BF16X2;
}

static double half_read(unsigned type, uint64_t bits, bool ftz)
{
	if (ftz && (bits & (type_is_bfloat(type) ? 0x7f80 : 0x7c00)) == 0)
		bits &= 0x8000;
	return type_is_bfloat(type) ? bfloat_to_double((uint16_t)bits) : half_to_double((uint16_t)bits);
}

static uint16_t half_write(unsigned type, double value, unsigned flags)
{
	uint16_t bits;

	if (flags & FLOAT_SAT)
		value = value > 0.0 ? (value < 1.0 ? value : 1.0) : 0.0;
	if (flags & FLOAT_RELU && value < 0.0)
		value = 0.0;
	bits = type_is_bfloat(type) ? bfloat_from_double(value) : half_from_double(value);
	if (flags & FLOAT_FTZ && (bits & (type_is_bfloat(type) ? 0x7f80 : 0x7c00)) == 0)
		bits &= 0x8000;
	return bits;
}

static double sum_to_odd(double a, double b)
{
	double sum = a + b;
	double part = sum - a;
	double error = (a - (sum - part)) + (b - part);
	uint64_t bits;

	if (!(error != 0.0) || error != error || isinf(sum))
		return sum;
	memcpy(&bits, &sum, sizeof(bits));
	if ((bits & 1) == 0)
		bits += (error > 0) == (sum > 0) ? 1 : UINT64_MAX;
	memcpy(&sum, &bits, sizeof(sum));
	return sum;
}

static uint16_t half_extreme(const struct instruction *ins, uint16_t a, uint16_t b)
{
	bool maximum = ins->op == FLOAT_MAX, ftz = ins->flags & FLOAT_FTZ;
	uint16_t sign = (a ^ b) & 0x8000;

	if (ins->flags & FLOAT_XORSIGN) {
		a &= 0x7fff;
		b &= 0x7fff;
	}
	double x = half_read(ins->type, a, ftz), y = half_read(ins->type, b, ftz);
	uint16_t result;

	if ((ins->flags & FLOAT_NAN && (x != x || y != y)) || (x != x && y != y))
		return 0x7fff;
	if (x != x)
		result = b;
	else if (y != y)
		result = a;
	else if (x == y)
		result = maximum ? a & b : a | b;
	else
		result = (x < y) != maximum ? a : b;
	if (ins->flags & FLOAT_XORSIGN)
		result = (result & 0x7fff) | sign;
	return half_write(ins->type, half_read(ins->type, result, ftz), ins->flags & FLOAT_FTZ);
}

static uint16_t half_compute(const struct instruction *ins, uint64_t a, uint64_t b, uint64_t c)
{
	bool ftz = ins->flags & FLOAT_FTZ;
	double x = half_read(ins->type, (uint16_t)a, ftz), y = half_read(ins->type, (uint16_t)b, ftz);
	double z = half_read(ins->type, (uint16_t)c, ftz);

	switch (ins->op) {
	case FLOAT_ADD:
		return half_write(ins->type, sum_to_odd(x, y), ins->flags);
	case FLOAT_SUB:
		return half_write(ins->type, sum_to_odd(x, -y), ins->flags);
	case FLOAT_MUL:
		return half_write(ins->type, x * y, ins->flags);
	case FLOAT_FMA:
		return half_write(ins->type, sum_to_odd(x * y, z), ins->flags);
	default:
		return half_extreme(ins, (uint16_t)a, (uint16_t)b);
	}
}

SCALAR(scalar_half)
{
	uint64_t low = half_compute(ins, a, b, c);

	return type_is_pair(ins->type) ? low | (uint64_t)half_compute(ins, a >> 16, b >> 16, c >> 16) << 16 : low;
}

static uint16_t half_math(const struct instruction *ins, uint16_t a)
{
	bool ftz = ins->flags & FLOAT_FTZ;
	double x = half_read(ins->type, a, ftz);

	switch (ins->op) {
	case MATH_ABS:
		return ftz ? half_write(ins->type, fabs(x), ins->flags) : a & 0x7fff;
	case MATH_NEG:
		return ftz ? half_write(ins->type, -x, ins->flags) : a ^ 0x8000;
	case MATH_TANH:
		return half_write(ins->type, tanh(x), ins->flags);
	default:
		return half_write(ins->type, exp2(x), ins->flags);
	}
}

SCALAR(scalar_half_math)
{
	uint64_t low = half_math(ins, (uint16_t)a);

	return type_is_pair(ins->type) ? low | (uint64_t)half_math(ins, (uint16_t)(a >> 16)) << 16 : low;
}

/* The bases of lower_compare.c: eq, lt, le, ne (ordered), num. */
static bool compare_values(const struct instruction *ins, uint64_t a, uint64_t b)
{
	bool ftz = ins->flags & FLOAT_FTZ, result;
	double x = half_read(ins->type, (uint16_t)a, ftz), y = half_read(ins->type, (uint16_t)b, ftz);

	switch (ins->op) {
	case 0:
		result = x == y;
		break;
	case 1:
		result = x < y;
		break;
	case 2:
		result = x <= y;
		break;
	case 3:
		result = x < y || x > y;
		break;
	default:
		result = x == x && y == y;
		break;
	}
	return result != ins->invert;
}

static uint32_t combine(const struct instruction *ins, uint32_t value, uint32_t c)
{
	switch (ins->combine) {
	case 1:
		return value & c;
	case 2:
		return value | c;
	case 3:
		return value ^ c;
	default:
		return value;
	}
}

const struct instruction *compare_half(struct warp *warp, const struct instruction *ins)
{
	uint32_t low = 0, high = 0, c = 0;
	bool pair = type_is_pair(ins->type);

	LANES_OF(warp->mask, lane)
	{
		uint32_t a = lanes32(warp, ins->a)[lane], b = lanes32(warp, ins->b)[lane];

		low |= (uint32_t)compare_values(ins, a, b) << lane;
		if (pair)
			high |= (uint32_t)compare_values(ins, a >> 16, b >> 16) << lane;
	}
	if (ins->combine)
		c = *lanes32(warp, ins->c) ^ (ins->negate_c ? WARP_FULL_MASK : 0);
	predicate_write(warp, ins->d, warp->mask, combine(ins, low, c));
	/* Of a pair the second predicate is the upper half's, else it is the complement. */
	if (ins->q)
		predicate_write(warp, ins->q, warp->mask, combine(ins, pair ? high : ~low, c));
	return ins + 1;
}

SCALAR(scalar_half_compare2)
{
	if (ins->count) {
		uint64_t swap = a;

		a = b;
		b = swap;
	}
	bool low = compare_values(ins, a, b), high = compare_values(ins, a >> 16, b >> 16);
	uint32_t one = ins->type2 == PTX_F16X2 ? 0x3c00 : ins->type2 == PTX_BF16X2 ? 0x3f80 : 0xffff;

	return (low ? one : 0) | (high ? one << 16 : 0);
}
