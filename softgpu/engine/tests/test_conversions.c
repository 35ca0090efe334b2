/* SPDX-License-Identifier: Apache-2.0 */
#include "snippet.h"
#include "testing.h"

#include <fenv.h>
#include <math.h>

#define REFERENCE(name)                                                                              \
	static uint64_t name(__attribute__((unused)) uint64_t a, __attribute__((unused)) uint64_t b, \
			     __attribute__((unused)) uint64_t c)

#define CHECK(code, bits, reference) \
	snippet_check(code, bits, snippet_integers, snippet_integer_count, reference, snippet_equal)
#define CHECK_F32(code, bits, reference) \
	snippet_check(code, bits, snippet_floats, snippet_float_count, reference, snippet_equal)
#define CHECK_TO_F32(code, reference) \
	snippet_check(code, 32, snippet_doubles, snippet_double_count, reference, snippet_equal_f32)

REFERENCE(sign_8_to_64)
{
	return (uint64_t)(int64_t)(int8_t)a;
}

REFERENCE(sign_16_to_32)
{
	return (uint32_t)(int16_t)a;
}

REFERENCE(zero_8_to_32)
{
	return (uint8_t)a;
}

REFERENCE(saturate_s64_to_u8)
{
	int64_t value = (int64_t)a;

	return value < 0 ? 0 : value > 255 ? 255 : (uint64_t)value;
}

REFERENCE(saturate_u64_to_s32)
{
	return a > INT32_MAX ? INT32_MAX : a;
}

REFERENCE(sign_32_to_64)
{
	return (uint64_t)(int64_t)(int32_t)a;
}

static void test_integers(void **state)
{
	(void)state;
	CHECK("cvt.s64.s8 %d, %a32;", 64, sign_8_to_64);
	CHECK("cvt.s32.s16 %d32, %a16;", 32, sign_16_to_32);
	CHECK("cvt.u32.u8 %d32, %a32;", 32, zero_8_to_32);
	CHECK("cvt.s64.s32 %d, %a32;", 64, sign_32_to_64);
	CHECK("cvt.sat.u8.s64 %d32, %a;", 32, saturate_s64_to_u8);
	CHECK("cvt.sat.s32.u64 %d32, %a;", 32, saturate_u64_to_s32);
}

REFERENCE(f32_from_u64)
{
	return snippet_float_bits((float)a);
}

REFERENCE(f32_from_s64_rp)
{
	volatile int64_t value = (int64_t)a;

	fesetround(FE_UPWARD);
	volatile float result = (float)value;

	fesetround(FE_TONEAREST);
	return snippet_float_bits(result);
}

REFERENCE(f64_from_u64_rz)
{
	volatile double result = (double)a;

	/* Rounded to nearest it can lie above. */
	if ((unsigned __int128)result > a)
		result = nextafter(result, 0);
	return snippet_double_bits(result);
}

REFERENCE(f32_from_s32)
{
	return snippet_float_bits((float)(int32_t)a);
}

static void test_to_float(void **state)
{
	(void)state;
	CHECK("cvt.rn.f32.u64 %d32, %a;", 32, f32_from_u64);
	CHECK("cvt.rp.f32.s64 %d32, %a;", 32, f32_from_s64_rp);
	CHECK("cvt.rz.f64.u64 %d, %a;", 64, f64_from_u64_rz);
	CHECK("cvt.rn.f32.s32 %d32, %a32;", 32, f32_from_s32);
}

static uint64_t clamp(double value, double least, double most, uint64_t nan)
{
	if (isnan(value))
		return nan;
	return (uint64_t)(int64_t)(value < least ? least : value > most ? most : value);
}

REFERENCE(s32_from_f32_rzi)
{
	return clamp(trunc((double)snippet_float(a)), INT32_MIN, INT32_MAX, 0);
}

REFERENCE(u32_from_f32_rzi)
{
	return clamp(trunc((double)snippet_float(a)), 0, UINT32_MAX, 0);
}

REFERENCE(s16_from_f32_rni)
{
	return clamp(rint((double)snippet_float(a)), INT16_MIN, INT16_MAX, 0) & 0xffff;
}

REFERENCE(u64_from_f32_rpi)
{
	float value = ceilf(snippet_float(a));

	if (isnan(value))
		return UINT64_C(1) << 63;
	return value <= 0 ? 0 : value >= 0x1p64f ? UINT64_MAX : (uint64_t)value;
}

REFERENCE(floor_f32)
{
	return snippet_float_bits(floorf(snippet_float(a)));
}

REFERENCE(f64_from_f32)
{
	return snippet_double_bits((double)snippet_float(a));
}

static void test_from_single(void **state)
{
	(void)state;
	CHECK_F32("cvt.rzi.s32.f32 %d32, %a32;", 32, s32_from_f32_rzi);
	CHECK_F32("cvt.rzi.u32.f32 %d32, %a32;", 32, u32_from_f32_rzi);
	CHECK_F32("cvt.rni.s16.f32 %d16, %a32;", 16, s16_from_f32_rni);
	CHECK_F32("cvt.rpi.u64.f32 %d, %a32;", 64, u64_from_f32_rpi);
	snippet_check("cvt.rmi.f32.f32 %d32, %a32;", 32, snippet_floats, snippet_float_count, floor_f32,
		      snippet_equal_f32);
	snippet_check("cvt.f64.f32 %d, %a32;", 64, snippet_floats, snippet_float_count, f64_from_f32,
		      snippet_equal_f64);
}

REFERENCE(f32_from_f64)
{
	return snippet_float_bits((float)snippet_double(a));
}

REFERENCE(f32_from_f64_rm)
{
	volatile double value = snippet_double(a);

	fesetround(FE_DOWNWARD);
	volatile float result = (float)value;

	fesetround(FE_TONEAREST);
	return snippet_float_bits(result);
}

REFERENCE(s32_from_f64_rni)
{
	return clamp(rint(snippet_double(a)), INT32_MIN, INT32_MAX, 0x80000000) & UINT32_MAX;
}

static void test_from_double(void **state)
{
	(void)state;
	CHECK_TO_F32("cvt.rn.f32.f64 %d32, %a;", f32_from_f64);
	CHECK_TO_F32("cvt.rm.f32.f64 %d32, %a;", f32_from_f64_rm);
	snippet_check("cvt.rni.s32.f64 %d32, %a;", 32, snippet_doubles, snippet_double_count, s32_from_f64_rni,
		      snippet_equal);
}

REFERENCE(pack)
{
	return (a & 0xffff) | b << 16;
}

REFERENCE(swap_words)
{
	return a << 32 | a >> 32;
}

static void test_vectors(void **state)
{
	(void)state;
	CHECK("mov.b32 %d32, {%a16, %b16};", 32, pack);
	CHECK("mov.b64 {%t32, %u32}, %a; mov.b64 %d, {%u32, %t32};", 64, swap_words);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),    cmocka_unit_test(test_to_float), cmocka_unit_test(test_from_single),
		cmocka_unit_test(test_from_double), cmocka_unit_test(test_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
