/* SPDX-License-Identifier: Apache-2.0 */
#include "scalar.h"
#include "ptx.h"

#define SCALAR(name)                                                                                             \
	uint64_t name(__attribute__((unused)) const struct instruction *ins, __attribute__((unused)) uint64_t a, \
		      __attribute__((unused)) uint64_t b, __attribute__((unused)) uint64_t c)

const struct instruction *scalar4_run(struct warp *warp, const struct instruction *ins)
{
	LANES_OF(warp->mask, lane)
	{
		uint64_t a = lane_read(warp, ins->a, lane, ins->wide & WIDE_A);
		uint64_t b = lane_read(warp, ins->b, lane, ins->wide & WIDE_B);
		uint64_t c = lanes32(warp, ins->c)[lane] | (uint64_t)lanes32(warp, ins->q)[lane] << 32;

		lane_write(warp, ins->d, lane, ins->wide & WIDE_D, ins->scalar(ins, a, b, c));
	}
	return ins + 1;
}

/* A value of the type, extended to 64 bits as its sign asks. */
static uint64_t extend(unsigned type, uint64_t value)
{
	unsigned shift = 64 - 8 * ptx_type_bytes((enum ptx_type)type);

	if (shift == 64)
		return value;
	if (ptx_type_signed((enum ptx_type)type))
		return (uint64_t)((int64_t)(value << shift) >> shift);
	return value << shift >> shift;
}

static uint64_t clamp_s32(int64_t value)
{
	return (uint32_t)(value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value);
}

SCALAR(scalar_add_sat_s32)
{
	return clamp_s32((int64_t)(int32_t)a + (int32_t)b);
}

SCALAR(scalar_sub_sat_s32)
{
	return clamp_s32((int64_t)(int32_t)a - (int32_t)b);
}

SCALAR(scalar_mul_hi)
{
	uint64_t x = extend(ins->type, a), y = extend(ins->type, b);
	unsigned bits = 8 * ptx_type_bytes((enum ptx_type)ins->type);
	uint64_t high;

	if (bits == 64)
		high = ptx_type_signed((enum ptx_type)ins->type) ? (uint64_t)((__int128)(int64_t)x * (int64_t)y >> 64)
								 : (uint64_t)((unsigned __int128)x * y >> 64);
	else
		high = x * y >> bits;
	/* mul has no third operand; there c is the carry flags' place. */
	return high + (ins->c ? c : 0);
}

SCALAR(scalar_mad_hi_sat_s32)
{
	return clamp_s32(((int64_t)(int32_t)a * (int32_t)b >> 32) + (int32_t)c);
}

SCALAR(scalar_mad_wide_u16)
{
	return (a & 0xffff) * (b & 0xffff) + c;
}

SCALAR(scalar_mad_wide_s16)
{
	return (uint64_t)((int64_t)(int16_t)a * (int16_t)b) + c;
}

SCALAR(scalar_mul24)
{
	uint64_t product;

	if (ins->type == PTX_S32)
		product = (uint64_t)((int64_t)((int32_t)((uint32_t)a << 8) >> 8) * ((int32_t)((uint32_t)b << 8) >> 8));
	else
		product = (a & 0xffffff) * (b & 0xffffff);
	return (ins->op ? product >> 16 : product) + (ins->flags ? c : 0);
}

SCALAR(scalar_div_rem)
{
	uint64_t x = extend(ins->type, a), y = extend(ins->type, b);

	if (!y)
		return ins->op ? x : UINT64_MAX;
	if (!ptx_type_signed((enum ptx_type)ins->type))
		return ins->op ? x % y : x / y;
	if (y == UINT64_MAX)
		return ins->op ? 0 : 0 - x;
	return (uint64_t)(ins->op ? (int64_t)x % (int64_t)y : (int64_t)x / (int64_t)y);
}

SCALAR(scalar_cnot)
{
	return ins->type == PTX_B16 ? (uint16_t)a == 0 : a == 0;
}

SCALAR(scalar_min_max_16)
{
	uint64_t x = extend(ins->type, a), y = extend(ins->type, b);
	bool less = ptx_type_signed((enum ptx_type)ins->type) ? (int64_t)x < (int64_t)y : x < y;

	return (less == !ins->op ? x : y) & 0xffff;
}

