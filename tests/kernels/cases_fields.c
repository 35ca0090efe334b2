/* SPDX-License-Identifier: Apache-2.0 */
/* Stencils, convolution, n-body, Mandelbrot, Monte Carlo. */
#include "cases.h"

#include <math.h>
#include <stdlib.h>

static void run_stencil_1d(struct trial *trial)
{
	int count = 10000;
	uint32_t *input = trial_allocate(trial, (size_t)count, sizeof(uint32_t));
	uint32_t *expected = trial_allocate(trial, (size_t)count, sizeof(uint32_t));
	for (int i = 0; i < count; i++)
		input[i] = (uint32_t)trial_random(trial);
	for (int i = 0; i < count; i++)
		for (int offset = -3; offset <= 3; offset++)
			if (i + offset >= 0 && i + offset < count)
				expected[i] += input[i + offset] * (uint32_t)(4 - abs(offset));
	CUdeviceptr d_input = trial_upload(trial, input, (size_t)count * sizeof(uint32_t));
	CUdeviceptr d_output = trial_reserve(trial, (size_t)count * sizeof(uint32_t));
	trial_launch(trial, "stencil", "stencil_1d", TRIAL_LINE(count, 256),
		     TRIAL_ARGUMENTS(&d_input, &d_output, &count));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, (size_t)count * sizeof(uint32_t)), expected,
			(size_t)count);
}

static void run_stencil_2d(struct trial *trial)
{
	int width = 131, height = 77;
	size_t count = (size_t)width * height;
	float *input = trial_allocate(trial, count, sizeof(float));
	float *expected = trial_allocate(trial, count, sizeof(float));
	for (size_t i = 0; i < count; i++)
		input[i] = trial_random_float(trial, -10, 10);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++) {
			const float *at = input + y * width + x;
			bool border = x == 0 || y == 0 || x == width - 1 || y == height - 1;
			expected[y * width + x] = border ? *at : (((at[-1] + at[1]) + at[-width]) + at[width]) * 0.25f;
		}
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(float));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(float));
	trial_launch(trial, "stencil", "stencil_2d", (struct trial_grid){.grid = {9, 10, 1}, .block = {16, 8, 1}},
		     TRIAL_ARGUMENTS(&d_input, &d_output, &width, &height));
	trial_equal_bytes(trial, "output", trial_download(trial, d_output, count * sizeof(float)), expected, count,
			  sizeof(float));
}

static void run_stencil_3d(struct trial *trial)
{
	int size[3] = {35, 22, 17}, row = size[0], plane = size[0] * size[1];
	size_t count = (size_t)plane * (size_t)size[2];
	double *input = trial_allocate(trial, count, sizeof(double)), centre = -5.9, side = 0.983;
	double *expected = trial_allocate(trial, count, sizeof(double));
	for (size_t i = 0; i < count; i++)
		input[i] = trial_random_float(trial, -1, 1);
	for (int z = 1; z < size[2] - 1; z++)
		for (int y = 1; y < size[1] - 1; y++)
			for (int x = 1; x < size[0] - 1; x++) {
				int i = z * plane + y * row + x;
				double sum = input[i - 1] + input[i + 1] + input[i - row] + input[i + row] +
					     input[i - plane] + input[i + plane];
				expected[i] = fma(centre, input[i], side * sum);
			}
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(double));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(double));
	trial_launch(trial, "stencil", "stencil_3d", (struct trial_grid){.grid = {5, 6, 5}, .block = {8, 4, 4}},
		     TRIAL_ARGUMENTS(&d_input, &d_output, size, &centre, &side));
	trial_equal_bytes(trial, "output", trial_download(trial, d_output, count * sizeof(double)), expected, count,
			  sizeof(double));
}

static void run_convolve(struct trial *trial)
{
	int width = 70, height = 50;
	size_t count = (size_t)width * height;
	float filter[9], *input = trial_allocate(trial, count, sizeof(float));
	float *expected = trial_allocate(trial, count, sizeof(float));
	for (size_t i = 0; i < count; i++)
		input[i] = trial_random_float(trial, 0, 255);
	for (int i = 0; i < 9; i++)
		filter[i] = trial_random_float(trial, -1, 1);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			for (int i = 0; i < 9; i++) {
				int from_x = x + i % 3 - 1, from_y = y + i / 3 - 1;
				bool inside = from_x >= 0 && from_y >= 0 && from_x < width && from_y < height;
				expected[y * width + x] = fmaf(inside ? input[from_y * width + from_x] : 0, filter[i],
							       expected[y * width + x]);
			}
	trial_write(trial, trial_global(trial, "physics", "filter", sizeof(filter)), filter, sizeof(filter));
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(float));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(float));
	trial_launch(trial, "physics", "convolve", (struct trial_grid){.grid = {5, 4, 1}, .block = {16, 16, 1}},
		     TRIAL_ARGUMENTS(&d_input, &d_output, &width, &height));
	trial_equal_bytes(trial, "output", trial_download(trial, d_output, count * sizeof(float)), expected, count,
			  sizeof(float));
}

