/* SPDX-License-Identifier: Apache-2.0 */
#include "snippet.h"
#include "testing.h"

#include <fenv.h>
#include <math.h>

#define REFERENCE(name)                                                                              \
	static uint64_t name(__attribute__((unused)) uint64_t a, __attribute__((unused)) uint64_t b, \
			     __attribute__((unused)) uint64_t c)

/* The reference in the processor's own rounding mode. */
#define REFERENCE_F32(name, mode, expression)                                                            \
	REFERENCE(name)                                                                                  \
	{                                                                                                \
		volatile float x = snippet_float(a), y = snippet_float(b), z = snippet_float(c), result; \
		(void)x, (void)y, (void)z;                                                               \
		fesetround(mode);                                                                        \
		result = expression;                                                                     \
		fesetround(FE_TONEAREST);                                                                \
		return snippet_float_bits(result);                                                       \
	}

#define REFERENCE_F64(name, mode, expression)                                                                \
	REFERENCE(name)                                                                                      \
	{                                                                                                    \
		volatile double x = snippet_double(a), y = snippet_double(b), z = snippet_double(c), result; \
		(void)x, (void)y, (void)z;                                                                   \
		fesetround(mode);                                                                            \
		result = expression;                                                                         \
		fesetround(FE_TONEAREST);                                                                    \
		return snippet_double_bits(result);                                                          \
	}

#define CHECK32(code, reference) \
	snippet_check(code, 32, snippet_floats, snippet_float_count, reference, snippet_equal_f32)
#define CHECK64(code, reference) \
	snippet_check(code, 64, snippet_doubles, snippet_double_count, reference, snippet_equal_f64)

REFERENCE_F32(add_rn, FE_TONEAREST, x + y)
REFERENCE_F32(add_rz, FE_TOWARDZERO, x + y)
REFERENCE_F32(sub_rm, FE_DOWNWARD, x - y)
REFERENCE_F32(mul_rn, FE_TONEAREST, x *y)
REFERENCE_F32(mul_rp, FE_UPWARD, x *y)
REFERENCE_F32(fma_rn, FE_TONEAREST, fmaf(x, y, z))
REFERENCE_F32(fma_rm, FE_DOWNWARD, fmaf(x, y, z))
REFERENCE_F32(fma_rp, FE_UPWARD, fmaf(x, y, z))
REFERENCE_F32(fma_rz, FE_TOWARDZERO, fmaf(x, y, z))
REFERENCE_F32(div_rn, FE_TONEAREST, x / y)
REFERENCE_F32(div_rz, FE_TOWARDZERO, x / y)
REFERENCE_F32(div_rp, FE_UPWARD, x / y)
REFERENCE_F32(sqrt_rn, FE_TONEAREST, sqrtf(x))
REFERENCE_F32(sqrt_rm, FE_DOWNWARD, sqrtf(x))
REFERENCE_F32(rcp_rn, FE_TONEAREST, 1.0f / x)

static void test_single(void **state)
{
	(void)state;
	CHECK32("add.f32 %d32, %a32, %b32;", add_rn);
	CHECK32("mul.f32 %d32, %a32, %b32;", mul_rn);
	CHECK32("fma.rn.f32 %d32, %a32, %b32, %c32;", fma_rn);
	CHECK32("div.rn.f32 %d32, %a32, %b32;", div_rn);
	CHECK32("sqrt.rn.f32 %d32, %a32;", sqrt_rn);
	CHECK32("rcp.rn.f32 %d32, %a32;", rcp_rn);
}

static void test_single_directed(void **state)
{
	(void)state;
	CHECK32("add.rz.f32 %d32, %a32, %b32;", add_rz);
	CHECK32("sub.rm.f32 %d32, %a32, %b32;", sub_rm);
	CHECK32("mul.rp.f32 %d32, %a32, %b32;", mul_rp);
	CHECK32("fma.rm.f32 %d32, %a32, %b32, %c32;", fma_rm);
	CHECK32("fma.rp.f32 %d32, %a32, %b32, %c32;", fma_rp);
	CHECK32("fma.rz.f32 %d32, %a32, %b32, %c32;", fma_rz);
	CHECK32("div.rz.f32 %d32, %a32, %b32;", div_rz);
	CHECK32("div.rp.f32 %d32, %a32, %b32;", div_rp);
	CHECK32("sqrt.rm.f32 %d32, %a32;", sqrt_rm);
}

REFERENCE_F64(add_f64, FE_TONEAREST, x + y)
REFERENCE_F64(mul_rz_f64, FE_TOWARDZERO, x *y)
REFERENCE_F64(fma_f64, FE_TONEAREST, fma(x, y, z))
REFERENCE_F64(fma_rp_f64, FE_UPWARD, fma(x, y, z))
REFERENCE_F64(div_f64, FE_TONEAREST, x / y)
REFERENCE_F64(sqrt_f64, FE_TONEAREST, sqrt(x))

