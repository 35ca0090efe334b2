/* SPDX-License-Identifier: Apache-2.0 */
/* Matrix products, transpose, histogram, softmax, layer normalisation. */
#include "cases.h"

#include <math.h>

static struct trial_grid square_grid(unsigned width, unsigned height, unsigned tile)
{
	return (struct trial_grid){.grid = {(width + tile - 1) / tile, (height + tile - 1) / tile, 1},
				   .block = {tile, tile, 1}};
}

/* The kernel fuses each product with its sum, the host rounds twice: hence the tolerance. */
static void run_matrix_multiply_float(struct trial *trial)
{
	int n = 75;
	size_t count = (size_t)n * n;
	float *a = trial_allocate(trial, count, sizeof(float)), *b = trial_allocate(trial, count, sizeof(float));
	float *expected = trial_allocate(trial, count, sizeof(float));
	for (size_t i = 0; i < count; i++) {
		a[i] = trial_random_float(trial, -1, 1);
		b[i] = trial_random_float(trial, -1, 1);
	}
	for (int row = 0; row < n; row++)
		for (int column = 0; column < n; column++) {
			double sum = 0;
			for (int k = 0; k < n; k++)
				sum += (double)a[row * n + k] * b[k * n + column];
			expected[row * n + column] = (float)sum;
		}
	CUdeviceptr d_a = trial_upload(trial, a, count * sizeof(float));
	CUdeviceptr d_b = trial_upload(trial, b, count * sizeof(float));
	CUdeviceptr d_c = trial_reserve(trial, count * sizeof(float));
	trial_launch(trial, "matrix", "matrix_multiply_float", square_grid((unsigned)n, (unsigned)n, 16),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_c, &n));
	trial_near_float(trial, "c", trial_download(trial, d_c, count * sizeof(float)), expected, count, 1e-5, 1e-5);
}

static void run_matrix_multiply_double(struct trial *trial)
{
	int n = 52;
	size_t count = (size_t)n * n;
	double *a = trial_allocate(trial, count, sizeof(double)), *b = trial_allocate(trial, count, sizeof(double));
	double *expected = trial_allocate(trial, count, sizeof(double));
	for (size_t i = 0; i < count; i++) {
		a[i] = trial_random_float(trial, -1, 1);
		b[i] = trial_random_float(trial, -1, 1) * 1e-3;
	}
	for (int row = 0; row < n; row++)
		for (int column = 0; column < n; column++)
			for (int k = 0; k < n; k++)
				expected[row * n + column] += a[row * n + k] * b[k * n + column];
	CUdeviceptr d_a = trial_upload(trial, a, count * sizeof(double));
	CUdeviceptr d_b = trial_upload(trial, b, count * sizeof(double));
	CUdeviceptr d_c = trial_reserve(trial, count * sizeof(double));
	trial_launch(trial, "matrix", "matrix_multiply_double", square_grid((unsigned)n, (unsigned)n, 8),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_c, &n));
	trial_near_double(trial, "c", trial_download(trial, d_c, count * sizeof(double)), expected, count, 1e-16,
			  1e-12);
}

static void run_matrix_multiply_int(struct trial *trial)
{
	int n = 64;
	size_t count = (size_t)n * n;
	uint32_t *a = trial_allocate(trial, count, sizeof(uint32_t)), *b = trial_allocate(trial, count, sizeof(*b));
	uint32_t *expected = trial_allocate(trial, count, sizeof(uint32_t));
	for (size_t i = 0; i < count; i++) {
		a[i] = (uint32_t)trial_random(trial);
		b[i] = (uint32_t)trial_random(trial);
	}
	for (int row = 0; row < n; row++)
		for (int column = 0; column < n; column++)
			for (int k = 0; k < n; k++)
				expected[row * n + column] += a[row * n + k] * b[k * n + column];
	CUdeviceptr d_a = trial_upload(trial, a, count * sizeof(uint32_t));
	CUdeviceptr d_b = trial_upload(trial, b, count * sizeof(uint32_t));
	CUdeviceptr d_c = trial_reserve(trial, count * sizeof(uint32_t));
	trial_launch(trial, "matrix", "matrix_multiply_int", square_grid((unsigned)n, (unsigned)n, 16),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_c, &n));
	trial_equal_u32(trial, "c", trial_download(trial, d_c, count * sizeof(uint32_t)), expected, count);
}

static void run_transpose(struct trial *trial)
{
	int width = 173, height = 99;
	size_t count = (size_t)width * height;
	float *input = trial_allocate(trial, count, sizeof(float));
	float *expected = trial_allocate(trial, count, sizeof(float));
	for (size_t i = 0; i < count; i++)
		input[i] = trial_random_float(trial, -1e6f, 1e6f);
	for (int y = 0; y < height; y++)
		for (int x = 0; x < width; x++)
			expected[x * height + y] = input[y * width + x];
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(float));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(float));
	trial_launch(trial, "matrix", "transpose", (struct trial_grid){.grid = {6, 4, 1}, .block = {32, 8, 1}},
		     TRIAL_ARGUMENTS(&d_input, &d_output, &width, &height));
	trial_equal_bytes(trial, "element", trial_download(trial, d_output, count * sizeof(float)), expected, count,
			  sizeof(float));
}

