/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic, a whole warp at a time. */
#include "exec_lanes.h"
#include "directed.h"

#include <math.h>

/* The quotient of doubles, rounded towards zero, is that of 32-bit integers: it never rounds up to the next integer. */
static inline uint32_t integer_divide(uint32_t a, uint32_t b)
{
	double quotient = (double)a / (double)(b ? b : 1);

	return b ? (uint32_t)(int64_t)quotient : UINT32_MAX;
}

static inline uint32_t integer_divide_signed(uint32_t a, uint32_t b)
{
	uint32_t magnitude_a = (int32_t)a < 0 ? 0 - a : a, magnitude_b = (int32_t)b < 0 ? 0 - b : b;
	uint32_t quotient = integer_divide(magnitude_a, magnitude_b);

	return b && (int32_t)(a ^ b) < 0 ? 0 - quotient : quotient;
}

static inline float float_flush(float a)
{
	uint32_t bits;

	memcpy(&bits, &a, sizeof(bits));
	bits = bits & 0x7f800000u ? bits : bits & 0x80000000u;
	memcpy(&a, &bits, sizeof(a));
	return a;
}

static inline float float_saturate(float a)
{
	/* A NaN compares false and becomes 0, as .sat asks. */
	float low = a > 0.0f ? a : 0.0f;

	return low < 1.0f ? low : 1.0f;
}

/* min and max give the number when one operand is NaN, and order -0 below +0. */
static inline float float_minimum(float a, float b)
{
	uint32_t bits_a, bits_b;

	memcpy(&bits_a, &a, sizeof(bits_a));
	memcpy(&bits_b, &b, sizeof(bits_b));
	uint32_t both = bits_a | bits_b;
	float zeros;

	memcpy(&zeros, &both, sizeof(zeros));
	float least = a == b ? zeros : a < b ? a : b;

	least = a != a ? b : b != b ? a : least;
	return least != least ? __builtin_nanf("0x3fffff") : least;
}

static inline float float_maximum(float a, float b)
{
	uint32_t bits_a, bits_b;

	memcpy(&bits_a, &a, sizeof(bits_a));
	memcpy(&bits_b, &b, sizeof(bits_b));
	uint32_t both = bits_a & bits_b;
	float zeros;

	memcpy(&zeros, &both, sizeof(zeros));
	float greatest = a == b ? zeros : a > b ? a : b;

	greatest = a != a ? b : b != b ? a : greatest;
	return greatest != greatest ? __builtin_nanf("0x3fffff") : greatest;
}

static inline double double_minimum(double a, double b)
{
	uint64_t bits_a, bits_b;

	memcpy(&bits_a, &a, sizeof(bits_a));
	memcpy(&bits_b, &b, sizeof(bits_b));
	uint64_t both = bits_a | bits_b;
	double zeros;

	memcpy(&zeros, &both, sizeof(zeros));
	double least = a == b ? zeros : a < b ? a : b;

	return a != a ? b : b != b ? a : least;
}

static inline double double_maximum(double a, double b)
{
	uint64_t bits_a, bits_b;

	memcpy(&bits_a, &a, sizeof(bits_a));
	memcpy(&bits_b, &b, sizeof(bits_b));
	uint64_t both = bits_a & bits_b;
	double zeros;

	memcpy(&zeros, &both, sizeof(zeros));
	double greatest = a == b ? zeros : a > b ? a : b;

	return a != a ? b : b != b ? a : greatest;
}

/*
 * 2^x within 2 ulp: the integer part goes to the exponent in two halves, so that
 * subnormal results come out rounded; the fraction through the Taylor series of
 * e^(f ln 2), |f| <= 1/2, whose terms beyond the seventh are below 2^-25.
 */