SCALAR(scalar_abs_s16)
{
	int32_t value = (int16_t)a;

	return (uint16_t)(value < 0 ? -value : value);
}

SCALAR(scalar_popc)
{
	return (uint64_t)__builtin_popcountll(a);
}

SCALAR(scalar_clz)
{
	if (ins->type == PTX_B32)
		return (uint32_t)a ? (uint64_t)__builtin_clz((uint32_t)a) : 32;
	return a ? (uint64_t)__builtin_clzll(a) : 64;
}

SCALAR(scalar_brev)
{
	uint64_t result = 0;
	unsigned bits = ins->type == PTX_B32 ? 32 : 64;

	for (unsigned i = 0; i < bits; i++)
		result |= (a >> i & 1) << (bits - 1 - i);
	return result;
}

SCALAR(scalar_bfind)
{
	unsigned bits = 8 * ptx_type_bytes((enum ptx_type)ins->type);
	uint64_t value = extend(ins->type, a);

	if (ptx_type_signed((enum ptx_type)ins->type) && (int64_t)value < 0)
		value = ~value;
	if (bits == 32)
		value = (uint32_t)value;
	if (!value)
		return UINT32_MAX;
	unsigned position = 63 - (unsigned)__builtin_clzll(value);

	return ins->op ? bits - 1 - position : position;
}

SCALAR(scalar_fns)
{
	uint32_t mask = (uint32_t)a, base = (uint32_t)b;
	int32_t offset = (int32_t)c;

	if (base > 31)
		return UINT32_MAX;
	if (offset == 0)
		return mask >> base & 1 ? base : UINT32_MAX;
	int step = offset > 0 ? 1 : -1;
	int64_t count = offset > 0 ? offset : -(int64_t)offset;

	for (int position = (int)base; position >= 0 && position < 32; position += step)
		if (mask >> position & 1 && --count == 0)
			return (uint32_t)position;
	return UINT32_MAX;
}

SCALAR(scalar_sad)
{
	uint64_t x = extend(ins->type, a), y = extend(ins->type, b);
	bool less = ptx_type_signed((enum ptx_type)ins->type) ? (int64_t)x < (int64_t)y : x < y;

	return c + (less ? y - x : x - y);
}

SCALAR(scalar_bfe)
{
	unsigned bits = 8 * ptx_type_bytes((enum ptx_type)ins->type);
	bool is_signed = ptx_type_signed((enum ptx_type)ins->type);
	unsigned position = b & 0xff, length = c & 0xff;
	unsigned last = bits - 1;
	uint64_t value = 0;
	bool sign = false;

	if (is_signed && length) {
		unsigned at = position + length - 1 < last ? position + length - 1 : last;

		sign = a >> at & 1;
	}
	for (unsigned i = 0; i < bits; i++) {
		bool bit = i < length && position + i <= last ? a >> (position + i) & 1 : sign;

		value |= (uint64_t)bit << i;
	}
	return value;
}

/* bfi d, a, b, position, length: a's low bits replace b's at the position. */
SCALAR(scalar_bfi)
{
	unsigned bits = ins->type == PTX_B32 ? 32 : 64;
	unsigned position = c & 0xff, length = c >> 32 & 0xff;
	uint64_t mask;

	if (position >= bits || !length)
		return b;
	if (length > bits - position)
		length = bits - position;
	mask = (length == 64 ? UINT64_MAX : (UINT64_C(1) << length) - 1) << position;
	return (b & ~mask) | (a << position & mask);
}

SCALAR(scalar_shf)
{
	uint64_t both = (b & UINT32_MAX) << 32 | (a & UINT32_MAX);
	uint32_t amount = ins->flags ? c & 31 : (uint32_t)c > 32 ? 32 : (uint32_t)c;

	/* Left: the high word of both << amount; right: the low word of both >> amount. */
	return ins->op ? (uint32_t)(both << amount >> 32) : (uint32_t)(both >> amount);
}