static void run_histogram(struct trial *trial)
{
	unsigned count = 150001;
	unsigned char *input = trial_allocate(trial, count, 1);
	uint32_t expected[256] = {0};
	for (unsigned i = 0; i < count; i++) {
		uint64_t random = trial_random(trial);
		input[i] = random & 1 ? (unsigned char)(random >> 8) : (unsigned char)(random >> 60);
		expected[input[i]]++;
	}
	CUdeviceptr d_input = trial_upload(trial, input, count);
	CUdeviceptr d_bins = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "histogram", "histogram", (struct trial_grid){.grid = {11, 1, 1}, .block = {192, 1, 1}},
		     TRIAL_ARGUMENTS(&d_input, &d_bins, &count));
	trial_equal_u32(trial, "bin", trial_download(trial, d_bins, sizeof(expected)), expected, 256);
}

static void run_softmax(struct trial *trial)
{
	int width = 500, rows = 20;
	size_t count = (size_t)width * rows;
	float *input = trial_allocate(trial, count, sizeof(float));
	float *expected = trial_allocate(trial, count, sizeof(float));
	for (size_t i = 0; i < count; i++)
		input[i] = trial_random_float(trial, -12, 12);
	for (int row = 0; row < rows; row++) {
		double sum = 0, largest = -HUGE_VAL;
		for (int i = 0; i < width; i++)
			largest = fmax(largest, input[row * width + i]);
		for (int i = 0; i < width; i++)
			sum += exp(input[row * width + i] - largest);
		for (int i = 0; i < width; i++)
			expected[row * width + i] = (float)(exp(input[row * width + i] - largest) / sum);
	}
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(float));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(float));
	trial_launch(trial, "normalise", "softmax",
		     (struct trial_grid){.grid = {(unsigned)rows, 1, 1}, .block = {128, 1, 1}},
		     TRIAL_ARGUMENTS(&d_input, &d_output, &width));
	trial_near_float(trial, "probability", trial_download(trial, d_output, count * sizeof(float)), expected, count,
			 1e-12, 1e-5);
}

static void run_layer_norm(struct trial *trial)
{
	int width = 384, rows = 16;
	float epsilon = 1e-5f;
	size_t count = (size_t)width * rows;
	float *input = trial_allocate(trial, count, sizeof(float));
	float *expected = trial_allocate(trial, count, sizeof(float));
	float *gain = trial_allocate(trial, (size_t)width, sizeof(float));
	float *bias = trial_allocate(trial, (size_t)width, sizeof(float));
	for (size_t i = 0; i < count; i++)
		input[i] = trial_random_float(trial, -3, 5);
	for (int i = 0; i < width; i++) {
		gain[i] = trial_random_float(trial, 0.5f, 2);
		bias[i] = trial_random_float(trial, -1, 1);
	}
	for (int row = 0; row < rows; row++) {
		const float *values = input + row * width;
		double mean = 0, squares = 0;
		for (int i = 0; i < width; i++)
			mean += values[i];
		mean /= width;
		for (int i = 0; i < width; i++)
			squares += (values[i] - mean) * (values[i] - mean);
		double scale = 1 / sqrt(squares / width + epsilon);
		for (int i = 0; i < width; i++)
			expected[row * width + i] = (float)((values[i] - mean) * scale * gain[i] + bias[i]);
	}
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(float));
	CUdeviceptr d_gain = trial_upload(trial, gain, (size_t)width * sizeof(float));
	CUdeviceptr d_bias = trial_upload(trial, bias, (size_t)width * sizeof(float));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(float));
	trial_launch(trial, "normalise", "layer_norm",
		     (struct trial_grid){.grid = {(unsigned)rows, 1, 1}, .block = {96, 1, 1}},
		     TRIAL_ARGUMENTS(&d_input, &d_gain, &d_bias, &d_output, &width, &epsilon));
	trial_near_float(trial, "value", trial_download(trial, d_output, count * sizeof(float)), expected, count, 1e-5,
			 1e-5);
}

const struct trial_case cases_dense[] = {
	{"matrix_multiply_float", run_matrix_multiply_float},
	{"matrix_multiply_double", run_matrix_multiply_double},
	{"matrix_multiply_int", run_matrix_multiply_int},
	{"transpose", run_transpose},
	{"histogram", run_histogram},
	{"softmax", run_softmax},
	{"layer_norm", run_layer_norm},
	{NULL, NULL},
};