static void test_double(void **state)
{
	(void)state;
	CHECK64("add.f64 %d, %a, %b;", add_f64);
	CHECK64("mul.rz.f64 %d, %a, %b;", mul_rz_f64);
	CHECK64("fma.rn.f64 %d, %a, %b, %c;", fma_f64);
	CHECK64("fma.rp.f64 %d, %a, %b, %c;", fma_rp_f64);
	CHECK64("div.rn.f64 %d, %a, %b;", div_f64);
	CHECK64("sqrt.rn.f64 %d, %a;", sqrt_f64);
}

static float flush(float x)
{
	return fabsf(x) < 0x1p-126f ? copysignf(0.0f, x) : x;
}

REFERENCE(add_ftz)
{
	return snippet_float_bits(flush(flush(snippet_float(a)) + flush(snippet_float(b))));
}

REFERENCE(mul_sat)
{
	float product = snippet_float(a) * snippet_float(b);

	return snippet_float_bits(product > 0.0f ? fminf(product, 1.0f) : 0.0f);
}

REFERENCE(minimum)
{
	float x = snippet_float(a), y = snippet_float(b);

	if (x == 0.0f && y == 0.0f)
		return a | b;
	return snippet_float_bits(fminf(x, y));
}

REFERENCE(maximum_nan)
{
	float x = snippet_float(a), y = snippet_float(b);

	if (isnan(x) || isnan(y))
		return 0x7fffffff;
	if (x == 0.0f && y == 0.0f)
		return a & b;
	return snippet_float_bits(fmaxf(x, y));
}

REFERENCE(less_or_unordered)
{
	return !(snippet_float(a) >= snippet_float(b));
}

REFERENCE(not_equal_ordered)
{
	float x = snippet_float(a), y = snippet_float(b);

	return x < y || x > y;
}

REFERENCE(is_number_f64)
{
	return !isnan(snippet_double(a)) && !isnan(snippet_double(b));
}

REFERENCE(copysign_f32)
{
	return (b & 0x7fffffff) | (a & 0x80000000);
}

REFERENCE(is_subnormal)
{
	return fabsf(snippet_float(a)) < 0x1p-126f;
}

static void test_variants(void **state)
{
	(void)state;
	CHECK32("add.ftz.f32 %d32, %a32, %b32;", add_ftz);
	CHECK32("mul.sat.f32 %d32, %a32, %b32;", mul_sat);
	CHECK32("min.f32 %d32, %a32, %b32;", minimum);
	CHECK32("max.NaN.f32 %d32, %a32, %b32;", maximum_nan);
	CHECK32("setp.ltu.f32 %p, %a32, %b32; selp.u32 %d32, 1, 0, %p;", less_or_unordered);
	CHECK32("setp.ne.f32 %p, %a32, %b32; selp.u32 %d32, 1, 0, %p;", not_equal_ordered);
	CHECK64("setp.num.f64 %p, %a, %b; selp.u64 %d, 1, 0, %p;", is_number_f64);
	CHECK32("copysign.f32 %d32, %a32, %b32;", copysign_f32);
	CHECK32("testp.subnormal.f32 %p, %a32; selp.u32 %d32, 1, 0, %p;", is_subnormal);
}

REFERENCE(exp2_reference)
{
	return snippet_float_bits(exp2f(snippet_float(a)));
}

REFERENCE(log2_reference)
{
	return snippet_float_bits(log2f(snippet_float(a)));
}

REFERENCE(rsqrt_reference)
{
	return snippet_float_bits((float)(1.0 / sqrt((double)snippet_float(a))));
}

REFERENCE(sin_reference)
{
	return snippet_float_bits(sinf(snippet_float(a)));
}

REFERENCE(tanh_reference)
{
	return snippet_float_bits(tanhf(snippet_float(a)));
}

static void test_approximations(void **state)
{
	(void)state;
	snippet_check("ex2.approx.f32 %d32, %a32;", 32, snippet_floats, snippet_float_count, exp2_reference,
		      snippet_near_f32);
	snippet_check("lg2.approx.f32 %d32, %a32;", 32, snippet_floats, snippet_float_count, log2_reference,
		      snippet_near_f32);
	snippet_check("rsqrt.approx.f32 %d32, %a32;", 32, snippet_floats, snippet_float_count, rsqrt_reference,
		      snippet_near_f32);
	snippet_check("sin.approx.f32 %d32, %a32;", 32, snippet_floats, snippet_float_count, sin_reference,
		      snippet_near_f32);
	snippet_check("tanh.approx.f32 %d32, %a32;", 32, snippet_floats, snippet_float_count, tanh_reference,
		      snippet_near_f32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_single),	 cmocka_unit_test(test_single_directed), cmocka_unit_test(test_double),
		cmocka_unit_test(test_variants), cmocka_unit_test(test_approximations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
