/* SPDX-License-Identifier: Apache-2.0 */
/* Warp-wide operations. */
#include "cases.h"

enum { COUNT = 256 };

/* The values of the warp that element i belongs to. */
static const uint32_t *warp_of(const uint32_t *values, unsigned i)
{
	return values + i / 32 * 32;
}

static void run_warp_shuffles(struct trial *trial)
{
	uint32_t input[COUNT], *expected = trial_allocate(trial, COUNT * 8, 4);
	double doubles[COUNT], moved[COUNT];
	for (int i = 0; i < COUNT; i++) {
		input[i] = (uint32_t)trial_random(trial);
		doubles[i] = trial_random_float(trial, -1, 1);
	}
	for (unsigned i = 0; i < COUNT; i++) {
		const uint32_t *warp = warp_of(input, i);
		unsigned lane = i % 32;
		uint32_t *result = expected + i * 8;
		result[0] = warp[7];
		result[1] = warp[lane * 5 % 32];
		result[2] = lane >= 3 ? warp[lane - 3] : warp[lane];
		result[3] = lane + 9 < 32 ? warp[lane + 9] : warp[lane];
		result[4] = warp[lane ^ 21];
		result[5] = warp[lane / 8 * 8 + (lane + 3) % 8];
		result[6] = lane % 16 >= 2 ? warp[lane - 2] : warp[lane];
		result[7] = lane % 4 < 3 ? warp[lane + 1] : warp[lane];
		moved[i] = doubles[i ^ 1] + doubles[i / 32 * 32 + 31];
	}
	CUdeviceptr d_input = trial_upload(trial, input, sizeof(input));
	CUdeviceptr d_doubles = trial_upload(trial, doubles, sizeof(doubles));
	CUdeviceptr d_output = trial_reserve(trial, COUNT * 32), d_moved = trial_reserve(trial, sizeof(moved));
	trial_launch(trial, "warp", "warp_shuffles", TRIAL_LINE(COUNT, 64),
		     TRIAL_ARGUMENTS(&d_input, &d_doubles, &d_output, &d_moved));
	trial_equal_u32(trial, "8 results each, result", trial_download(trial, d_output, COUNT * 32), expected,
			COUNT * 8);
	trial_equal_bytes(trial, "double", trial_download(trial, d_moved, sizeof(moved)), moved, COUNT, 8);
}

static void run_warp_votes(struct trial *trial)
{
	uint32_t input[COUNT], *expected = trial_allocate(trial, COUNT * 7, 4);
	for (unsigned i = 0; i < COUNT; i++) {
		/* Every second warp holds equal quotients by 256, some hold only small values. */
		input[i] = (uint32_t)(trial_random(trial) % (i / 32 % 4 == 0 ? 150 : 256));
		if (i / 32 % 2 == 1 && i % 32 == 9)
			input[i] += 256;
	}
	for (unsigned i = 0; i < COUNT; i++) {
		const uint32_t *warp = warp_of(input, i);
		uint32_t *result = expected + i * 7;
		bool same = true;
		result[0] = 1;
		for (unsigned lane = 0; lane < 32; lane++) {
			uint32_t value = warp[lane], bit = 1u << lane;
			result[0] &= value < 200;
			result[1] |= value == 3;
			result[2] |= value & 1 ? bit : 0;
			result[3] |= value % 6 == input[i] % 6 ? bit : 0;
			same = same && value / 256 == warp[0] / 256;
			result[6] |= value % 3 == input[i] % 3 ? bit : 0;
		}
		result[4] = same ? 0xffffffffu : 0;
		result[5] = same;
	}
	CUdeviceptr d_input = trial_upload(trial, input, sizeof(input));
	CUdeviceptr d_output = trial_reserve(trial, COUNT * 28);
	trial_launch(trial, "warp", "warp_votes", TRIAL_LINE(COUNT, 128), TRIAL_ARGUMENTS(&d_input, &d_output));
	trial_equal_u32(trial, "7 results each, result", trial_download(trial, d_output, COUNT * 28), expected,
			COUNT * 7);
}

