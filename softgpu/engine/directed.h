/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single precision with directed rounding, without touching the processor's
 * mode: the result rounded to nearest is moved by one place when the exact one,
 * known in double precision with its rounding error, lies on the other side.
 */
#ifndef SOFTGPU_DIRECTED_H
#define SOFTGPU_DIRECTED_H

#include "lower_families.h"

#include <string.h>

static inline float float_from_bits(uint32_t bits)
{
	float value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

static inline uint32_t float_bits(float value)
{
	uint32_t bits;

	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

/* The neighbour below (step -1) or above (step 1); not for NaN. */
static inline float float_neighbour(float value, int step)
{
	uint32_t bits = float_bits(value);
	bool negative = bits >> 31, away = negative == (step < 0);

	if ((bits & 0x7fffffffu) == 0)
		return float_from_bits(step < 0 ? 0x80000001u : 1u);
	return float_from_bits(away ? bits + 1 : bits - 1);
}

/* Rounds value + error (|error| below value's last place) to single precision. */
static inline float float_direct(double value, double error, int rounding)
{
	float nearest = (float)value;
	double wide = (double)nearest;
	bool above = wide > value || (wide == value && error < 0); /* nearest lies above the exact result */
	bool below = wide < value || (wide == value && error > 0);
	bool down = rounding == ROUND_DOWN || (rounding == ROUND_ZERO && value > 0);
	bool up = rounding == ROUND_UP || (rounding == ROUND_ZERO && value < 0);

	/* An infinity that came from an infinite operand has value infinite as well and is neither above nor below. */
	nearest = down && above ? float_neighbour(nearest, -1) : nearest;
	nearest = up && below ? float_neighbour(nearest, 1) : nearest;
	return nearest;
}

static inline float float_fma_directed(float a, float b, float c, int rounding)
{
	double product = (double)a * (double)b, addend = (double)c;
	double sum = product + addend;
	double part = sum - product;
	double error = (product - (sum - part)) + (addend - part);
	float result = float_direct(sum, error == error ? error : 0.0, rounding);
	bool exact_zero = sum == 0.0 && (__builtin_signbit(product) != 0) != (__builtin_signbit(addend) != 0);

	return exact_zero ? float_from_bits(rounding == ROUND_DOWN ? 0x80000000u : 0) : result;
}

static inline float float_divide_directed(float a, float b, int rounding)
{
	double quotient = (double)a / (double)b;
	float nearest = (float)quotient;
	/* The sign of a - nearest * b, by b's sign, tells where the exact quotient lies. */
	double rest = __builtin_fma(-(double)nearest, (double)b, (double)a);
	double side = b < 0 ? -rest : rest;

	if (quotient != quotient || __builtin_isinf(quotient) || b == 0.0f)
		return nearest;
	if (__builtin_isinf(nearest))
		return float_direct(quotient, 0.0, rounding);
	return float_direct((double)nearest, side, rounding);
}

static inline float float_sqrt_directed(float a, int rounding)
{
	float nearest = __builtin_sqrtf(a);

	if (!(a > 0.0f) || __builtin_isinf(a))
		return nearest;
	return float_direct((double)nearest, __builtin_fma(-(double)nearest, (double)nearest, (double)a), rounding);
}

#endif
