/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mathematical functions against the host's, computed one precision higher.
 * Limits are in units in the last place and twice what the CUDA C++ Programming
 * Guide states as the maximum error (appendix "Mathematical Functions").
 */
#include "cases.h"

#include <float.h>
#include <math.h>

enum { COUNT = 1024, FUNCTIONS = 32, FAST = 8 };

/* Arguments as the kernel derives them in its own precision. */
struct arguments {
	long double x, y, positive, unit, gamma, log_gamma;
};

/* The functions of mathematics.cu, in its order. */
static void compute(const struct arguments *arguments, long double *results)
{
	long double x = arguments->x, y = arguments->y, positive = arguments->positive, unit = arguments->unit;
	results[0] = sinl(x);
	results[1] = cosl(x);
	results[2] = tanl(x);
	results[3] = asinl(unit);
	results[4] = acosl(unit);
	results[5] = atanl(x);
	results[6] = atan2l(x, y);
	results[7] = sinhl(y);
	results[8] = coshl(y);
	results[9] = tanhl(y);
	results[10] = expl(y);
	results[11] = exp2l(y);
	results[12] = exp10l(y);
	results[13] = expm1l(y);
	results[14] = logl(positive);
	results[15] = log2l(positive);
	results[16] = log10l(positive);
	results[17] = log1pl(positive);
	results[18] = powl(positive, y);
	results[19] = sqrtl(positive);
	results[20] = 1 / sqrtl(positive);
	results[21] = cbrtl(x);
	results[22] = hypotl(x, y);
	results[23] = erfl(y);
	results[24] = erfcl(y);
	results[25] = tgammal(arguments->gamma);
	results[26] = lgammal(arguments->log_gamma);
	results[27] = fmodl(x, y);
	results[28] = x / y;
	results[29] = ldexpl(y, 5);
	results[30] = asinhl(x);
	results[31] = 0.5L * erfcl(-unit * 0.70710678118654752440084436210485L);
}

static const char *const names[FUNCTIONS] = {
	"sin",	 "cos",	  "tan",   "asin",   "acos",   "atan",	"atan2",    "sinh",  "cosh",  "tanh",	 "exp",
	"exp2",	 "exp10", "expm1", "log",    "log2",   "log10", "log1p",    "pow",   "sqrt",  "rsqrt",	 "cbrt",
	"hypot", "erf",	  "erfc",  "tgamma", "lgamma", "fmod",	"division", "ldexp", "asinh", "normcdf",
};

static const double float_limits[FUNCTIONS] = {
	4, 4, 8, 4, 4, 4, 6, 6, 4, 4, 4, 4, 4, 2, 2, 2, 4, 2, 8, 0.51, 4, 2, 6, 4, 8, 22, 12, 0, 0.51, 0, 6, 10,
};

static const double double_limits[FUNCTIONS] = {
	4, 4, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 4, 0.51, 2, 2, 4, 4, 10, 20, 8, 0, 0.51, 0, 4, 10,
};

/* Distance in units of the last place of the expected value in a format of 'digits' bits and a least exponent. */
static double error_in_ulps(long double got, long double expected, int digits, int least_exponent)
{
	if (isnan(expected) || isnan(got))
		return isnan(expected) && isnan(got) ? 0 : HUGE_VAL;
	if (got == expected)
		return 0;
	if (isinf(expected) || isinf(got))
		return HUGE_VAL;
	int exponent;
	frexpl(expected, &exponent);
	if (exponent < least_exponent)
		exponent = least_exponent;
	return (double)(fabsl(got - expected) / ldexpl(1, exponent - digits));
}