static void run_n_body(struct trial *trial)
{
	unsigned count = 512;
	float softening = 0.01f, *bodies = trial_allocate(trial, count * 4, sizeof(float));
	float *expected = trial_allocate(trial, count * 4, sizeof(float));
	for (unsigned i = 0; i < count * 4; i++)
		bodies[i] = i % 4 == 3 ? trial_random_float(trial, 0.1f, 1) : trial_random_float(trial, -1, 1);
	for (unsigned i = 0; i < count; i++) {
		double sum[3] = {0};
		for (unsigned j = 0; j < count; j++) {
			double distance = softening, delta[3];
			for (int axis = 0; axis < 3; axis++) {
				delta[axis] = (double)bodies[j * 4 + axis] - bodies[i * 4 + axis];
				distance += delta[axis] * delta[axis];
			}
			for (int axis = 0; axis < 3; axis++)
				sum[axis] += delta[axis] * bodies[j * 4 + 3] / (distance * sqrt(distance));
		}
		for (int axis = 0; axis < 3; axis++)
			expected[i * 4 + axis] = (float)sum[axis];
	}
	CUdeviceptr d_bodies = trial_upload(trial, bodies, count * 16);
	CUdeviceptr d_output = trial_reserve(trial, count * 16);
	trial_launch(trial, "physics", "n_body", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_bodies, &d_output, &count, &softening));
	/* Sums of 512 terms of up to 100: absolute error by cancellation. */
	trial_near_float(trial, "acceleration", trial_download(trial, d_output, count * 16), expected, count * 4, 5e-3,
			 1e-4);
}

static void run_mandelbrot(struct trial *trial)
{
	int width = 90, height = 60;
	unsigned limit = 200;
	double left = -2.2, top = -1.1, step = 0.037;
	size_t count = (size_t)width * height;
	uint32_t *expected = trial_allocate(trial, count, sizeof(uint32_t));
	for (size_t i = 0; i < count; i++) {
		double real = left + (double)(i % (size_t)width) * step;
		double imaginary = top + (double)(i / (size_t)width) * step, a = 0, b = 0;
		while (expected[i] < limit) {
			double aa = a * a, bb = b * b;
			if (aa + bb > 4.0)
				break;
			b = 2.0 * (a * b) + imaginary;
			a = (aa - bb) + real;
			expected[i]++;
		}
	}
	CUdeviceptr d_counts = trial_reserve(trial, count * sizeof(uint32_t));
	trial_launch(trial, "physics", "mandelbrot", (struct trial_grid){.grid = {6, 8, 1}, .block = {16, 8, 1}},
		     TRIAL_ARGUMENTS(&d_counts, &width, &height, &left, &top, &step, &limit));
	trial_equal_u32(trial, "count", trial_download(trial, d_counts, count * sizeof(uint32_t)), expected, count);
}

static uint32_t xorshift(uint32_t *state)
{
	uint32_t x = *state;
	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

static void run_monte_carlo(struct trial *trial)
{
	unsigned seed = 20240607, samples = 400, threads = 4096;
	uint64_t expected = 0;
	for (unsigned thread = 0; thread < threads; thread++) {
		uint32_t state = seed ^ (thread * 2654435761u + 1);
		if (state == 0)
			state = 1;
		for (unsigned i = 0; i < samples; i++) {
			float x = (float)(xorshift(&state) >> 8) * (1.0f / 16777216.0f);
			float y = (float)(xorshift(&state) >> 8) * (1.0f / 16777216.0f);
			float xx = x * x, yy = y * y;
			expected += xx + yy <= 1.0f;
		}
	}
	double estimate = 4.0 * (double)expected / ((double)threads * samples);
	if (fabs(estimate - 3.14159265) > 0.01)
		trial_fail(trial, "the reference itself estimates pi as %g", estimate);
	CUdeviceptr d_hits = trial_reserve(trial, sizeof(uint64_t));
	trial_launch(trial, "montecarlo", "monte_carlo", TRIAL_LINE(threads, 256),
		     TRIAL_ARGUMENTS(&seed, &samples, &d_hits));
	trial_equal_u64(trial, "hits", trial_download(trial, d_hits, sizeof(uint64_t)), &expected, 1);
}

const struct trial_case cases_fields[] = {
	{"stencil_1d", run_stencil_1d},	  {"stencil_2d", run_stencil_2d},
	{"stencil_3d", run_stencil_3d},	  {"convolve", run_convolve},
	{"n_body", run_n_body},		  {"mandelbrot", run_mandelbrot},
	{"monte_carlo", run_monte_carlo}, {NULL, NULL},
};