static inline float float_exp2(float x)
{
	float clamped = x < 200.0f ? x : 200.0f;

	clamped = clamped > -200.0f ? clamped : -200.0f;
	float shifted = clamped + 12582912.0f; /* 1.5 * 2^23: rounds to an integer in the low bits */
	float whole = shifted - 12582912.0f;
	float f = clamped - whole;
	int32_t exponent = (int32_t)whole;
	float p = 1.5252734e-5f;

	p = p * f + 1.5403530e-4f;
	p = p * f + 1.3333558e-3f;
	p = p * f + 9.6181291e-3f;
	p = p * f + 5.5504109e-2f;
	p = p * f + 2.4022651e-1f;
	p = p * f + 6.9314718e-1f;
	p = p * f + 1.0f;
	int32_t half = exponent >> 1;
	uint32_t bits1 = (uint32_t)(half + 127) << 23, bits2 = (uint32_t)(exponent - half + 127) << 23;
	float scale1, scale2;

	memcpy(&scale1, &bits1, sizeof(scale1));
	memcpy(&scale2, &bits2, sizeof(scale2));
	float result = p * scale1 * scale2;

	return x != x ? x : result;
}

/* Truncation to the range of the result; a NaN gives 0. */
static inline int32_t double_to_s32(double a)
{
	double clamped = a > -2147483648.0 ? a : -2147483648.0;

	clamped = clamped < 2147483647.0 ? clamped : 2147483647.0;
	return (int32_t)clamped;
}

static inline int32_t float_to_s32(float a)
{
	return double_to_s32(a == a ? (double)a : 0.0);
}

static inline uint32_t float_to_u32(float a)
{
	double clamped = a > 0.0f ? (double)a : 0.0;

	clamped = clamped < 4294967295.0 ? clamped : 4294967295.0;
	return (uint32_t)(int64_t)clamped;
}

static inline uint32_t half_widen(uint32_t bits)
{
	uint32_t magnitude = (bits & 0x7fff) << 13, sign = (bits & 0x8000) << 16;
	/* Multiplying by 2^112 moves the exponent's bias and normalises subnormals. */
	uint32_t scaled = float_bits(float_from_bits(magnitude) * float_from_bits(0x77800000u));
	uint32_t special = magnitude | 0x7f800000u;

	return sign | (magnitude >= 0x0f800000u ? special : scaled);
}

static inline uint32_t half_narrow(uint32_t bits)
{
	uint32_t magnitude = bits & 0x7fffffffu, sign = bits >> 16 & 0x8000;
	/* Round the 13 dropped bits to nearest even, then rebias the exponent. */
	uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000u) >> 13;
	/* Adding 0.5 lets the addition itself round a result below 2^-14 to multiples of 2^-24. */
	uint32_t small = float_bits(float_from_bits(magnitude) + 0.5f) - 0x3f000000u;
	uint32_t result = magnitude < 0x38800000u ? small : normal;

	result = magnitude >= 0x477ff000u ? 0x7c00 : result;
	return magnitude > 0x7f800000u ? 0x7fff : sign | result;
}

static inline uint32_t bfloat_narrow(uint32_t bits)
{
	uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;

	return (bits & 0x7fffffffu) > 0x7f800000u ? 0x7fff : rounded;
}

/*
 * f16 and bf16: sums and products in single precision have more than twice the
 * bits, so that rounding again is as good as rounding once.  Both halves of a
 * pair are computed; the upper one of a lone f16 is never looked at.
 */
#define HALF_SIDE(x_, y_, expression)        \
	({                                   \
		uint32_t x = (x_), y = (y_); \
		(expression) & 0xffff;       \
	})
#define HALF_PAIR(expression) \
	(HALF_SIDE(a & 0xffff, b & 0xffff, expression) | HALF_SIDE(a >> 16, b >> 16, expression) << 16)

static inline uint32_t half_add(uint32_t x, uint32_t y)
{
	return half_narrow(float_bits(float_from_bits(half_widen(x)) + float_from_bits(half_widen(y))));
}

static inline uint32_t half_mul(uint32_t x, uint32_t y)
{
	return half_narrow(float_bits(float_from_bits(half_widen(x)) * float_from_bits(half_widen(y))));
}