static void run_mathematics_float(struct trial *trial)
{
	unsigned count = COUNT;
	float *a = trial_allocate(trial, COUNT, sizeof(float)), *b = trial_allocate(trial, COUNT, sizeof(float));
	for (unsigned i = 0; i < COUNT; i++) {
		a[i] = trial_random_float(trial, -20, 20);
		b[i] = trial_random_float(trial, -9, 9);
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * sizeof(float));
	CUdeviceptr d_b = trial_upload(trial, b, COUNT * sizeof(float));
	CUdeviceptr d_results = trial_reserve(trial, COUNT * FUNCTIONS * sizeof(float));
	trial_launch(trial, "mathematics", "mathematics_float", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	const float *results = trial_download(trial, d_results, COUNT * FUNCTIONS * sizeof(float));
	for (unsigned i = 0; i < COUNT && !trial->failed; i++) {
		long double expected[FUNCTIONS];
		struct arguments arguments = {
			.x = a[i],
			.y = b[i],
			.positive = fabsf(a[i]) + 0.001f,
			.unit = b[i] * 0.1f,
			.gamma = fabsf(b[i]) + 0.5f,
			.log_gamma = fabsf(b[i]) + 2.5f,
		};
		compute(&arguments, expected);
		for (int j = 0; j < FUNCTIONS; j++) {
			float got = results[i * FUNCTIONS + j];
			double error = error_in_ulps(got, expected[j], FLT_MANT_DIG, FLT_MIN_EXP);
			if (error > float_limits[j])
				trial_fail(trial, "%sf for (%.9g, %.9g) is %.9g, expected %.9Lg: off by %.2f ulp",
					   names[j], (double)a[i], (double)b[i], (double)got, expected[j], error);
		}
	}
}

static void run_mathematics_double(struct trial *trial)
{
	unsigned count = COUNT;
	double *a = trial_allocate(trial, COUNT, sizeof(double)), *b = trial_allocate(trial, COUNT, sizeof(double));
	for (unsigned i = 0; i < COUNT; i++) {
		a[i] = trial_random_float(trial, -20, 20) * (1 + 1e-9);
		b[i] = trial_random_float(trial, -9, 9) * (1 + 1e-9);
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * sizeof(double));
	CUdeviceptr d_b = trial_upload(trial, b, COUNT * sizeof(double));
	CUdeviceptr d_results = trial_reserve(trial, COUNT * FUNCTIONS * sizeof(double));
	trial_launch(trial, "mathematics", "mathematics_double", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	const double *results = trial_download(trial, d_results, COUNT * FUNCTIONS * sizeof(double));
	for (unsigned i = 0; i < COUNT && !trial->failed; i++) {
		long double expected[FUNCTIONS];
		struct arguments arguments = {
			.x = a[i],
			.y = b[i],
			.positive = fabs(a[i]) + 0.001,
			.unit = b[i] * 0.1,
			.gamma = fabs(b[i]) + 0.5,
			.log_gamma = fabs(b[i]) + 2.5,
		};
		compute(&arguments, expected);
		for (int j = 0; j < FUNCTIONS; j++) {
			double got = results[i * FUNCTIONS + j];
			double error = error_in_ulps(got, expected[j], DBL_MANT_DIG, DBL_MIN_EXP);
			if (error > double_limits[j])
				trial_fail(trial, "%s for (%.17g, %.17g) is %.17g, expected %.17Lg: off by %.2f ulp",
					   names[j], a[i], b[i], got, expected[j], error);
		}
	}
}

/* Absolute and relative tolerances: these instructions are approximations by definition. */
static void run_mathematics_fast(struct trial *trial)
{
	unsigned count = COUNT;
	float *a = trial_allocate(trial, COUNT, sizeof(float)), *b = trial_allocate(trial, COUNT, sizeof(float));
	float *expected = trial_allocate(trial, COUNT * FAST, sizeof(float));
	for (unsigned i = 0; i < COUNT; i++) {
		float x = a[i] = trial_random_float(trial, -20, 20), y = b[i] = trial_random_float(trial, -3.1f, 3.1f);
		float *result = expected + i * FAST;
		result[0] = (float)sin(y);
		result[1] = (float)cos(y);
		result[2] = (float)exp(y);
		result[3] = (float)log(fabs(x) + 2.0);
		result[4] = x / y;
		result[5] = (float)pow(fabs(x) + 0.5, y * 0.2);
		result[6] = (float)sin(x);
		result[7] = (float)cos(x);
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * sizeof(float));
	CUdeviceptr d_b = trial_upload(trial, b, COUNT * sizeof(float));
	CUdeviceptr d_results = trial_reserve(trial, COUNT * FAST * sizeof(float));
	trial_launch(trial, "mathematics", "mathematics_fast", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	trial_near_float(trial, "8 results each, result",
			 trial_download(trial, d_results, COUNT * FAST * sizeof(float)), expected, COUNT * FAST, 1e-6,
			 4e-6);
}

static void run_mathematics_large(struct trial *trial)
{
	unsigned count = COUNT;
	float *a = trial_allocate(trial, COUNT, sizeof(float)), *sines = trial_allocate(trial, COUNT, sizeof(float));
	double *b = trial_allocate(trial, COUNT, sizeof(double)),
	       *cosines = trial_allocate(trial, COUNT, sizeof(double));
	for (unsigned i = 0; i < COUNT; i++) {
		a[i] = ldexpf(trial_random_float(trial, 1, 2), (int)(i % 120));
		b[i] = ldexp(trial_random_float(trial, -2, 2) + 1e-9, (int)(i % 900));
		sines[i] = (float)sin((double)a[i]);
		cosines[i] = cos(b[i]);
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * sizeof(float));
	CUdeviceptr d_b = trial_upload(trial, b, COUNT * sizeof(double));
	CUdeviceptr d_sines = trial_reserve(trial, COUNT * sizeof(float));
	CUdeviceptr d_cosines = trial_reserve(trial, COUNT * sizeof(double));
	trial_launch(trial, "mathematics", "mathematics_large", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_sines, &d_cosines, &count));
	trial_near_float(trial, "sine", trial_download(trial, d_sines, COUNT * sizeof(float)), sines, COUNT, 1e-9,
			 4e-7);
	trial_near_double(trial, "cosine", trial_download(trial, d_cosines, COUNT * sizeof(double)), cosines, COUNT,
			  1e-18, 1e-15);
}

const struct trial_case cases_mathematics[] = {
	{"mathematics_float", run_mathematics_float},
	{"mathematics_double", run_mathematics_double},
	{"mathematics_fast", run_mathematics_fast},
	{"mathematics_large", run_mathematics_large},
	{NULL, NULL},
};
