/* SPDX-License-Identifier: Apache-2.0 */
/* Reductions and scans. */
#include "cases.h"

#include <string.h>

static int *random_ints(struct trial *trial, size_t count, int low, int high)
{
	int *values = trial_allocate(trial, count, sizeof(int));
	for (size_t i = 0; i < count; i++)
		values[i] = low + (int)(trial_random(trial) % (uint64_t)(high - low + 1));
	return values;
}

static void run_reduce_shared(struct trial *trial)
{
	unsigned count = 100003, blocks = (count + 511) / 512;
	int *input = random_ints(trial, count, -1000, 1000);
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(int));
	CUdeviceptr d_sums = trial_reserve(trial, blocks * sizeof(int));
	trial_launch(trial, "reduction", "reduce_shared",
		     (struct trial_grid){.grid = {blocks, 1, 1}, .block = {256, 1, 1}},
		     TRIAL_ARGUMENTS(&d_input, &d_sums, &count));
	int *expected = trial_allocate(trial, blocks, sizeof(int));
	for (unsigned i = 0; i < count; i++)
		expected[i / 512] += input[i];
	trial_equal_u32(trial, "sum", trial_download(trial, d_sums, blocks * sizeof(int)), (uint32_t *)expected,
			blocks);
}

/* What lane 0 holds after the shuffles: value[lane] += value[lane + offset], a lane beyond the end adds its own. */
static float sum_as_warp(const float *values)
{
	float lanes[32], next[32];
	memcpy(lanes, values, sizeof(lanes));
	for (unsigned offset = 16; offset > 0; offset >>= 1) {
		for (unsigned lane = 0; lane < 32; lane++)
			next[lane] = lanes[lane] + lanes[lane + offset < 32 ? lane + offset : lane];
		memcpy(lanes, next, sizeof(lanes));
	}
	return lanes[0];
}

static void run_reduce_shuffle(struct trial *trial)
{
	unsigned count = 50001, blocks = (count + 255) / 256;
	float *input = trial_allocate(trial, blocks * 256, sizeof(float));
	for (unsigned i = 0; i < count; i++)
		input[i] = trial_random_float(trial, -1.0f, 1.0f);
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(float));
	CUdeviceptr d_sums = trial_reserve(trial, blocks * sizeof(float));
	trial_launch(trial, "reduction", "reduce_shuffle", TRIAL_LINE(count, 256),
		     TRIAL_ARGUMENTS(&d_input, &d_sums, &count));
	float *expected = trial_allocate(trial, blocks, sizeof(float));
	for (unsigned block = 0; block < blocks; block++) {
		float sums[32] = {0};
		for (unsigned warp = 0; warp < 8; warp++)
			sums[warp] = sum_as_warp(input + block * 256 + warp * 32);
		expected[block] = sum_as_warp(sums);
	}
	trial_equal_u32(trial, "sum bits", trial_download(trial, d_sums, blocks * sizeof(float)), (uint32_t *)expected,
			blocks);
}

static void run_reduce_atomic(struct trial *trial)
{
	unsigned count = 20000;
	int *input = random_ints(trial, count, -1000000, 1000000);
	int bounds[2] = {0x7fffffff, -0x7fffffff - 1}, expected[2] = {bounds[0], bounds[1]};
	int64_t sum = 0;
	for (unsigned i = 0; i < count; i++) {
		sum += input[i];
		expected[0] = input[i] < expected[0] ? input[i] : expected[0];
		expected[1] = input[i] > expected[1] ? input[i] : expected[1];
	}
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(int));
	CUdeviceptr d_sum = trial_reserve(trial, sizeof(sum));
	CUdeviceptr d_bounds = trial_upload(trial, bounds, sizeof(bounds)), d_largest = d_bounds + sizeof(int);
	trial_launch(trial, "reduction", "reduce_atomic", (struct trial_grid){.grid = {13, 1, 1}, .block = {96, 1, 1}},
		     TRIAL_ARGUMENTS(&d_input, &d_sum, &d_bounds, &d_largest, &count));
	trial_equal_u64(trial, "sum", trial_download(trial, d_sum, sizeof(sum)), (uint64_t *)&sum, 1);
	trial_equal_u32(trial, "bounds", trial_download(trial, d_bounds, sizeof(bounds)), (uint32_t *)expected, 2);
}

