/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting, compaction, sparse matrix, graph search, strings and hashes. */
#include "cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return (x > y) - (x < y);
}

static int compare_float(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;
	return (x > y) - (x < y);
}

static void run_bitonic_sort_block(struct trial *trial)
{
	unsigned blocks = 5, count = blocks * 1024;
	uint32_t *keys = trial_allocate(trial, count, sizeof(uint32_t));
	for (unsigned i = 0; i < count; i++)
		keys[i] = (uint32_t)trial_random(trial) >> (i % 3 * 8);
	CUdeviceptr d_keys = trial_upload(trial, keys, count * sizeof(uint32_t));
	trial_launch(trial, "sort", "bitonic_sort_block",
		     (struct trial_grid){.grid = {blocks, 1, 1}, .block = {512, 1, 1}}, TRIAL_ARGUMENTS(&d_keys));
	for (unsigned block = 0; block < blocks; block++)
		qsort(keys + block * 1024, 1024, sizeof(uint32_t), compare_u32);
	trial_equal_u32(trial, "key", trial_download(trial, d_keys, count * sizeof(uint32_t)), keys, count);
}

static void run_bitonic_sort_global(struct trial *trial)
{
	unsigned count = 2048;
	float *keys = trial_allocate(trial, count, sizeof(float));
	for (unsigned i = 0; i < count; i++)
		keys[i] = trial_random_float(trial, -1e5f, 1e5f);
	CUdeviceptr d_keys = trial_upload(trial, keys, count * sizeof(float));
	for (unsigned size = 2; size <= count; size <<= 1)
		for (unsigned stride = size >> 1; stride > 0; stride >>= 1)
			trial_launch(trial, "sort", "bitonic_step", TRIAL_LINE(count, 256),
				     TRIAL_ARGUMENTS(&d_keys, &size, &stride));
	qsort(keys, count, sizeof(float), compare_float);
	trial_equal_bytes(trial, "key", trial_download(trial, d_keys, count * sizeof(float)), keys, count,
			  sizeof(float));
}

/* All eight passes of 4 bits; the scan of the counts between the two kernels is the host's. */
static void run_radix_sort(struct trial *trial)
{
	unsigned blocks = 8, count = blocks * 256;
	uint32_t *keys = trial_allocate(trial, count, sizeof(uint32_t));
	for (unsigned i = 0; i < count; i++)
		keys[i] = (uint32_t)trial_random(trial);
	CUdeviceptr d_keys = trial_upload(trial, keys, count * sizeof(uint32_t));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(uint32_t));
	CUdeviceptr d_counts = trial_reserve(trial, 16 * blocks * sizeof(uint32_t));
	for (unsigned shift = 0; shift < 32; shift += 4) {
		trial_launch(trial, "sort", "radix_count", TRIAL_LINE(count, 256),
			     TRIAL_ARGUMENTS(&d_keys, &d_counts, &shift));
		uint32_t *counts = trial_download(trial, d_counts, 16 * blocks * sizeof(uint32_t)), sum = 0;
		for (unsigned i = 0; i < 16 * blocks; i++) {
			uint32_t before = sum;
			sum += counts[i];
			counts[i] = before;
		}
		if (sum != count)
			trial_fail(trial, "digits at bit %u: %u counted of %u", shift, sum, count);
		trial_write(trial, d_counts, counts, 16 * blocks * sizeof(uint32_t));
		trial_launch(trial, "sort", "radix_scatter", TRIAL_LINE(count, 256),
			     TRIAL_ARGUMENTS(&d_keys, &d_output, &d_counts, &shift));
		CUdeviceptr other = d_keys;
		d_keys = d_output;
		d_output = other;
	}
	qsort(keys, count, sizeof(uint32_t), compare_u32);
	trial_equal_u32(trial, "key", trial_download(trial, d_keys, count * sizeof(uint32_t)), keys, count);
}

/* Order is kept within a block; where a block's piece begins is the blocks' race. */
static void run_compact(struct trial *trial)
{
	unsigned count = 10000, blocks = (count + 1023) / 1024, total = 0;
	int *input = trial_allocate(trial, count, sizeof(int)), *expected = trial_allocate(trial, count, sizeof(int));
	for (unsigned i = 0; i < count; i++)
		input[i] = (int)(trial_random(trial) % 100000);
	CUdeviceptr d_input = trial_upload(trial, input, count * sizeof(int));
	CUdeviceptr d_output = trial_reserve(trial, count * sizeof(int));
	CUdeviceptr d_offsets = trial_reserve(trial, blocks * sizeof(unsigned));
	CUdeviceptr d_counts = trial_reserve(trial, blocks * sizeof(unsigned));
	CUdeviceptr d_total = trial_reserve(trial, sizeof(unsigned));
	trial_launch(trial, "sparse", "compact", TRIAL_LINE(count, 1024),
		     TRIAL_ARGUMENTS(&d_input, &d_output, &d_offsets, &d_counts, &d_total, &count));
	const int *output = trial_download(trial, d_output, count * sizeof(int));
	const unsigned *offsets = trial_download(trial, d_offsets, blocks * sizeof(unsigned));
	const unsigned *counts = trial_download(trial, d_counts, blocks * sizeof(unsigned));
	for (unsigned block = 0; block < blocks && !trial->failed; block++) {
		unsigned kept = 0;
		for (unsigned i = block * 1024; i < count && i < (block + 1) * 1024; i++)
			if (input[i] % 3 == 0)
				expected[kept++] = input[i];
		if (counts[block] != kept || offsets[block] > count - kept)
			trial_fail(trial, "block %u kept %u at %u, expected %u", block, counts[block], offsets[block],
				   kept);
		else
			trial_equal_u32(trial, "kept", (const uint32_t *)output + offsets[block],
					(const uint32_t *)expected, kept);
		total += kept;
	}
	trial_equal_u32(trial, "total", trial_download(trial, d_total, sizeof(unsigned)), &total, 1);
}

