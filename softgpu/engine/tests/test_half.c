/* SPDX-License-Identifier: Apache-2.0 */
/* The references search all values of the format for the nearest: slow, but they share nothing with the engine. */
#include "snippet.h"
#include "testing.h"

#include <math.h>

#define REFERENCE(name)                                                                              \
	static uint64_t name(__attribute__((unused)) uint64_t a, __attribute__((unused)) uint64_t b, \
			     __attribute__((unused)) uint64_t c)

static long double half_value(uint64_t bits, int exponent_bits, int fraction_bits)
{
	int exponent = (int)(bits >> fraction_bits & ((1u << exponent_bits) - 1));
	long double fraction = (long double)(bits & ((1u << fraction_bits) - 1));
	int bias = (1 << (exponent_bits - 1)) - 1;
	long double value = exponent ? ldexpl(fraction + ldexpl(1.0L, fraction_bits), exponent - bias - fraction_bits)
				     : ldexpl(fraction, 1 - bias - fraction_bits);

	if (exponent == (1 << exponent_bits) - 1)
		value = fraction == 0 ? (long double)INFINITY : (long double)NAN;
	return bits >> 15 & 1 ? -value : value;
}

/* Infinity counts as the power of two that would follow the largest number. */
static uint64_t nearest(long double value, int exponent_bits, int fraction_bits)
{
	uint64_t infinity = (uint64_t)((1u << exponent_bits) - 1) << fraction_bits, low = 0, high = infinity;
	long double magnitude = fabsl(value);
	uint64_t sign = signbit(value) ? 0x8000 : 0;

	if (isnan(value))
		return 0x7fff;
	if (isinf(value))
		return sign | infinity;
	while (high - low > 1) {
		uint64_t middle = (low + high) / 2;

		if (half_value(middle, exponent_bits, fraction_bits) <= magnitude)
			low = middle;
		else
			high = middle;
	}
	long double below = half_value(low, exponent_bits, fraction_bits);
	long double above = high == infinity ? ldexpl(1.0L, 1 << (exponent_bits - 1))
					     : half_value(high, exponent_bits, fraction_bits);

	if (magnitude - below < above - magnitude)
		return sign | low;
	if (magnitude - below > above - magnitude)
		return sign | high;
	return sign | (low & 1 ? high : low);
}

static int equal_half(uint64_t expected, uint64_t got)
{
	return expected == got || ((expected & 0x7fff) > 0x7c00 && (got & 0x7fff) > 0x7c00);
}

static int equal_bfloat(uint64_t expected, uint64_t got)
{
	return expected == got || ((expected & 0x7fff) > 0x7f80 && (got & 0x7fff) > 0x7f80);
}

#define CHECK(code, reference)	 snippet_check(code, 16, snippet_halves, snippet_half_count, reference, equal_half)
#define CHECK_B(code, reference) snippet_check(code, 16, snippet_halves, snippet_half_count, reference, equal_bfloat)

REFERENCE(add)
{
	return nearest(half_value(a, 5, 10) + half_value(b, 5, 10), 5, 10);
}

REFERENCE(mul)
{
	return nearest(half_value(a, 5, 10) * half_value(b, 5, 10), 5, 10);
}

REFERENCE(fma_half)
{
	/* 22-bit products and sums over 41 binades fit 64 bits. */
	return nearest(half_value(a, 5, 10) * half_value(b, 5, 10) + half_value(c, 5, 10), 5, 10);
}

REFERENCE(relu)
{
	uint64_t result = fma_half(a, b, c);

	return result & 0x8000 && (result & 0x7fff) <= 0x7c00 ? 0 : result;
}

REFERENCE(add_b)
{
	return nearest(half_value(a, 8, 7) + half_value(b, 8, 7), 8, 7);
}

REFERENCE(mul_b)
{
	return nearest(half_value(a, 8, 7) * half_value(b, 8, 7), 8, 7);
}

REFERENCE(fma_b)
{
	/* Exact where long double's 64 bits reach; beyond, the smaller term only breaks ties that do not occur. */
	return nearest(half_value(a, 8, 7) * half_value(b, 8, 7) + half_value(c, 8, 7), 8, 7);
}