static unsigned prmt_selector(unsigned mode, unsigned c, unsigned i)
{
	static const uint8_t tables[6][4][4] = {
		{{0, 1, 2, 3}, {1, 2, 3, 4}, {2, 3, 4, 5}, {3, 4, 5, 6}}, /* f4e */
		{{0, 7, 6, 5}, {1, 0, 7, 6}, {2, 1, 0, 7}, {3, 2, 1, 0}}, /* b4e */
		{{0, 0, 0, 0}, {1, 1, 1, 1}, {2, 2, 2, 2}, {3, 3, 3, 3}}, /* rc8 */
		{{0, 1, 2, 3}, {1, 1, 2, 3}, {2, 2, 2, 3}, {3, 3, 3, 3}}, /* ecl */
		{{0, 0, 0, 0}, {0, 1, 1, 1}, {0, 1, 2, 2}, {0, 1, 2, 3}}, /* ecr */
		{{0, 1, 0, 1}, {2, 3, 2, 3}, {0, 1, 0, 1}, {2, 3, 2, 3}}, /* rc16 */
	};

	return mode ? tables[mode - 1][c & 3][i] : c >> (4 * i) & 15;
}

SCALAR(scalar_prmt)
{
	uint64_t both = (b & UINT32_MAX) << 32 | (a & UINT32_MAX);
	uint32_t result = 0;

	for (unsigned i = 0; i < 4; i++) {
		unsigned selector = prmt_selector(ins->op, (unsigned)c, i);
		uint32_t byte = both >> (8 * (selector & 7)) & 0xff;

		if (selector & 8)
			byte = byte & 0x80 ? 0xff : 0;
		result |= byte << (8 * i);
	}
	return result;
}

SCALAR(scalar_lop3)
{
	uint32_t result = 0, x = (uint32_t)a, y = (uint32_t)b, z = (uint32_t)c;

	for (unsigned term = 0; term < 8; term++)
		if (ins->immediate >> term & 1)
			result |= (term & 4 ? x : ~x) & (term & 2 ? y : ~y) & (term & 1 ? z : ~z);
	return result;
}

static int64_t dot_element(unsigned type, uint64_t value, unsigned bits)
{
	unsigned shift = 64 - bits;

	return type == PTX_S32 ? (int64_t)(value << shift) >> shift : (int64_t)(value << shift >> shift);
}

SCALAR(scalar_dp4a)
{
	uint64_t sum = c;

	for (unsigned i = 0; i < 4; i++)
		sum += (uint64_t)(dot_element(ins->type, a >> (8 * i), 8) * dot_element(ins->type2, b >> (8 * i), 8));
	return (uint32_t)sum;
}

SCALAR(scalar_dp2a)
{
	uint64_t sum = c;
	unsigned first = ins->op ? 2 : 0;

	for (unsigned i = 0; i < 2; i++)
		sum += (uint64_t)(dot_element(ins->type, a >> (16 * i), 16) *
				  dot_element(ins->type2, b >> (8 * (i + first)), 8));
	return (uint32_t)sum;
}

SCALAR(scalar_bmsk)
{
	uint32_t position = (uint32_t)a, width = (uint32_t)b;

	if (ins->flags) {
		position &= 31;
		width &= 31;
	}
	if (position > 31)
		return 0;
	uint64_t mask = width > 31 ? UINT32_MAX : (UINT64_C(1) << width) - 1;

	return (uint32_t)(mask << position);
}

SCALAR(scalar_szext)
{
	uint32_t width = (uint32_t)b;

	if (ins->flags)
		width &= 31;
	if (width > 31)
		return a;
	if (!width)
		return 0;
	unsigned shift = 32 - width;

	return ins->type == PTX_S32 ? (uint32_t)((int32_t)((uint32_t)a << shift) >> shift)
				    : (uint32_t)a << shift >> shift;
}

/* a when c is not negative (-0.0 counts as 0, a NaN as negative), else b. */
SCALAR(scalar_slct)
{
	float value;
	uint32_t bits = (uint32_t)c;

	if (ins->type2 != PTX_F32)
		return (int32_t)bits >= 0 ? a : b;
	__builtin_memcpy(&value, &bits, sizeof(value));
	return value >= 0.0f ? a : b;
}
