/* SPDX-License-Identifier: Apache-2.0 */
/* Half precision and bfloat16, against a reference that rounds doubles to the format. */
#include "cases.h"

#include <math.h>
#include <string.h>

enum { COUNT = 1024 };

struct format {
	int digits;	    /* of the significand, the hidden one included */
	int least_exponent; /* of the smallest normal number, as frexp counts */
	double largest;
};

static const struct format half = {11, -13, 65504.0};
static const struct format bfloat = {8, -125, 0x1.fep127};

enum direction { NEAREST, DOWN, UP, TO_ZERO };

/* The value in the format; infinite or the largest where it overflows, as the direction has it. */
static double round_to(const struct format *format, double value, enum direction direction)
{
	if (value == 0 || isnan(value) || isinf(value))
		return value;
	int exponent;
	frexp(value, &exponent);
	if (exponent < format->least_exponent)
		exponent = format->least_exponent;
	double unit = ldexp(1, exponent - format->digits), scaled = value / unit, whole;
	switch (direction) {
	case NEAREST:
		whole = rint(scaled);
		break;
	case DOWN:
		whole = floor(scaled);
		break;
	case UP:
		whole = ceil(scaled);
		break;
	default:
		whole = trunc(scaled);
		break;
	}
	double result = copysign(whole * unit, value);
	if (fabs(result) <= format->largest)
		return result;
	bool infinite = direction == NEAREST || (direction == UP && value > 0) || (direction == DOWN && value < 0);
	return copysign(infinite ? HUGE_VAL : format->largest, value);
}

static uint16_t half_bits(double value)
{
	uint16_t sign = signbit(value) ? 0x8000 : 0;
	int exponent;
	if (isnan(value))
		return 0x7fff;
	if (isinf(value))
		return sign | 0x7c00;
	if (value == 0)
		return sign;
	frexp(value, &exponent);
	if (exponent < half.least_exponent)
		return (uint16_t)(sign | (uint16_t)ldexp(fabs(value), 24));
	return (uint16_t)(sign | (exponent + 14) << 10 | ((uint16_t)ldexp(fabs(value), 11 - exponent) & 0x3ff));
}

static uint16_t bfloat_bits(double value)
{
	float narrow = (float)value;
	uint32_t bits;
	if (isnan(value))
		return 0x7fff;
	memcpy(&bits, &narrow, sizeof(bits));
	return (uint16_t)(bits >> 16);
}

/* Multiples of 1/64 below 30: products and fused sums are exact in double, so the reference rounds once. */
static double random_number(struct trial *trial)
{
	return (double)((int)(trial_random(trial) % 3840) - 1920) / 64;
}

static void run_half2_axpy(struct trial *trial)
{
	unsigned pairs = COUNT;
	float a = 1.375f;
	uint16_t *x = trial_allocate(trial, COUNT * 2, 2), *y = trial_allocate(trial, COUNT * 2, 2);
	uint16_t *expected = trial_allocate(trial, COUNT * 2, 2);
	for (unsigned i = 0; i < COUNT * 2; i++) {
		double u = round_to(&half, random_number(trial), NEAREST);
		double v = round_to(&half, random_number(trial), NEAREST);
		x[i] = half_bits(u);
		y[i] = half_bits(v);
		expected[i] = half_bits(round_to(&half, a * u + v, NEAREST));
	}
	CUdeviceptr d_x = trial_upload(trial, x, COUNT * 4), d_y = trial_upload(trial, y, COUNT * 4);
	trial_launch(trial, "half", "half2_axpy", TRIAL_LINE(pairs, 128), TRIAL_ARGUMENTS(&d_x, &d_y, &a, &pairs));
	trial_equal_bytes(trial, "y", trial_download(trial, d_y, COUNT * 4), expected, COUNT * 2, 2);
}

static void run_half_arithmetic(struct trial *trial)
{
	unsigned count = COUNT;
	uint16_t *a = trial_allocate(trial, COUNT, 2), *b = trial_allocate(trial, COUNT, 2);
	uint16_t *expected = trial_allocate(trial, COUNT * 8, 2);
	for (unsigned i = 0; i < COUNT; i++) {
		double x = round_to(&half, random_number(trial), NEAREST);
		double y = round_to(&half, random_number(trial), NEAREST);
		double results[8] = {x + y, x - y, x * y, x * y + x, fmax(x, y), fmin(x, y), -x, fabs(y)};
		a[i] = half_bits(x);
		b[i] = half_bits(y);
		for (int j = 0; j < 8; j++)
			expected[i * 8 + j] = half_bits(round_to(&half, results[j], NEAREST));
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * 2), d_b = trial_upload(trial, b, COUNT * 2);
	CUdeviceptr d_results = trial_reserve(trial, COUNT * 16);
	trial_launch(trial, "half", "half_arithmetic", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	trial_equal_bytes(trial, "8 results each, result", trial_download(trial, d_results, COUNT * 16), expected,
			  COUNT * 8, 2);
}

static void run_half_conversions(struct trial *trial)
{
	unsigned count = COUNT;
	float *input = trial_allocate(trial, COUNT, sizeof(float)), *back = trial_allocate(trial, COUNT, sizeof(float));
	uint16_t *bits = trial_allocate(trial, COUNT * 4, 2);
	int *integers = trial_allocate(trial, COUNT, sizeof(int));
	for (unsigned i = 0; i < COUNT; i++) {
		static const float special[8] = {0.0f, -0.0f, 65504.0f, 65519.0f, 65520.0f, -1e9f, 0x1p-24f, 0x1p-25f};
		float x = input[i] = i < 8 ? special[i] : ldexpf(trial_random_float(trial, -2, 2), (int)(i % 46) - 28);
		for (int direction = 0; direction < 4; direction++)
			bits[COUNT * direction + i] = half_bits(round_to(&half, x, (enum direction)direction));
		back[i] = (float)round_to(&half, x, NEAREST);
		integers[i] = isinf(back[i]) ? (back[i] > 0 ? INT32_MAX : INT32_MIN) : (int)rintf(back[i]);
	}
	CUdeviceptr d_input = trial_upload(trial, input, COUNT * 4), d_bits = trial_reserve(trial, COUNT * 8);
	CUdeviceptr d_down = d_bits + COUNT * 2, d_up = d_bits + COUNT * 4, d_zero = d_bits + COUNT * 6;
	CUdeviceptr d_back = trial_reserve(trial, COUNT * 4), d_integers = trial_reserve(trial, COUNT * 4);
	trial_launch(trial, "half", "half_conversions", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_input, &d_bits, &d_down, &d_up, &d_zero, &d_back, &d_integers, &count));
	trial_equal_bytes(trial, "nearest, down, up, zero:", trial_download(trial, d_bits, COUNT * 8), bits, COUNT * 4,
			  2);
	trial_equal_bytes(trial, "back", trial_download(trial, d_back, COUNT * 4), back, COUNT, 4);
	trial_equal_u32(trial, "integer", trial_download(trial, d_integers, COUNT * 4), (uint32_t *)integers, COUNT);
}

