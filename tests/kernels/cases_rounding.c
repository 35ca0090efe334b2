/* SPDX-License-Identifier: Apache-2.0 */
/* Arithmetic and conversions that IEEE 754 and the PTX manual define to the bit: roundings, saturation, NaN. */
#include "cases.h"

#include <fenv.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { COUNT = 1000, OPERATIONS = 24 };

static uint32_t bits_of(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof(bits));
	return bits;
}

static float float_of(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof(value));
	return value;
}

static float random_special(struct trial *trial)
{
	static const uint32_t special[] = {
		0,	     0x80000000u, 0x7f800000u, 0xff800000u, 0x7fc00000u, 1,
		0x80000001u, 0x007fffffu, 0x00800000u, 0x7f7fffffu, 0xff7fffffu, 0x3f800000u,
		0xbf800000u, 0x3f000000u, 0x4b000000u, 0x4b7fffffu, 0x40200000u,
	};
	uint64_t random = trial_random(trial);
	switch (random >> 62) {
	case 0:
		return float_of(special[random % (sizeof(special) / sizeof(special[0]))]);
	case 1:
		return float_of((uint32_t)random);
	default:
		return trial_random_float(trial, -1000, 1000);
	}
}

/* Volatile operands keep the compiler from computing before the rounding mode changes. */
static float operate(char operation, float left, float right, int mode)
{
	volatile float a = left, b = right, result;
	fesetround(mode);
	switch (operation) {
	case '+':
		result = a + b;
		break;
	case '*':
		result = a * b;
		break;
	case '/':
		result = a / b;
		break;
	case 'f':
		result = fmaf(a, b, a);
		break;
	default:
		result = sqrtf(fabsf(a));
		break;
	}
	fesetround(FE_TONEAREST);
	return result;
}

/* PTX min and max: a number wins over NaN, and -0 is below +0. */
static float extreme(float x, float y, bool smaller)
{
	if (isnan(x))
		return y;
	if (isnan(y))
		return x;
	if (x == y)
		return (signbit(x) != 0) == smaller ? x : y;
	return (x < y) == smaller ? x : y;
}

static void expect_rounded(float x, float y, uint32_t *result)
{
	float values[OPERATIONS - 1] = {
		operate('+', x, y, FE_TONEAREST),
		operate('+', x, y, FE_TOWARDZERO),
		operate('+', x, y, FE_UPWARD),
		operate('+', x, y, FE_DOWNWARD),
		operate('*', x, y, FE_TONEAREST),
		operate('*', x, y, FE_TOWARDZERO),
		operate('*', x, y, FE_UPWARD),
		operate('*', x, y, FE_DOWNWARD),
		operate('f', x, y, FE_TONEAREST),
		operate('f', x, y, FE_TOWARDZERO),
		operate('/', x, y, FE_TONEAREST),
		operate('s', x, y, FE_TONEAREST),
		operate('/', x, y, FE_TOWARDZERO),
		operate('/', 1, y, FE_TONEAREST),
		floorf(x),
		ceilf(x),
		truncf(x),
		rintf(x),
		roundf(x),
		extreme(x, y, true),
		extreme(x, y, false),
		copysignf(x, y),
		isnan(x) || x <= 0 ? 0 : (x > 1 ? 1 : x),
	};
	for (int i = 0; i < OPERATIONS - 1; i++)
		result[i] = bits_of(values[i]);
	result[OPERATIONS - 1] =
		(uint32_t)((x < y) | (x == y) << 1 | (x >= y) << 2 | (x != y) << 3 | (isnan(x) ? 16 : 0) |
			   (isinf(y) ? 32 : 0) | (signbit(x) ? 64 : 0) | (isfinite(y) ? 128 : 0));
}

