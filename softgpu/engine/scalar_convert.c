/* SPDX-License-Identifier: Apache-2.0 */
/* cvt between any two types, with any rounding. */
#include "scalar.h"
#include "directed.h"
#include "half.h"

#include <math.h>

static enum half_rounding half_mode(unsigned rounding)
{
	static const enum half_rounding modes[] = {HALF_NEAREST, HALF_ZERO, HALF_DOWN, HALF_UP, HALF_NEAREST};

	return modes[rounding];
}

static uint64_t integer_extend(unsigned type, uint64_t value)
{
	unsigned shift = 64 - 8 * ptx_type_bytes((enum ptx_type)type);

	return ptx_type_signed((enum ptx_type)type) ? (uint64_t)((int64_t)(value << shift) >> shift)
						    : value << shift >> shift;
}

static __int128 integer_least(unsigned type)
{
	return ptx_type_signed((enum ptx_type)type) ? -((__int128)1 << (8 * ptx_type_bytes((enum ptx_type)type) - 1))
						    : 0;
}

static __int128 integer_most(unsigned type)
{
	unsigned bits = 8 * ptx_type_bytes((enum ptx_type)type);

	return ((__int128)1 << (ptx_type_signed((enum ptx_type)type) ? bits - 1 : bits)) - 1;
}

static uint64_t integer_to_integer(const struct instruction *ins, uint64_t a)
{
	uint64_t extended = integer_extend(ins->type2, a);
	__int128 value = ptx_type_signed((enum ptx_type)ins->type2) ? (__int128)(int64_t)extended : (__int128)extended;

	if (ins->flags & FLOAT_SAT) {
		if (value < integer_least(ins->type))
			value = integer_least(ins->type);
		if (value > integer_most(ins->type))
			value = integer_most(ins->type);
	}
	return integer_extend(ins->type, (uint64_t)value);
}

static double value_read(unsigned type, uint64_t bits, bool ftz)
{
	double value;
	float narrow;

	switch (type) {
	case PTX_F64:
		memcpy(&value, &bits, sizeof(value));
		return value;
	case PTX_F16:
		return half_to_double((uint16_t)bits);
	case PTX_BF16:
		return bfloat_to_double((uint16_t)bits);
	default:
		narrow = float_from_bits((uint32_t)bits);
		if (ftz && (bits & 0x7f800000u) == 0)
			narrow = float_from_bits((uint32_t)bits & 0x80000000u);
		return (double)narrow;
	}
}

static double round_to_integer(double value, unsigned rounding)
{
	switch (rounding) {
	case ROUND_ZERO:
		return trunc(value);
	case ROUND_DOWN:
		return floor(value);
	case ROUND_UP:
		return ceil(value);
	default:
		return rint(value);
	}
}

