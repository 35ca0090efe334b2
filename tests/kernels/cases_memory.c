/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of memory, widths of access, variables of the module, indexes of the grid. */
#include "cases.h"

#include <string.h>

static void run_dynamic_shared(struct trial *trial)
{
	enum { BLOCKS = 7 };
	static const unsigned sizes[] = {32, 100, 256, 1024};
	for (unsigned turn = 0; turn < 4; turn++) {
		unsigned threads = sizes[turn], count = threads * BLOCKS;
		float *input = trial_allocate(trial, count, 4), *expected = trial_allocate(trial, count, 4);
		int16_t *shorts = trial_allocate(trial, count, 2);
		for (unsigned i = 0; i < count; i++)
			input[i] = trial_random_float(trial, -1, 1);
		for (unsigned i = 0; i < count; i++) {
			unsigned mirrored = i / threads * threads + threads - 1 - i % threads;
			expected[i] = input[mirrored];
			shorts[i] = (int16_t)(mirrored * 3 - 100);
		}
		CUdeviceptr d_input = trial_upload(trial, input, count * 4);
		CUdeviceptr d_output = trial_reserve(trial, count * 4), d_shorts = trial_reserve(trial, count * 2);
		struct trial_grid grid = TRIAL_LINE(count, threads);
		grid.shared_bytes = threads * 6;
		trial_launch(trial, "memory", "dynamic_shared", grid, TRIAL_ARGUMENTS(&d_input, &d_output, &d_shorts));
		trial_equal_bytes(trial, "float", trial_download(trial, d_output, count * 4), expected, count, 4);
		trial_equal_bytes(trial, "short", trial_download(trial, d_shorts, count * 2), shorts, count, 2);
	}
}

static void run_constant_tables(struct trial *trial)
{
	static const double weights[4] = {0.5, -1.25, 3.0, 1e10};
	static const int grid_table[4][3] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {-1, -2, -3}};
	unsigned count = 500;
	int32_t table[64];
	for (int i = 0; i < 64; i++)
		table[i] = (int32_t)trial_random(trial);
	uint32_t *indexes = trial_allocate(trial, count, 4);
	double *expected = trial_allocate(trial, count, 8);
	for (unsigned i = 0; i < count; i++) {
		indexes[i] = (uint32_t)trial_random(trial);
		expected[i] = table[indexes[i] & 63] + weights[i & 3] + grid_table[(i >> 2) & 3][indexes[i] % 3];
	}
	trial_write(trial, trial_global(trial, "memory", "table", sizeof(table)), table, sizeof(table));
	CUdeviceptr d_indexes = trial_upload(trial, indexes, count * 4), d_output = trial_reserve(trial, count * 8);
	trial_launch(trial, "memory", "constant_tables", TRIAL_LINE(count, 96),
		     TRIAL_ARGUMENTS(&d_indexes, &d_output, &count));
	trial_equal_u64(trial, "sum bits", trial_download(trial, d_output, count * 8), (uint64_t *)expected, count);
}

static void run_global_variables(struct trial *trial)
{
	static const char expected[] = "pointer in a global initialiser";
	uint32_t first = 7, second = 1000, changed = 31337;
	CUdeviceptr d_counter = trial_global(trial, "memory", "counter", sizeof(uint32_t));
	CUdeviceptr d_output = trial_reserve(trial, 4), d_text = trial_reserve(trial, sizeof(expected));
	struct trial_grid grid = TRIAL_LINE(32, 32);
	trial_launch(trial, "memory", "global_variables", grid, TRIAL_ARGUMENTS(&d_output, &d_text));
	trial_equal_u32(trial, "initial value", trial_download(trial, d_output, 4), &first, 1);
	trial_equal_bytes(trial, "text", trial_download(trial, d_text, sizeof(expected)), expected, sizeof(expected),
			  1);
	trial_equal_u32(trial, "value after the kernel", trial_download(trial, d_counter, 4), &second, 1);
	trial_write(trial, d_counter, &changed, sizeof(changed));
	trial_launch(trial, "memory", "global_variables", grid, TRIAL_ARGUMENTS(&d_output, &d_text));
	trial_equal_u32(trial, "value the host wrote", trial_download(trial, d_output, 4), &changed, 1);
}