static void run_block_votes(struct trial *trial)
{
	enum { BLOCK = 80, TOTAL = BLOCK * 20 };
	uint32_t *input = trial_allocate(trial, TOTAL, 4), *expected = trial_allocate(trial, TOTAL, 4);
	for (unsigned i = 0; i < TOTAL; i++)
		input[i] = (uint32_t)(trial_random(trial) % (i / BLOCK % 3 == 0 ? 240 : 256));
	for (unsigned i = 0; i < TOTAL; i++) {
		uint32_t counted = 0, all = 1, any = 0;
		for (unsigned j = i / BLOCK * BLOCK; j < (i / BLOCK + 1) * BLOCK; j++) {
			counted += input[j] & 1;
			all &= input[j] < 250;
			any |= input[j] == 77;
		}
		expected[i] = counted << 2 | all << 1 | any;
	}
	CUdeviceptr d_input = trial_upload(trial, input, TOTAL * 4), d_output = trial_reserve(trial, TOTAL * 4);
	trial_launch(trial, "warp", "block_votes", TRIAL_LINE(TOTAL, BLOCK), TRIAL_ARGUMENTS(&d_input, &d_output));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, TOTAL * 4), expected, TOTAL);
}

static void run_partial_warp(struct trial *trial)
{
	enum { BLOCK = 72, TOTAL = BLOCK * 3 };
	uint32_t input[TOTAL], expected[TOTAL] = {0};
	for (unsigned i = 0; i < TOTAL; i++)
		input[i] = (uint32_t)trial_random(trial);
	for (unsigned i = 0; i < TOTAL; i++) {
		unsigned lane = i % BLOCK % 32;
		for (unsigned other = 0; other < 8 && lane < 8; other++)
			expected[i] += input[i - lane + other];
	}
	CUdeviceptr d_input = trial_upload(trial, input, sizeof(input));
	CUdeviceptr d_output = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "warp", "partial_warp", TRIAL_LINE(TOTAL, BLOCK), TRIAL_ARGUMENTS(&d_input, &d_output));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, sizeof(expected)), expected, TOTAL);
}

static void run_warp_reductions(struct trial *trial)
{
	uint32_t input[COUNT], *expected = trial_allocate(trial, COUNT * 8, 4);
	for (int i = 0; i < COUNT; i++)
		input[i] = (uint32_t)trial_random(trial);
	for (unsigned i = 0; i < COUNT; i++) {
		const uint32_t *warp = warp_of(input, i);
		uint32_t *result = expected + i * 8;
		result[1] = result[2] = result[3] = result[4] = warp[0];
		result[5] = 0xffffffffu;
		for (unsigned lane = 0; lane < 32; lane++) {
			uint32_t value = warp[lane];
			result[0] += value;
			result[1] = value < result[1] ? value : result[1];
			result[2] = value > result[2] ? value : result[2];
			result[3] = (int32_t)value < (int32_t)result[3] ? value : result[3];
			result[4] = (int32_t)value > (int32_t)result[4] ? value : result[4];
			result[5] &= value | 0xff;
			result[6] |= value & 0xf0f0;
			result[7] ^= value;
		}
	}
	CUdeviceptr d_input = trial_upload(trial, input, sizeof(input));
	CUdeviceptr d_output = trial_reserve(trial, COUNT * 32);
	trial_launch(trial, "reduce_sync", "warp_reductions", TRIAL_LINE(COUNT, 128),
		     TRIAL_ARGUMENTS(&d_input, &d_output));
	trial_equal_u32(trial, "8 results each, result", trial_download(trial, d_output, COUNT * 32), expected,
			COUNT * 8);
}

const struct trial_case cases_warp[] = {
	{"warp_shuffles", run_warp_shuffles},	  {"warp_votes", run_warp_votes},
	{"block_votes", run_block_votes},	  {"partial_warp", run_partial_warp},
	{"warp_reductions", run_warp_reductions}, {NULL, NULL},
};