/* Twice, because the counter in the module must wrap back to zero. */
static void run_reduce_last_block(struct trial *trial)
{
	unsigned count = 40000;
	uint32_t *input = trial_allocate(trial, count, sizeof(uint32_t)), sum = 0;
	for (unsigned i = 0; i < count; i++)
		sum += input[i] = (uint32_t)trial_random(trial);
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(uint32_t));
	CUdeviceptr d_sums = trial_reserve(trial, 37 * sizeof(uint32_t));
	for (int turn = 0; turn < 2; turn++) {
		CUdeviceptr d_result = trial_reserve(trial, sizeof(uint32_t));
		trial_launch(trial, "reduction", "reduce_last_block",
			     (struct trial_grid){.grid = {37, 1, 1}, .block = {128, 1, 1}},
			     TRIAL_ARGUMENTS(&d_input, &d_sums, &d_result, &count));
		trial_equal_u32(trial, turn == 0 ? "first result" : "second result",
				trial_download(trial, d_result, sizeof(sum)), &sum, 1);
	}
}

static void run_scan_warp(struct trial *trial)
{
	unsigned count = 4096;
	int *input = random_ints(trial, count, -50, 50), *expected = trial_allocate(trial, count, sizeof(int));
	for (unsigned i = 0; i < count; i++)
		expected[i] = input[i] + (i % 32 == 0 ? 0 : expected[i - 1]);
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(int));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(int));
	trial_launch(trial, "scan", "scan_warp", TRIAL_LINE(count, 128), TRIAL_ARGUMENTS(&d_input, &d_output));
	trial_equal_u32(trial, "prefix", trial_download(trial, d_output, count * sizeof(int)), (uint32_t *)expected,
			count);
}

static void run_scan_block(struct trial *trial)
{
	unsigned count = 512 * 9;
	uint32_t *input = trial_allocate(trial, count, sizeof(uint32_t));
	uint32_t *expected = trial_allocate(trial, count, sizeof(uint32_t));
	for (unsigned i = 0; i < count; i++) {
		input[i] = (uint32_t)trial_random(trial);
		expected[i] = i % 512 == 0 ? 0 : expected[i - 1] + input[i - 1];
	}
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(uint32_t));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(uint32_t));
	struct trial_grid grid = {.grid = {9, 1, 1}, .block = {256, 1, 1}, .shared_bytes = 512 * sizeof(uint32_t)};
	trial_launch(trial, "scan", "scan_block", grid, TRIAL_ARGUMENTS(&d_input, &d_output));
	trial_equal_u32(trial, "prefix", trial_download(trial, d_output, count * sizeof(uint32_t)), expected, count);
}

static void run_scan_decoupled(struct trial *trial)
{
	unsigned count = 100 * 256 - 17;
	uint32_t *input = trial_allocate(trial, count, sizeof(uint32_t));
	uint32_t *expected = trial_allocate(trial, count, sizeof(uint32_t)), sum = 0;
	for (unsigned i = 0; i < count; i++) {
		input[i] = (uint32_t)trial_random(trial);
		expected[i] = sum += input[i];
	}
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(uint32_t));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(uint32_t));
	CUdeviceptr d_states = trial_reserve(trial, 100 * sizeof(uint64_t));
	CUdeviceptr d_ticket = trial_reserve(trial, sizeof(uint32_t));
	trial_launch(trial, "scan", "scan_decoupled", TRIAL_LINE(count, 256),
		     TRIAL_ARGUMENTS(&d_input, &d_output, &d_states, &d_ticket, &count));
	trial_equal_u32(trial, "prefix", trial_download(trial, d_output, count * sizeof(uint32_t)), expected, count);
}

const struct trial_case cases_sums[] = {
	{"reduce_shared", run_reduce_shared},	{"reduce_shuffle", run_reduce_shuffle},
	{"reduce_atomic", run_reduce_atomic},	{"reduce_last_block", run_reduce_last_block},
	{"scan_warp", run_scan_warp},		{"scan_block", run_scan_block},
	{"scan_decoupled", run_scan_decoupled}, {NULL, NULL},
};