static void run_vector_loads(struct trial *trial)
{
	enum { COUNT = 700 };
	unsigned count = COUNT;
	float *input = trial_allocate(trial, COUNT * 4, 4), *reversed = trial_allocate(trial, COUNT * 4, 4);
	uint32_t *pairs = trial_allocate(trial, COUNT * 2, 4), *swapped = trial_allocate(trial, COUNT * 2, 4);
	uint8_t *bytes = trial_allocate(trial, COUNT * 4, 1);
	uint16_t *widened = trial_allocate(trial, COUNT * 4, 2);
	double *doubles = trial_allocate(trial, COUNT * 2, 8);
	for (unsigned i = 0; i < COUNT * 4; i++) {
		input[i] = trial_random_float(trial, -1e9f, 1e9f);
		bytes[i] = (uint8_t)trial_random(trial);
		widened[i] = (uint16_t)(bytes[i] * 257);
		reversed[i ^ 3] = input[i];
		if (i % 4 < 2) {
			pairs[i / 4 * 2 + i % 4] = swapped[i / 4 * 2 + (i % 4 ^ 1)] = (uint32_t)trial_random(trial);
			doubles[i / 4 * 2 + i % 4] = input[i];
		}
	}
	CUdeviceptr d_input = trial_upload(trial, input, COUNT * 16), d_pairs = trial_upload(trial, pairs, COUNT * 8);
	CUdeviceptr d_bytes = trial_upload(trial, bytes, COUNT * 4), d_reversed = trial_reserve(trial, COUNT * 16);
	CUdeviceptr d_swapped = trial_reserve(trial, COUNT * 8), d_widened = trial_reserve(trial, COUNT * 8);
	CUdeviceptr d_doubles = trial_reserve(trial, COUNT * 16);
	trial_launch(
		trial, "memory", "vector_loads", TRIAL_LINE(count, 64),
		TRIAL_ARGUMENTS(&d_input, &d_pairs, &d_bytes, &d_reversed, &d_swapped, &d_widened, &d_doubles, &count));
	trial_equal_bytes(trial, "float4", trial_download(trial, d_reversed, COUNT * 16), reversed, COUNT, 16);
	trial_equal_bytes(trial, "uint2", trial_download(trial, d_swapped, COUNT * 8), swapped, COUNT, 8);
	trial_equal_bytes(trial, "ushort4", trial_download(trial, d_widened, COUNT * 8), widened, COUNT, 8);
	trial_equal_bytes(trial, "double2", trial_download(trial, d_doubles, COUNT * 16), doubles, COUNT, 16);
}

static void run_local_arrays(struct trial *trial)
{
	unsigned count = 800;
	uint32_t *input = trial_allocate(trial, count, 4), *expected = trial_allocate(trial, count, 4);
	for (unsigned index = 0; index < count; index++) {
		uint32_t values[16], seed = input[index] = (uint32_t)trial_random(trial), sum = 0;
		uint8_t seen[64] = {0};
		for (int i = 0; i < 16; i++) {
			seed = seed * 1664525u + 1013904223u;
			values[i] = seed >> 8;
			seen[seed >> 26] |= (uint8_t)(1 << (i & 7));
		}
		for (int i = 0; i < 15; i++)
			for (int j = 0; j < 15 - i; j++)
				if (values[j] > values[j + 1]) {
					uint32_t larger = values[j];
					values[j] = values[j + 1];
					values[j + 1] = larger;
				}
		for (int i = 0; i < 64; i++)
			sum = sum * 5 + seen[(i * 7) & 63];
		expected[index] = values[input[index] & 15] ^ sum;
	}
	CUdeviceptr d_input = trial_upload(trial, input, count * 4), d_output = trial_reserve(trial, count * 4);
	trial_launch(trial, "memory", "local_arrays", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_input, &d_output, &count));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, count * 4), expected, count);
}

struct mixed {
	uint8_t byte;
	int16_t word;
	int32_t number;
	int64_t wide;
	float real;
	double precise;
};