static uint64_t double_bits(double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* tf32 has 10 fraction bits in a 32-bit float's place. */
static uint64_t tf32_round(uint32_t bits, unsigned rounding)
{
	if ((bits & 0x7f800000u) == 0x7f800000u)
		return bits & 0x7fffffu ? 0x7fffffffu : bits;
	if (rounding == ROUND_NEAREST_AWAY)
		bits += 0x1000;
	else if (rounding == ROUND_NEAREST)
		bits += 0xfff + (bits >> 13 & 1);
	return bits & ~UINT32_C(0x1fff);
}

static uint64_t value_write(const struct instruction *ins, double value)
{
	bool saturate = ins->flags & FLOAT_SAT;
	float narrow;

	if (saturate)
		value = value > 0.0 ? (value < 1.0 ? value : 1.0) : 0.0;
	if (ins->flags & FLOAT_RELU && !(value > 0.0))
		value = value != value ? value : 0.0;
	switch (ins->type) {
	case PTX_F64:
		return double_bits(value);
	case PTX_F16:
		return narrow_from_double(value, 5, 10, half_mode(ins->rounding));
	case PTX_BF16:
		return narrow_from_double(value, 8, 7, half_mode(ins->rounding));
	case PTX_TF32:
		return tf32_round(float_bits((float)value), ins->rounding);
	default:
		narrow = ins->flags & CONVERT_INTEGER || ins->rounding == ROUND_NEAREST
				 ? (float)value
				 : float_direct(value, 0.0, ins->rounding);
		if (ins->flags & FLOAT_FTZ && (float_bits(narrow) & 0x7f800000u) == 0)
			return float_bits(narrow) & 0x80000000u;
		return value != value ? 0x7fffffffu : float_bits(narrow);
	}
}

/* Rounds to odd, so that rounding again to a narrower type is exact. */
static double integer_to_double_odd(__int128 value)
{
	double result = (double)value;
	__int128 back = (__int128)result;
	uint64_t bits;

	if (back == value)
		return result;
	bits = double_bits(result);
	if ((bits & 1) == 0)
		bits += (back < value) == (value > 0) ? 1 : UINT64_MAX;
	memcpy(&result, &bits, sizeof(result));
	return result;
}

static uint64_t integer_to_float(const struct instruction *ins, uint64_t a)
{
	uint64_t extended = integer_extend(ins->type2, a);
	__int128 value = ptx_type_signed((enum ptx_type)ins->type2) ? (__int128)(int64_t)extended : (__int128)extended;

	if (ins->type != PTX_F64)
		return value_write(ins, integer_to_double_odd(value));
	double nearest = (double)value;
	__int128 back = (__int128)nearest;
	bool down = ins->rounding == ROUND_DOWN || (ins->rounding == ROUND_ZERO && value > 0);
	bool up = ins->rounding == ROUND_UP || (ins->rounding == ROUND_ZERO && value < 0);

	if (down && back > value)
		nearest = nextafter(nearest, -INFINITY);
	if (up && back < value)
		nearest = nextafter(nearest, INFINITY);
	return value_write(ins, nearest);
}

static uint64_t float_to_integer(const struct instruction *ins, uint64_t a)
{
	double value = value_read(ins->type2, a, ins->flags & FLOAT_FTZ);
	unsigned bits = 8 * ptx_type_bytes((enum ptx_type)ins->type);
	__int128 result;

	/* What NaN becomes depends on the types (PTX ISA, cvt). */
	if (value != value)
		return ins->type2 != PTX_F64 && bits != 64 ? 0 : integer_extend(ins->type, UINT64_C(1) << (bits - 1));
	value = round_to_integer(value, ins->rounding);
	if (value >= 0x1p65)
		result = integer_most(ins->type);
	else if (value <= -0x1p65)
		result = integer_least(ins->type);
	else
		result = (__int128)value;
	if (result < integer_least(ins->type))
		result = integer_least(ins->type);
	if (result > integer_most(ins->type))
		result = integer_most(ins->type);
	return integer_extend(ins->type, (uint64_t)result);
}

uint64_t scalar_convert(const struct instruction *ins, uint64_t a, uint64_t b, uint64_t c)
{
	bool from_float = ptx_type_float((enum ptx_type)ins->type2),
	     to_float = ptx_type_float((enum ptx_type)ins->type);

	(void)b;
	(void)c;
	if (!from_float)
		return to_float ? integer_to_float(ins, a) : integer_to_integer(ins, a);
	if (!to_float)
		return float_to_integer(ins, a);
	double value = value_read(ins->type2, a, ins->flags & FLOAT_FTZ);

	return value_write(ins, ins->flags & CONVERT_INTEGER ? round_to_integer(value, ins->rounding) : value);
}

/* cvt.rn.f16x2.f32 d, a, b: a is the upper half. */
uint64_t scalar_convert_pack(const struct instruction *ins, uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t halves[2] = {b, a}, result = 0;

	(void)c;
	for (unsigned i = 0; i < 2; i++) {
		double value = value_read(PTX_F32, halves[i], false);

		if (ins->flags & FLOAT_RELU && value < 0.0)
			value = 0.0;
		uint16_t bits = ins->type == PTX_F16 ? narrow_from_double(value, 5, 10, half_mode(ins->rounding))
						     : narrow_from_double(value, 8, 7, half_mode(ins->rounding));

		/* .satfinite: the largest number stands for what is beyond it. */
		uint16_t infinity = ins->type == PTX_F16 ? 0x7c00 : 0x7f80;

		if (ins->flags & FLOAT_SAT && (bits & 0x7fff) == infinity)
			bits--;
		result |= (uint64_t)bits << (16 * i);
	}
	return result;
}
