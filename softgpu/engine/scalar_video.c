/* SPDX-License-Identifier: Apache-2.0 */
#include "video.h"
#include "ptx.h"
#include "scalar.h"

static int64_t element_read(unsigned type, uint64_t value, unsigned bits)
{
	unsigned shift = 64 - bits;

	return type == PTX_S32 ? (int64_t)(value << shift) >> shift : (int64_t)(value << shift >> shift);
}

static bool compare(unsigned comparison, int64_t a, int64_t b)
{
	switch (comparison) {
	case 0:
		return a == b;
	case 1:
		return a != b;
	case 2:
		return a < b;
	case 3:
		return a <= b;
	case 4:
		return a > b;
	default:
		return a >= b;
	}
}

static int64_t element_compute(const struct instruction *ins, int64_t a, int64_t b)
{
	switch (ins->op) {
	case VIDEO_ADD:
		return a + b;
	case VIDEO_SUB:
		return a - b;
	case VIDEO_AVERAGE:
		/* Rounds away from zero where the sum is odd. */
		return a + b >= 0 ? (a + b + 1) >> 1 : (a + b) >> 1;
	case VIDEO_ABSDIFF:
		return a < b ? b - a : a - b;
	case VIDEO_MIN:
		return a < b ? a : b;
	case VIDEO_MAX:
		return a > b ? a : b;
	default:
		return compare(ins->combine, a, b);
	}
}

uint64_t scalar_video(const struct instruction *ins, uint64_t a, uint64_t b, uint64_t c)
{
	unsigned bits = 32u / ins->count;
	int64_t least = ins->invert ? -(INT64_C(1) << (bits - 1)) : 0;
	int64_t most = (INT64_C(1) << (ins->invert ? bits - 1 : bits)) - 1;
	uint64_t result = 0, sum = c;

	for (unsigned i = 0; i < ins->count; i++) {
		int64_t value = element_compute(ins, element_read(ins->type, a >> (i * bits), bits),
						element_read(ins->type2, b >> (i * bits), bits));

		if (ins->flags & VIDEO_SATURATE)
			value = value < least ? least : value > most ? most : value;
		result |= ((uint64_t)value & ((UINT64_C(1) << bits) - 1)) << (i * bits);
		sum += (uint64_t)value;
	}
	return (uint32_t)(ins->flags & VIDEO_ADD_UP ? sum : result);
}