static void run_rounded_arithmetic(struct trial *trial)
{
	unsigned count = COUNT;
	float *a = trial_allocate(trial, COUNT, sizeof(float)), *b = trial_allocate(trial, COUNT, sizeof(float));
	uint32_t *expected = trial_allocate(trial, COUNT * OPERATIONS, sizeof(uint32_t));
	for (unsigned i = 0; i < COUNT; i++) {
		a[i] = random_special(trial);
		b[i] = random_special(trial);
		expect_rounded(a[i], b[i], expected + i * OPERATIONS);
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * sizeof(float));
	CUdeviceptr d_b = trial_upload(trial, b, COUNT * sizeof(float));
	CUdeviceptr d_results = trial_reserve(trial, COUNT * OPERATIONS * sizeof(uint32_t));
	trial_launch(trial, "mathematics", "rounded_arithmetic", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	const uint32_t *got = trial_download(trial, d_results, COUNT * OPERATIONS * sizeof(uint32_t));
	for (unsigned i = 0; i < COUNT * OPERATIONS && !trial->failed; i++) {
		unsigned operation = i % OPERATIONS;
		/* The bits of a NaN are nobody's promise. */
		if (operation < OPERATIONS - 1 && isnan(float_of(got[i])) && isnan(float_of(expected[i])))
			continue;
		if (got[i] != expected[i])
			trial_fail(trial, "operation %u for (0x%08x, 0x%08x) is 0x%08x, expected 0x%08x", operation,
				   bits_of(a[i / OPERATIONS]), bits_of(b[i / OPERATIONS]), got[i], expected[i]);
	}
}

/* PTX cvt: out of range saturates; NaN is 0, but 1 << (bits - 1) where a 64-bit type takes part. */
static int64_t to_integer(double value, int mode, int bits, bool is_signed, bool is_64_bit)
{
	if (isnan(value))
		return !is_64_bit ? 0 : (bits == 64 ? INT64_MIN : (is_signed ? INT32_MIN : (int64_t)1 << 31));
	fesetround(mode);
	volatile double argument = value;
	double whole = nearbyint(argument);
	fesetround(FE_TONEAREST);
	double above = ldexp(1, is_signed ? bits - 1 : bits), least = is_signed ? -above : 0;
	if (whole < least)
		whole = least;
	if (whole >= above) {
		if (is_signed)
			return bits == 64 ? INT64_MAX : INT32_MAX;
		return bits == 64 ? -1 : (int64_t)UINT32_MAX;
	}
	return is_signed ? (int64_t)whole : (int64_t)(uint64_t)whole;
}

static void run_convert_to_integers(struct trial *trial)
{
	unsigned count = COUNT;
	float *a = trial_allocate(trial, COUNT, sizeof(float));
	double *b = trial_allocate(trial, COUNT, sizeof(double));
	int64_t *expected = trial_allocate(trial, COUNT * 16, sizeof(int64_t));
	for (unsigned i = 0; i < COUNT; i++) {
		float x = a[i] =
			i % 4 == 0 ? ldexpf(trial_random_float(trial, -1, 1), (int)(i % 70)) : random_special(trial);
		double y = b[i] =
			i % 3 == 0 ? (double)(int64_t)trial_random(trial) / 3 : random_special(trial) * 1.0000001;
		int64_t *result = expected + i * 16;
		uint64_t bits;
		result[0] = to_integer(x, FE_TONEAREST, 32, true, false);
		result[1] = to_integer(x, FE_TOWARDZERO, 32, true, false);
		result[2] = to_integer(x, FE_UPWARD, 32, true, false);
		result[3] = to_integer(x, FE_DOWNWARD, 32, true, false);
		result[4] = to_integer(x, FE_TONEAREST, 32, false, false);
		result[5] = to_integer(x, FE_TOWARDZERO, 32, false, false);
		result[6] = to_integer(x, FE_TONEAREST, 64, true, true);
		result[7] = to_integer(x, FE_TOWARDZERO, 64, false, true);
		result[8] = to_integer(y, FE_TONEAREST, 32, true, true);
		result[9] = to_integer(y, FE_DOWNWARD, 32, true, true);
		result[10] = to_integer(y, FE_UPWARD, 32, false, true);
		result[11] = to_integer(y, FE_TOWARDZERO, 64, true, true);
		result[12] = to_integer(y, FE_TONEAREST, 64, false, true);
		memcpy(&bits, &y, sizeof(bits));
		result[13] = (int32_t)(bits >> 32);
		result[14] = (int32_t)bits;
		/* fmaxf(NaN, -128) is -128. */
		result[15] = isnan(x) ? -128 : to_integer(fmax(fmin(x, 127), -128), FE_TOWARDZERO, 32, true, false);
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * sizeof(float));
	CUdeviceptr d_b = trial_upload(trial, b, COUNT * sizeof(double));
	CUdeviceptr d_results = trial_reserve(trial, COUNT * 16 * sizeof(int64_t));
	trial_launch(trial, "conversions", "convert_to_integers", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	const int64_t *got = trial_download(trial, d_results, COUNT * 16 * sizeof(int64_t));
	for (unsigned i = 0; i < COUNT * 16 && !trial->failed; i++)
		if (got[i] != expected[i])
			trial_fail(trial, "conversion %u of (%.9g, %.17g) is %lld, expected %lld", i % 16,
				   (double)a[i / 16], b[i / 16], (long long)got[i], (long long)expected[i]);
}

/* The result of an integer's conversion with a rounding mode; the value is a long double, so exact. */
static float round_float(long double value, int mode)
{
	volatile long double argument = value;
	fesetround(mode);
	volatile float result = (float)argument;
	fesetround(FE_TONEAREST);
	return result;
}

static double round_double(long double value, int mode)
{
	volatile long double argument = value;
	fesetround(mode);
	volatile double result = (double)argument;
	fesetround(FE_TONEAREST);
	return result;
}

static void run_convert_to_floats(struct trial *trial)
{
	unsigned count = COUNT;
	int64_t *a = trial_allocate(trial, COUNT, sizeof(int64_t));
	double *b = trial_allocate(trial, COUNT, sizeof(double));
	double *expected = trial_allocate(trial, COUNT * 14, sizeof(double));
	for (unsigned i = 0; i < COUNT; i++) {
		int64_t x = a[i] = (int64_t)trial_random(trial) >> (i % 64);
		double y = b[i] = trial_random_float(trial, -1, 1) * 1.000000123 * ldexp(1, (int)(i % 300) - 160);
		double *result = expected + i * 14;
		result[0] = round_float((int32_t)x, FE_TONEAREST);
		result[1] = round_float((int32_t)x, FE_TOWARDZERO);
		result[2] = round_float((uint32_t)x, FE_TONEAREST);
		result[3] = round_float((uint32_t)x, FE_UPWARD);
		result[4] = round_float(x, FE_TONEAREST);
		result[5] = round_float((uint64_t)x, FE_DOWNWARD);
		result[6] = (int32_t)x;
		result[7] = round_double(x, FE_TONEAREST);
		result[8] = round_double(x, FE_TOWARDZERO);
		result[9] = round_double((uint64_t)x, FE_UPWARD);
		result[10] = round_float(y, FE_TONEAREST);
		result[11] = round_float(y, FE_TOWARDZERO);
		result[12] = round_float(y, FE_UPWARD);
		result[13] = (float)(uint8_t)x + (float)(int16_t)x;
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * sizeof(int64_t));
	CUdeviceptr d_b = trial_upload(trial, b, COUNT * sizeof(double));
	CUdeviceptr d_results = trial_reserve(trial, COUNT * 14 * sizeof(double));
	trial_launch(trial, "conversions", "convert_to_floats", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	trial_equal_u64(trial, "14 results each, result", trial_download(trial, d_results, COUNT * 14 * sizeof(double)),
			(uint64_t *)expected, COUNT * 14);
}

const struct trial_case cases_rounding[] = {
	{"rounded_arithmetic", run_rounded_arithmetic},
	{"convert_to_integers", run_convert_to_integers},
	{"convert_to_floats", run_convert_to_floats},
	{NULL, NULL},
};