static void run_sparse_multiply(struct trial *trial)
{
	unsigned rows = 300, starts[301] = {0};
	for (unsigned row = 0; row < rows; row++)
		starts[row + 1] = starts[row] + (unsigned)(trial_random(trial) % 90);
	unsigned count = starts[rows];
	unsigned *columns = trial_allocate(trial, count, sizeof(unsigned));
	double *values = trial_allocate(trial, count, sizeof(double)),
	       *vector = trial_allocate(trial, rows, sizeof(double));
	double *expected = trial_allocate(trial, rows, sizeof(double));
	for (unsigned i = 0; i < rows; i++)
		vector[i] = trial_random_float(trial, -1, 1);
	for (unsigned row = 0; row < rows; row++) {
		double lanes[64] = {0};
		for (unsigned i = starts[row]; i < starts[row + 1]; i++) {
			columns[i] = (unsigned)(trial_random(trial) % rows);
			values[i] = trial_random_float(trial, -1, 1) * 1.1;
			double *lane = &lanes[(i - starts[row]) % 32];
			*lane = fma(values[i], vector[columns[i]], *lane);
		}
		for (unsigned offset = 16; offset > 0; offset >>= 1)
			for (unsigned lane = 0; lane < offset; lane++)
				lanes[lane] += lanes[lane + offset];
		expected[row] = lanes[0];
	}
	CUdeviceptr d_starts = trial_upload(trial, starts, sizeof(starts));
	CUdeviceptr d_columns = trial_upload(trial, columns, count * sizeof(unsigned));
	CUdeviceptr d_values = trial_upload(trial, values, count * sizeof(double));
	CUdeviceptr d_vector = trial_upload(trial, vector, rows * sizeof(double));
	CUdeviceptr d_result = trial_reserve(trial, rows * sizeof(double));
	trial_launch(trial, "sparse", "sparse_multiply", TRIAL_LINE(rows * 32, 128),
		     TRIAL_ARGUMENTS(&d_starts, &d_columns, &d_values, &d_vector, &d_result, &rows));
	trial_equal_bytes(trial, "result", trial_download(trial, d_result, rows * sizeof(double)), expected, rows,
			  sizeof(double));
}

static void run_breadth_first(struct trial *trial)
{
	enum { VERTICES = 3000, DEGREE = 3 };
	unsigned vertices = VERTICES, changed = 1;
	unsigned *starts = trial_allocate(trial, VERTICES + 1, sizeof(unsigned));
	unsigned *edges = trial_allocate(trial, VERTICES * DEGREE, sizeof(unsigned));
	int *distances = trial_allocate(trial, VERTICES, sizeof(int)),
	    *queue = trial_allocate(trial, VERTICES, sizeof(int));
	for (unsigned i = 0; i < VERTICES; i++) {
		starts[i + 1] = starts[i] + DEGREE;
		for (unsigned j = 0; j < DEGREE; j++)
			edges[i * DEGREE + j] = (unsigned)(trial_random(trial) % VERTICES);
		distances[i] = i == 0 ? 0 : -1;
	}
	CUdeviceptr d_starts = trial_upload(trial, starts, (VERTICES + 1) * sizeof(unsigned));
	CUdeviceptr d_edges = trial_upload(trial, edges, VERTICES * DEGREE * sizeof(unsigned));
	CUdeviceptr d_distances = trial_upload(trial, distances, VERTICES * sizeof(int));
	for (int level = 0; changed != 0 && level < VERTICES && !trial->failed; level++) {
		CUdeviceptr d_changed = level < 40 ? trial_reserve(trial, sizeof(unsigned)) : 0;
		trial_launch(trial, "sparse", "breadth_first_step", TRIAL_LINE(vertices, 128),
			     TRIAL_ARGUMENTS(&d_starts, &d_edges, &d_distances, &level, &vertices, &d_changed));
		memcpy(&changed, trial_download(trial, d_changed, sizeof(changed)), sizeof(changed));
	}
	unsigned head = 0, tail = 1;
	while (head < tail) {
		int vertex = queue[head++];
		for (unsigned i = starts[vertex]; i < starts[vertex + 1]; i++)
			if (distances[edges[i]] == -1) {
				distances[edges[i]] = distances[vertex] + 1;
				queue[tail++] = (int)edges[i];
			}
	}
	trial_equal_u32(trial, "distance", trial_download(trial, d_distances, VERTICES * sizeof(int)),
			(const uint32_t *)distances, VERTICES);
}