static bool has_bfloat(struct trial *trial)
{
	int major = 0;
	CUdevice device;
	if (trial->driver->device_get(&device, 0) != CUDA_SUCCESS ||
	    trial->driver->device_get_attribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, device) !=
		    CUDA_SUCCESS)
		trial_fail(trial, "the device's compute capability cannot be read");
	else if (major < 9)
		trial_skip(trial, "needs compute capability 9.0");
	return major >= 9;
}

static void run_bfloat_arithmetic(struct trial *trial)
{
	unsigned count = COUNT;
	uint16_t *a = trial_allocate(trial, COUNT, 2), *b = trial_allocate(trial, COUNT, 2);
	uint16_t *expected = trial_allocate(trial, COUNT * 6, 2);
	if (!has_bfloat(trial))
		return;
	for (unsigned i = 0; i < COUNT; i++) {
		double x = round_to(&bfloat, random_number(trial), NEAREST);
		double y = round_to(&bfloat, random_number(trial), NEAREST);
		double results[6] = {x + y, x - y, x * y, x * y + x, fmax(x, y), -fmin(x, y)};
		a[i] = bfloat_bits(x);
		b[i] = bfloat_bits(y);
		for (int j = 0; j < 6; j++)
			expected[i * 6 + j] = bfloat_bits(round_to(&bfloat, results[j], NEAREST));
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * 2), d_b = trial_upload(trial, b, COUNT * 2);
	CUdeviceptr d_results = trial_reserve(trial, COUNT * 12);
	trial_launch(trial, "bfloat", "bfloat_arithmetic", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	trial_equal_bytes(trial, "6 results each, result", trial_download(trial, d_results, COUNT * 12), expected,
			  COUNT * 6, 2);
}

static void run_bfloat_conversions(struct trial *trial)
{
	unsigned count = COUNT, pairs = COUNT / 2;
	float *input = trial_allocate(trial, COUNT, sizeof(float)), *back = trial_allocate(trial, COUNT, sizeof(float));
	uint16_t *bits = trial_allocate(trial, COUNT, 2), *products = trial_allocate(trial, COUNT, 2);
	uint16_t factor[2] = {bfloat_bits(1.5), bfloat_bits(-0.75)};
	if (!has_bfloat(trial))
		return;
	for (unsigned i = 0; i < COUNT; i++) {
		input[i] = ldexpf(trial_random_float(trial, -2, 2), (int)(i % 200) - 100);
		double rounded = round_to(&bfloat, input[i], NEAREST);
		back[i] = (float)rounded;
		bits[i] = bfloat_bits(rounded);
		products[i] = bfloat_bits(round_to(&bfloat, rounded * (i & 1 ? -0.75 : 1.5), NEAREST));
	}
	CUdeviceptr d_input = trial_upload(trial, input, COUNT * 4), d_bits = trial_reserve(trial, COUNT * 2);
	CUdeviceptr d_back = trial_reserve(trial, COUNT * 4), d_products = trial_reserve(trial, COUNT * 2);
	trial_launch(trial, "bfloat", "bfloat_from_float", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_input, &d_bits, &d_back, &count));
	trial_launch(trial, "bfloat", "bfloat_pairs", TRIAL_LINE(pairs, 128),
		     TRIAL_ARGUMENTS(&d_input, &d_products, factor, &pairs));
	trial_equal_bytes(trial, "bits", trial_download(trial, d_bits, COUNT * 2), bits, COUNT, 2);
	trial_equal_bytes(trial, "back", trial_download(trial, d_back, COUNT * 4), back, COUNT, 4);
	trial_equal_bytes(trial, "product", trial_download(trial, d_products, COUNT * 2), products, COUNT, 2);
}

const struct trial_case cases_half[] = {
	{"half2_axpy", run_half2_axpy},
	{"half_arithmetic", run_half_arithmetic},
	{"half_conversions", run_half_conversions},
	{"bfloat_arithmetic", run_bfloat_arithmetic},
	{"bfloat_conversions", run_bfloat_conversions},
	{NULL, NULL},
};
