/* SPDX-License-Identifier: Apache-2.0 */
/* Atomics of all kinds, and barriers over the whole grid. */
#include "cases.h"

#include <string.h>

static void run_atomic_integers(struct trial *trial)
{
	enum { THREADS = 4000 };
	uint32_t words[11] = {0, 0, 0xffffffffu, 0, 0x12345678u, 0xffffffffu, 0, 5, 50, 0, 0};
	uint64_t wides[6] = {1, ~0ull, 0, ~0ull, 0, 0x55};
	uint32_t expected[11], ones = THREADS;
	uint64_t wide_expected[6];
	memcpy(expected, words, sizeof(words));
	memcpy(wide_expected, wides, sizeof(wides));
	for (uint32_t i = 0; i < THREADS; i++) {
		uint64_t big = i * 0x100000001ull, lowest = big + 17, product = big * 0x9e3779b97f4a7c15ull;
		uint32_t mixed = i ^ 0x2a5;
		expected[0] += i;
		expected[1] -= i * 3;
		expected[2] &= ~(1u << (i & 15));
		expected[3] |= 1u << (i & 31);
		expected[4] ^= i * 2654435761u;
		expected[5] = mixed < expected[5] ? mixed : expected[5];
		expected[6] = mixed > expected[6] ? mixed : expected[6];
		expected[7] = expected[7] >= 99 ? 0 : expected[7] + 1;
		expected[8] = expected[8] == 0 || expected[8] > 99 ? 99 : expected[8] - 1;
		expected[9] = 100 - (int32_t)i < (int32_t)expected[9] ? 100 - i : expected[9];
		expected[10] = (int32_t)i - 100 > (int32_t)expected[10] ? i - 100 : expected[10];
		wide_expected[0] += big;
		wide_expected[1] = lowest < wide_expected[1] ? lowest : wide_expected[1];
		wide_expected[2] = big > wide_expected[2] ? big : wide_expected[2];
		wide_expected[3] &= ~(1ull << (i & 63));
		wide_expected[4] |= 1ull << (i & 63);
		wide_expected[5] ^= product;
	}
	CUdeviceptr d_words = trial_upload(trial, words, sizeof(words));
	CUdeviceptr d_wides = trial_upload(trial, wides, sizeof(wides)), d_ones = trial_reserve(trial, 4);
	trial_launch(trial, "atomics", "atomic_integers", TRIAL_LINE(THREADS, 160),
		     TRIAL_ARGUMENTS(&d_words, &d_wides, &d_ones));
	trial_equal_u32(trial, "word", trial_download(trial, d_words, sizeof(words)), expected, 11);
	trial_equal_u64(trial, "wide", trial_download(trial, d_wides, sizeof(wides)), wide_expected, 6);
	trial_equal_u32(trial, "ones", trial_download(trial, d_ones, 4), &ones, 1);
}

static void run_atomic_tickets(struct trial *trial)
{
	enum { THREADS = 2048 };
	uint32_t expected[THREADS], warps = THREADS / 32;
	for (int i = 0; i < THREADS; i++)
		expected[i] = 1;
	CUdeviceptr d_ticket = trial_reserve(trial, 4), d_owners = trial_reserve(trial, sizeof(expected));
	CUdeviceptr d_lock = trial_reserve(trial, 4), d_guarded = trial_reserve(trial, 4);
	trial_launch(trial, "atomics", "atomic_tickets", TRIAL_LINE(THREADS, 64),
		     TRIAL_ARGUMENTS(&d_ticket, &d_owners, &d_lock, &d_guarded));
	trial_equal_u32(trial, "owner", trial_download(trial, d_owners, sizeof(expected)), expected, THREADS);
	trial_equal_u32(trial, "guarded", trial_download(trial, d_guarded, 4), &warps, 1);
}

static void run_atomic_floats(struct trial *trial)
{
	unsigned count = 5000;
	float *input = trial_allocate(trial, count, 4), sum = 0, largest = 0;
	double total = 0, precise;
	for (unsigned i = 0; i < count; i++) {
		input[i] = (float)((int)(trial_random(trial) % 2000) - 900) / 8;
		total += (double)input[i];
		largest = input[i] > largest ? input[i] : largest;
	}
	precise = total / 2;
	sum = (float)total;
	CUdeviceptr d_input = trial_upload(trial, input, count * 4), d_sum = trial_reserve(trial, 4);
	CUdeviceptr d_precise = trial_reserve(trial, 8), d_largest = trial_reserve(trial, 4);
	CUdeviceptr d_looped = trial_reserve(trial, 8);
	trial_launch(trial, "atomics", "atomic_floats", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_input, &d_sum, &d_precise, &d_largest, &d_looped, &count));
	trial_near_float(trial, "sum", trial_download(trial, d_sum, 4), &sum, 1, 0, 0);
	trial_near_double(trial, "halved sum in double", trial_download(trial, d_precise, 8), &precise, 1, 0, 0);
	trial_near_float(trial, "maximum", trial_download(trial, d_largest, 4), &largest, 1, 0, 0);
	trial_near_double(trial, "sum by compare and swap", trial_download(trial, d_looped, 8), &total, 1, 0, 0);
}