static void run_string_search(struct trial *trial)
{
	const char pattern[] = "abcab";
	unsigned length = 30000, pattern_length = sizeof(pattern) - 1, found = 0;
	char *text = trial_allocate(trial, length, 1);
	uint32_t *expected = trial_allocate(trial, length, sizeof(uint32_t));
	for (unsigned i = 0; i < length; i++)
		text[i] = (char)('a' + trial_random(trial) % 3);
	for (unsigned i = 0; i + pattern_length <= length; i++)
		if (memcmp(text + i, pattern, pattern_length) == 0)
			expected[found++] = i;
	CUdeviceptr d_text = trial_upload(trial, text, length);
	CUdeviceptr d_pattern = trial_upload(trial, pattern, pattern_length);
	CUdeviceptr d_positions = trial_reserve(trial, length * sizeof(uint32_t));
	CUdeviceptr d_found = trial_reserve(trial, sizeof(found));
	trial_launch(trial, "strings", "string_search", TRIAL_LINE(length, 256),
		     TRIAL_ARGUMENTS(&d_text, &length, &d_pattern, &pattern_length, &d_positions, &d_found));
	trial_equal_u32(trial, "found", trial_download(trial, d_found, sizeof(found)), &found, 1);
	uint32_t *positions = trial_download(trial, d_positions, length * sizeof(uint32_t));
	qsort(positions, found, sizeof(uint32_t), compare_u32);
	trial_equal_u32(trial, "position", positions, expected, found);
}

static void run_crc32(struct trial *trial)
{
	enum { ROWS = 256, BYTES = 61 };
	unsigned row_bytes = BYTES;
	uint32_t table[256], expected[ROWS];
	unsigned char *rows = trial_allocate(trial, ROWS * BYTES, 1);
	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] & 1 ? table[i] >> 1 ^ 0xedb88320u : table[i] >> 1;
	}
	for (unsigned row = 0; row < ROWS; row++) {
		uint32_t crc = 0xffffffffu;
		for (unsigned i = 0; i < BYTES; i++) {
			unsigned char byte =
				row == 0 ? (unsigned char)"123456789"[i % 9] : (unsigned char)trial_random(trial);
			rows[row * BYTES + i] = byte;
			crc ^= byte;
			for (int bit = 0; bit < 8; bit++)
				crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
		}
		expected[row] = ~crc;
	}
	trial_write(trial, trial_global(trial, "strings", "crc_table", sizeof(table)), table, sizeof(table));
	CUdeviceptr d_rows = trial_upload(trial, rows, ROWS * BYTES);
	CUdeviceptr d_sums = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "strings", "crc32_rows", TRIAL_LINE(ROWS, 64),
		     TRIAL_ARGUMENTS(&d_rows, &row_bytes, &d_sums));
	trial_equal_u32(trial, "crc", trial_download(trial, d_sums, sizeof(expected)), expected, ROWS);
}

static void run_hash(struct trial *trial)
{
	enum { ROWS = 192, BYTES = 40 };
	unsigned row_bytes = BYTES;
	uint64_t expected[ROWS];
	unsigned char *rows = trial_allocate(trial, ROWS * BYTES, 1);
	for (unsigned row = 0; row < ROWS; row++) {
		uint64_t hash = 0xcbf29ce484222325ull;
		for (unsigned i = 0; i < BYTES; i++) {
			rows[row * BYTES + i] = (unsigned char)trial_random(trial);
			hash = (hash ^ rows[row * BYTES + i]) * 0x100000001b3ull;
		}
		hash ^= hash >> 33;
		hash *= 0xff51afd7ed558ccdull;
		expected[row] = hash ^ hash >> 33;
	}
	CUdeviceptr d_rows = trial_upload(trial, rows, ROWS * BYTES);
	CUdeviceptr d_hashes = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "strings", "hash_rows", TRIAL_LINE(ROWS, 64),
		     TRIAL_ARGUMENTS(&d_rows, &row_bytes, &d_hashes));
	trial_equal_u64(trial, "hash", trial_download(trial, d_hashes, sizeof(expected)), expected, ROWS);
}

const struct trial_case cases_sorting[] = {
	{"bitonic_sort_block", run_bitonic_sort_block},
	{"bitonic_sort_global", run_bitonic_sort_global},
	{"radix_sort", run_radix_sort},
	{"compact", run_compact},
	{"sparse_multiply", run_sparse_multiply},
	{"breadth_first", run_breadth_first},
	{"string_search", run_string_search},
	{"crc32", run_crc32},
	{"hash", run_hash},
	{NULL, NULL},
};