static void run_structures(struct trial *trial)
{
	unsigned count = 300;
	struct mixed *input = trial_allocate(trial, count, sizeof(*input));
	struct mixed *expected = trial_allocate(trial, count, sizeof(*expected));
	for (unsigned i = 0; i < count; i++) {
		struct mixed *in = &input[i], *out = &expected[i];
		in->byte = (uint8_t)trial_random(trial);
		in->word = (int16_t)trial_random(trial);
		in->number = (int32_t)trial_random(trial);
		in->wide = (int64_t)trial_random(trial);
		in->real = trial_random_float(trial, -5, 5);
		in->precise = trial_random_float(trial, -5, 5);
		out->byte = (uint8_t)(in->byte * 3);
		out->word = (int16_t)-in->word;
		out->number = in->number / 7;
		out->wide = in->wide ^ out->number;
		out->real = in->real * 0.5f;
		out->precise = in->precise + out->byte;
	}
	size_t bytes = count * sizeof(*input);
	CUdeviceptr d_input = trial_upload(trial, input, bytes), d_output = trial_reserve(trial, bytes);
	trial_launch(trial, "memory", "structures", TRIAL_LINE(count, 64),
		     TRIAL_ARGUMENTS(&d_input, &d_output, &count));
	const struct mixed *got = trial_download(trial, d_output, bytes);
	for (unsigned i = 0; i < count && !trial->failed; i++) {
		const struct mixed *a = &got[i], *b = &expected[i];
		if (a->byte != b->byte || a->word != b->word || a->number != b->number || a->wide != b->wide ||
		    a->real != b->real || a->precise != b->precise)
			trial_fail(trial,
				   "structure %u is {%u, %d, %d, %lld, %g, %g}, expected {%u, %d, %d, %lld, %g, %g}", i,
				   a->byte, a->word, a->number, (long long)a->wide, (double)a->real, a->precise,
				   b->byte, b->word, b->number, (long long)b->wide, (double)b->real, b->precise);
	}
}

static void run_generic_pointers(struct trial *trial)
{
	int32_t table[64], input[32];
	uint32_t expected[64];
	for (int i = 0; i < 64; i++)
		table[i] = (int32_t)trial_random(trial);
	for (int i = 0; i < 32; i++) {
		int32_t values[4] = {0, (31 - i) * 1000, i * (i >> 2 & 1 ? 11 : 5), table[i]};
		values[0] = input[i] = (int32_t)trial_random(trial);
		expected[i] = (uint32_t)values[i & 3];
		expected[32 + i] = 1u << (i & 3);
	}
	trial_write(trial, trial_global(trial, "memory", "table", sizeof(table)), table, sizeof(table));
	CUdeviceptr d_input = trial_upload(trial, input, sizeof(input));
	CUdeviceptr d_output = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "memory", "generic_pointers", TRIAL_LINE(32, 32), TRIAL_ARGUMENTS(&d_input, &d_output));
	const uint32_t *got = trial_download(trial, d_output, sizeof(expected));
	trial_equal_u32(trial, "value", got, expected, 32);
	/* Whether a generic address of constant memory also counts as global is the implementation's. */
	for (int i = 0; i < 32 && !trial->failed; i++)
		if ((i & 3) != 3 ? got[32 + i] != expected[32 + i] : (got[32 + i] & ~1u) != 8)
			trial_fail(trial, "the space of pointer %d is %u, expected %u", i, got[32 + i],
				   expected[32 + i]);
}

static void run_grid_indexes(struct trial *trial)
{
	struct trial_grid grid = {.grid = {3, 4, 5}, .block = {7, 3, 2}};
	unsigned blocks = 60, threads = 42;
	uint32_t *expected = trial_allocate(trial, blocks * threads, 4);
	for (unsigned block = 0; block < blocks; block++)
		for (unsigned thread = 0; thread < threads; thread++)
			expected[block * threads + thread] = (block << 16 | thread << 4 | 1) + 2;
	CUdeviceptr d_output = trial_reserve(trial, blocks * threads * 4);
	trial_launch(trial, "memory", "grid_indexes", grid, TRIAL_ARGUMENTS(&d_output));
	trial_equal_u32(trial, "index", trial_download(trial, d_output, blocks * threads * 4), expected,
			blocks * threads);
}

const struct trial_case cases_memory[] = {
	{"dynamic_shared", run_dynamic_shared},
	{"constant_tables", run_constant_tables},
	{"global_variables", run_global_variables},
	{"vector_loads", run_vector_loads},
	{"local_arrays", run_local_arrays},
	{"structures", run_structures},
	{"generic_pointers", run_generic_pointers},
	{"grid_indexes", run_grid_indexes},
	{NULL, NULL},
};