static void run_atomic_shared(struct trial *trial)
{
	enum { BLOCKS = 6, THREADS = 256 };
	uint32_t words[8] = {0, 0, 0, 0xffffffffu, 0, 4242, 1, THREADS * 2}, expected[BLOCKS * 8];
	for (uint32_t i = 0; i < THREADS; i++) {
		words[0] += i;
		words[1] = (i ^ 0x55) > words[1] ? i ^ 0x55 : words[1];
		words[2] |= 1u << (i & 31);
		words[3] = i + 3 < words[3] ? i + 3 : words[3];
		words[4] ^= i * 7;
	}
	for (int i = 0; i < BLOCKS * 8; i++)
		expected[i] = words[i % 8];
	CUdeviceptr d_output = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "atomics", "atomic_shared", TRIAL_LINE(BLOCKS * THREADS, THREADS),
		     TRIAL_ARGUMENTS(&d_output));
	trial_equal_u32(trial, "8 words a block, word", trial_download(trial, d_output, sizeof(expected)), expected,
			BLOCKS * 8);
}

static void run_grid_smooth(struct trial *trial)
{
	unsigned count = 5000, turns = 9;
	uint32_t *input = trial_allocate(trial, count, 4), *from = trial_allocate(trial, count, 4);
	uint32_t *to = trial_allocate(trial, count, 4);
	for (unsigned i = 0; i < count; i++)
		from[i] = input[i] = (uint32_t)trial_random(trial);
	for (unsigned turn = 0; turn < turns; turn++) {
		for (unsigned i = 0; i < count; i++)
			to[i] = from[i] * 3 + from[(i + 1) % count] + from[(i + count - 1) % count];
		uint32_t *other = from;
		from = to;
		to = other;
	}
	CUdeviceptr d_from = trial_upload(trial, input, count * 4), d_to = trial_reserve(trial, count * 4);
	struct trial_grid grid = {.grid = {8, 1, 1}, .block = {128, 1, 1}, .cooperative = true};
	trial_launch(trial, "grid_sync", "grid_smooth", grid, TRIAL_ARGUMENTS(&d_from, &d_to, &count, &turns));
	trial_equal_u32(trial, "value", trial_download(trial, turns & 1 ? d_to : d_from, count * 4), from, count);
}

static void run_group_tiles(struct trial *trial)
{
	enum { THREADS = 128 };
	int32_t input[THREADS];
	uint32_t expected[THREADS], sums[THREADS];
	for (int i = 0; i < THREADS; i++)
		input[i] = (int32_t)(trial_random(trial) % 1000);
	/* Beyond the tile's end shfl_down returns the lane's own value, which the lanes above the first also add up. */
	for (int i = 0; i < THREADS; i++)
		sums[i] = (uint32_t)input[i];
	for (int offset = 4; offset > 0; offset /= 2) {
		uint32_t before[THREADS];
		memcpy(before, sums, sizeof(before));
		for (int i = 0; i < THREADS; i++)
			sums[i] += before[i % 8 + offset < 8 ? i + offset : i];
	}
	for (int i = 0; i < THREADS; i++) {
		uint32_t even = 0;
		for (int j = i / 32 * 32; j < i / 32 * 32 + 32; j++)
			even += sums[j] % 2 == 0;
		expected[i] = sums[i / 8 * 8] + (sums[i] % 2 == 0 ? 1000 * even : 0);
	}
	CUdeviceptr d_input = trial_upload(trial, input, sizeof(input));
	CUdeviceptr d_output = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "grid_sync", "group_tiles", TRIAL_LINE(THREADS, THREADS),
		     TRIAL_ARGUMENTS(&d_input, &d_output));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, sizeof(expected)), expected, THREADS);
}

const struct trial_case cases_atomics[] = {
	{"atomic_integers", run_atomic_integers},
	{"atomic_tickets", run_atomic_tickets},
	{"atomic_floats", run_atomic_floats},
	{"atomic_shared", run_atomic_shared},
	{"grid_smooth", run_grid_smooth},
	{"group_tiles", run_group_tiles},
	{NULL, NULL},
};