static inline uint32_t bfloat_add(uint32_t x, uint32_t y)
{
	return bfloat_narrow(float_bits(float_from_bits(x << 16) + float_from_bits(y << 16)));
}

static inline uint32_t bfloat_mul(uint32_t x, uint32_t y)
{
	return bfloat_narrow(float_bits(float_from_bits(x << 16) * float_from_bits(y << 16)));
}

/*
 * a * b + c in double precision is exact wherever the result is near the middle
 * between two halves; rounding it to odd keeps that for the second rounding.
 */
static inline uint32_t fma_to_odd(float x, float y, float z)
{
	double sum = (double)x * (double)y + (double)z;
	float nearest = (float)sum;
	uint32_t bits = float_bits(nearest);
	bool inexact = (double)nearest < sum || (double)nearest > sum;
	bool short_of = __builtin_fabs((double)nearest) < __builtin_fabs(sum);

	return inexact && !(bits & 1) ? (short_of ? bits + 1 : bits - 1) : bits;
}

static inline uint32_t half_fma(uint32_t x, uint32_t y, uint32_t z)
{
	return half_narrow(fma_to_odd(float_from_bits(half_widen(x)), float_from_bits(half_widen(y)),
				      float_from_bits(half_widen(z)))) &
	       0xffff;
}

static inline uint32_t bfloat_fma(uint32_t x, uint32_t y, uint32_t z)
{
	return bfloat_narrow(fma_to_odd(float_from_bits(x << 16), float_from_bits(y << 16), float_from_bits(z << 16))) &
	       0xffff;
}

#define LANE_LOOP _Pragma("GCC ivdep") for (unsigned i = 0; i < WARP_LANES; i++)

#define DEFINE_UNARY(name, D, A, expression)                                                    \
	const struct instruction *EXEC(name)(struct warp * warp, const struct instruction *ins) \
	{                                                                                       \
		D *d = (D *)(void *)(warp->registers + ins->d);                                 \
		const A *va = (const A *)(const void *)(warp->registers + ins->a);              \
		uint32_t mask = warp->mask;                                                     \
		if (likely(mask == WARP_FULL_MASK)) {                                           \
			LANE_LOOP                                                               \
			{                                                                       \
				A a = va[i];                                                    \
				d[i] = (D)(expression);                                         \
			}                                                                       \
		} else {                                                                        \
			LANE_LOOP                                                               \
			{                                                                       \
				A a = va[i];                                                    \
				D r = (D)(expression);                                          \
				d[i] = mask & lane_bits[i] ? r : d[i];                          \
			}                                                                       \
		}                                                                               \
		return ins + 1;                                                                 \
	}

#define DEFINE_BINARY(name, D, A, B, expression)                                                \
	const struct instruction *EXEC(name)(struct warp * warp, const struct instruction *ins) \
	{                                                                                       \
		D *d = (D *)(void *)(warp->registers + ins->d);                                 \
		const A *va = (const A *)(const void *)(warp->registers + ins->a);              \
		const B *vb = (const B *)(const void *)(warp->registers + ins->b);              \
		uint32_t mask = warp->mask;                                                     \
		if (likely(mask == WARP_FULL_MASK)) {                                           \
			LANE_LOOP                                                               \
			{                                                                       \
				A a = va[i];                                                    \
				B b = vb[i];                                                    \
				d[i] = (D)(expression);                                         \
			}                                                                       \
		} else {                                                                        \
			LANE_LOOP                                                               \
			{                                                                       \
				A a = va[i];                                                    \
				B b = vb[i];                                                    \
				D r = (D)(expression);                                          \
				d[i] = mask & lane_bits[i] ? r : d[i];                          \
			}                                                                       \
		}                                                                               \
		return ins + 1;                                                                 \
	}

