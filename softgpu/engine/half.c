/* SPDX-License-Identifier: Apache-2.0 */
#include "half.h"

#include <string.h>

enum {
	DOUBLE_FRACTION_BITS = 52,
	DOUBLE_BIAS = 1023,
};

static double narrow_to_double(uint16_t bits, unsigned exponent_bits, unsigned fraction_bits)
{
	uint64_t sign = (uint64_t)(bits >> (exponent_bits + fraction_bits)) << 63;
	unsigned exponent = bits >> fraction_bits & ((1u << exponent_bits) - 1);
	uint64_t fraction = bits & ((1u << fraction_bits) - 1);
	int bias = (1 << (exponent_bits - 1)) - 1;
	uint64_t result;
	double value;

	if (exponent == (1u << exponent_bits) - 1) {
		result = sign | UINT64_C(0x7ff) << DOUBLE_FRACTION_BITS |
			 fraction << (DOUBLE_FRACTION_BITS - fraction_bits);
	} else if (exponent) {
		result = sign | (uint64_t)((int)exponent - bias + DOUBLE_BIAS) << DOUBLE_FRACTION_BITS |
			 fraction << (DOUBLE_FRACTION_BITS - fraction_bits);
	} else {
		/* Zero or subnormal: exact as a product. */
		uint64_t scale = (uint64_t)(1 - bias - (int)fraction_bits + DOUBLE_BIAS) << DOUBLE_FRACTION_BITS;
		double unit;

		memcpy(&unit, &scale, sizeof(unit));
		value = (double)fraction * unit;
		return sign ? -value : value;
	}
	memcpy(&value, &result, sizeof(value));
	return value;
}

uint16_t narrow_from_double(double value, unsigned exponent_bits, unsigned fraction_bits, enum half_rounding rounding)
{
	uint64_t bits;
	unsigned total = exponent_bits + fraction_bits;
	int bias = (1 << (exponent_bits - 1)) - 1;
	uint16_t infinity = (uint16_t)(((1u << exponent_bits) - 1) << fraction_bits);

	memcpy(&bits, &value, sizeof(bits));
	bool negative = bits >> 63;
	uint16_t sign = (uint16_t)(negative << total);

	if (value != value)
		return 0x7fff; /* the NaN that GPUs make */
	if ((bits & ~(UINT64_C(1) << 63)) == 0)
		return sign;
	int exponent = (int)(bits >> DOUBLE_FRACTION_BITS & 0x7ff) - DOUBLE_BIAS;
	uint64_t significand = (bits & ((UINT64_C(1) << DOUBLE_FRACTION_BITS) - 1)) | UINT64_C(1)
											      << DOUBLE_FRACTION_BITS;

	if (exponent == 1024)
		return sign | infinity;
	/* Bits that the narrow format drops: more when the result is subnormal. */
	int dropped = DOUBLE_FRACTION_BITS - (int)fraction_bits;

	if (exponent < 1 - bias)
		dropped += 1 - bias - exponent;
	uint64_t kept, rest, half;

	if (dropped > 62) {
		kept = 0;
		rest = 1;
		half = 2;
	} else {
		kept = significand >> dropped;
		rest = significand & ((UINT64_C(1) << dropped) - 1);
		half = UINT64_C(1) << (dropped - 1);
	}
	bool up = false;

	switch (rounding) {
	case HALF_NEAREST:
		up = rest > half || (rest == half && kept & 1);
		break;
	case HALF_ZERO:
		break;
	case HALF_DOWN:
		up = negative && rest;
		break;
	case HALF_UP:
		up = !negative && rest;
		break;
	}
	kept += up;
	/* The significand's leading bit adds one to the exponent field; a carry does the same. */
	int field = exponent < 1 - bias ? 0 : exponent + bias - 1;
	uint64_t result = ((uint64_t)field << fraction_bits) + kept;

	if (result >= infinity) {
		bool saturate = rounding == HALF_ZERO || (rounding == HALF_DOWN && !negative) ||
				(rounding == HALF_UP && negative);

		result = saturate ? infinity - 1u : infinity;
	}
	return (uint16_t)(sign | result);
}

double half_to_double(uint16_t bits)
{
	return narrow_to_double(bits, 5, 10);
}

uint16_t half_from_double(double value)
{
	return narrow_from_double(value, 5, 10, HALF_NEAREST);
}

double bfloat_to_double(uint16_t bits)
{
	return narrow_to_double(bits, 8, 7);
}

uint16_t bfloat_from_double(double value)
{
	return narrow_from_double(value, 8, 7, HALF_NEAREST);
}