REFERENCE(sub)
{
	return nearest(half_value(a, 5, 10) - half_value(b, 5, 10), 5, 10);
}

REFERENCE(upper_add)
{
	return add(b, a, 0);
}

REFERENCE(maximum)
{
	long double x = half_value(a, 5, 10), y = half_value(b, 5, 10);

	if (isnan(x) && isnan(y))
		return 0x7fff;
	if (x == 0 && y == 0)
		return a & b & 0xffff;
	return isnan(x) ? b : isnan(y) ? a : x > y ? a : b;
}

static int equal_relu(uint64_t expected, uint64_t got)
{
	return equal_half(expected, got) || ((expected & 0x7fff) == 0 && (got & 0x7fff) == 0);
}

static void test_arithmetic(void **state)
{
	(void)state;
	CHECK("add.f16 %d16, %a16, %b16;", add);
	CHECK("mul.rn.f16 %d16, %a16, %b16;", mul);
	CHECK("fma.rn.f16 %d16, %a16, %b16, %c16;", fma_half);
	snippet_check("fma.rn.relu.f16 %d16, %a16, %b16, %c16;", 16, snippet_halves, snippet_half_count, relu,
		      equal_relu);
	CHECK("max.f16 %d16, %a16, %b16;", maximum);
	CHECK_B("add.rn.bf16 %d16, %a16, %b16;", add_b);
	CHECK_B("mul.rn.bf16 %d16, %a16, %b16;", mul_b);
	CHECK_B("fma.rn.bf16 %d16, %a16, %b16, %c16;", fma_b);
	CHECK("sub.f16 %d16, %a16, %b16;", sub);
	CHECK("mov.b32 %t32, {%a16, %b16}; mov.b32 %u32, {%b16, %a16}; add.rn.f16x2 %t32, %t32, %u32;"
	      "mov.b32 {%t16, %d16}, %t32;",
	      upper_add);
}

REFERENCE(f16_from_f32)
{
	return nearest((long double)snippet_float(a), 5, 10);
}

REFERENCE(bf16_from_f32)
{
	return nearest((long double)snippet_float(a), 8, 7);
}

REFERENCE(f16x2_upper)
{
	return nearest((long double)snippet_float(a), 5, 10);
}

REFERENCE(f32_from_f16)
{
	return snippet_float_bits((float)half_value(a & 0xffff, 5, 10));
}

REFERENCE(f16_from_f64)
{
	return nearest((long double)snippet_double(a), 5, 10);
}

static void test_conversions(void **state)
{
	(void)state;
	snippet_check("cvt.rn.f16.f32 %d16, %a32;", 16, snippet_floats, snippet_float_count, f16_from_f32, equal_half);
	snippet_check("cvt.rn.bf16.f32 %d16, %a32;", 16, snippet_floats, snippet_float_count, bf16_from_f32,
		      equal_bfloat);
	snippet_check("cvt.rn.f16x2.f32 %t32, %a32, %b32; mov.b32 {%t16, %d16}, %t32;", 16, snippet_floats,
		      snippet_float_count, f16x2_upper, equal_half);
	snippet_check("cvt.f32.f16 %d32, %a16;", 32, snippet_halves, snippet_half_count, f32_from_f16,
		      snippet_equal_f32);
	snippet_check("cvt.rn.f16.f64 %d16, %a;", 16, snippet_doubles, snippet_double_count, f16_from_f64, equal_half);
}

REFERENCE(less)
{
	return half_value(a, 5, 10) < half_value(b, 5, 10);
}

REFERENCE(negative)
{
	return a ^ 0x8000;
}

static void test_comparison(void **state)
{
	(void)state;
	CHECK("setp.lt.f16 %p, %a16, %b16; selp.u16 %d16, 1, 0, %p;", less);
	CHECK("neg.f16 %d16, %a16;", negative);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arithmetic),
		cmocka_unit_test(test_conversions),
		cmocka_unit_test(test_comparison),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