#define DEFINE_TERNARY(name, D, A, B, C, expression)                                            \
	const struct instruction *EXEC(name)(struct warp * warp, const struct instruction *ins) \
	{                                                                                       \
		D *d = (D *)(void *)(warp->registers + ins->d);                                 \
		const A *va = (const A *)(const void *)(warp->registers + ins->a);              \
		const B *vb = (const B *)(const void *)(warp->registers + ins->b);              \
		const C *vc = (const C *)(const void *)(warp->registers + ins->c);              \
		uint32_t mask = warp->mask;                                                     \
		if (likely(mask == WARP_FULL_MASK)) {                                           \
			LANE_LOOP                                                               \
			{                                                                       \
				A a = va[i];                                                    \
				B b = vb[i];                                                    \
				C c = vc[i];                                                    \
				d[i] = (D)(expression);                                         \
			}                                                                       \
		} else {                                                                        \
			LANE_LOOP                                                               \
			{                                                                       \
				A a = va[i];                                                    \
				B b = vb[i];                                                    \
				C c = vc[i];                                                    \
				D r = (D)(expression);                                          \
				d[i] = mask & lane_bits[i] ? r : d[i];                          \
			}                                                                       \
		}                                                                               \
		return ins + 1;                                                                 \
	}

/* Writes p (and q, the complement) of setp after combining with predicate c. */
static inline const struct instruction *compare_finish(struct warp *warp, const struct instruction *ins,
						       uint32_t result)
{
	uint32_t mask = warp->mask;
	uint32_t *p = (uint32_t *)(void *)(warp->registers + ins->d);
	uint32_t complement;

	result ^= ins->invert ? WARP_FULL_MASK : 0;
	complement = ~result;
	if (ins->combine) {
		uint32_t c = *(const uint32_t *)(const void *)(warp->registers + ins->c);

		c ^= ins->negate_c ? WARP_FULL_MASK : 0;
		result = ins->combine == 1 ? result & c : ins->combine == 2 ? result | c : result ^ c;
		complement = ins->combine == 1 ? complement & c : ins->combine == 2 ? complement | c : complement ^ c;
	}
	*p = (*p & ~mask) | (result & mask);
	if (ins->q) {
		uint32_t *q = (uint32_t *)(void *)(warp->registers + ins->q);

		*q = (*q & ~mask) | (complement & mask);
	}
	return ins + 1;
}

#define DEFINE_COMPARE(name, A, expression)                                                     \
	const struct instruction *EXEC(name)(struct warp * warp, const struct instruction *ins) \
	{                                                                                       \
		const A *va = (const A *)(const void *)(warp->registers + ins->a);              \
		const A *vb = (const A *)(const void *)(warp->registers + ins->b);              \
		uint32_t result = 0;                                                            \
		LANE_LOOP                                                                       \
		{                                                                               \
			A a = va[i], b = vb[i];                                                 \
			result |= (expression) ? lane_bits[i] : 0;                              \
		}                                                                               \
		return compare_finish(warp, ins, result);                                       \
	}

HANDLERS_UNARY(DEFINE_UNARY)
HANDLERS_BINARY(DEFINE_BINARY)
HANDLERS_TERNARY(DEFINE_TERNARY)
HANDLERS_COMPARE(DEFINE_COMPARE)

#define DEFINE_SELECT(name, D)                                                                  \
	const struct instruction *EXEC(name)(struct warp * warp, const struct instruction *ins) \
	{                                                                                       \
		D *d = (D *)(void *)(warp->registers + ins->d);                                 \
		const D *va = (const D *)(const void *)(warp->registers + ins->a);              \
		const D *vb = (const D *)(const void *)(warp->registers + ins->b);              \
		uint32_t mask = warp->mask;                                                     \
		uint32_t c = *(const uint32_t *)(const void *)(warp->registers + ins->c);       \
		c ^= ins->negate_c ? WARP_FULL_MASK : 0;                                        \
		LANE_LOOP                                                                       \
		{                                                                               \
			D r = c & lane_bits[i] ? va[i] : vb[i];                                 \
			d[i] = mask & lane_bits[i] ? r : d[i];                                  \
		}                                                                               \
		return ins + 1;                                                                 \
	}

DEFINE_SELECT(selp_b32, uint32_t)
DEFINE_SELECT(selp_b64, uint64_t)
