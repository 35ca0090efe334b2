/* SPDX-License-Identifier: Apache-2.0 */
/* Bit operations, packed bytes, 64-bit and 128-bit integers. */
#include "cases.h"

#include <string.h>

enum { COUNT = 1000 };

static const uint32_t edges[] = {0, 1, 0xffffffffu, 0x80000000u, 0x7fffffffu, 32, 31, 33, 0x80, 0x7f};

static uint32_t *random_words(struct trial *trial, size_t count)
{
	uint32_t *words = trial_allocate(trial, count, sizeof(uint32_t));
	for (size_t i = 0; i < count; i++) {
		uint64_t random = trial_random(trial);
		words[i] = random >> 61 == 0 ? edges[random % 10] : (uint32_t)random;
	}
	return words;
}

static uint32_t reverse_bits(uint32_t value)
{
	uint32_t result = 0;
	for (int i = 0; i < 32; i++)
		result |= (value >> i & 1) << (31 - i);
	return result;
}

static uint32_t permute_bytes(uint32_t low, uint32_t high, uint32_t selector)
{
	uint64_t bytes = (uint64_t)high << 32 | low;
	uint32_t result = 0;
	for (int i = 0; i < 4; i++) {
		uint32_t pick = selector >> (4 * i) & 15, byte = bytes >> (8 * (pick & 7)) & 0xff;
		if (pick & 8)
			byte = byte & 0x80 ? 0xff : 0;
		result |= byte << (8 * i);
	}
	return result;
}

static void run_bit_operations(struct trial *trial)
{
	unsigned count = COUNT;
	uint32_t *a = random_words(trial, COUNT), *b = random_words(trial, COUNT);
	uint32_t *expected = trial_allocate(trial, COUNT * 16, sizeof(uint32_t));
	for (unsigned i = 0; i < COUNT; i++) {
		uint32_t x = a[i], y = b[i], *result = expected + i * 16;
		uint64_t wide = (uint64_t)x << 32 | y, pair = (uint64_t)y << 32 | x;
		uint64_t reversed = (uint64_t)reverse_bits(y) << 32 | reverse_bits(x);
		uint32_t clamped = y < 32 ? y : 32;
		int64_t distance = (int64_t)(int32_t)x - (int32_t)y;
		result[0] = (uint32_t)__builtin_popcount(x);
		result[1] = x == 0 ? 32 : (uint32_t)__builtin_clz(x);
		result[2] = reverse_bits(x);
		result[3] = (uint32_t)__builtin_ffs((int)y);
		result[4] = (uint32_t)(pair << (x & 31) >> 32);
		result[5] = (uint32_t)(pair >> (y & 31));
		result[6] = permute_bytes(x, y, y & 0x7777);
		result[7] = (uint32_t)__builtin_popcountll(wide);
		result[8] = wide == 0 ? 64 : (uint32_t)__builtin_clzll(wide);
		result[9] = (uint32_t)(reversed >> 7);
		result[10] = (uint32_t)__builtin_ffsll((long long)wide);
		result[11] = (uint32_t)(distance < 0 ? -distance : distance) + 5;
		result[12] = clamped == 32 ? x : (uint32_t)(pair << clamped >> 32);
		result[13] = permute_bytes(x, y, 0x8a9f);
		result[14] = (x & ~y) ^ (x | y);
		result[15] = (uint32_t)((int32_t)x >> (y & 31));
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * 4), d_b = trial_upload(trial, b, COUNT * 4);
	CUdeviceptr d_results = trial_reserve(trial, COUNT * 16 * 4);
	trial_launch(trial, "bits", "bit_operations", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	trial_equal_u32(trial, "16 results each, result", trial_download(trial, d_results, COUNT * 16 * 4), expected,
			COUNT * 16);
}

static void run_packed_bytes(struct trial *trial)
{
	unsigned count = COUNT;
	uint32_t *a = random_words(trial, COUNT), *b = random_words(trial, COUNT);
	uint32_t *expected = trial_allocate(trial, COUNT * 6, sizeof(uint32_t));
	for (unsigned i = 0; i < COUNT; i++) {
		uint32_t *result = expected + i * 6;
		result[3] = 100;
		result[4] = 7;
		for (int shift = 0; shift < 32; shift += 8) {
			uint32_t x = a[i] >> shift & 0xff, y = b[i] >> shift & 0xff;
			result[0] |= ((x + y) & 0xff) << shift;
			result[1] |= (x > y ? x : y) << shift;
			result[2] |= (x > y ? x - y : y - x) << shift;
			result[3] += (uint32_t)((int8_t)x * (int8_t)y);
			result[4] += x * y;
		}
		result[5] |= (int16_t)a[i] > (int16_t)b[i] ? 0xffff : 0;
		result[5] |= (int16_t)(a[i] >> 16) > (int16_t)(b[i] >> 16) ? 0xffff0000u : 0;
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * 4), d_b = trial_upload(trial, b, COUNT * 4);
	CUdeviceptr d_results = trial_reserve(trial, COUNT * 6 * 4);
	trial_launch(trial, "bits", "packed_bytes", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	trial_equal_u32(trial, "6 results each, result", trial_download(trial, d_results, COUNT * 6 * 4), expected,
			COUNT * 6);
}

static uint64_t *random_wides(struct trial *trial, size_t count)
{
	uint64_t *values = trial_allocate(trial, count, sizeof(uint64_t));
	for (size_t i = 0; i < count; i++) {
		values[i] = trial_random(trial);
		values[i] >>= values[i] & 1 ? 0 : values[i] >> 58;
		if (values[i] % 5 == 0)
			values[i] = -values[i];
	}
	return values;
}

static void run_wide_integers(struct trial *trial)
{
	unsigned count = COUNT;
	uint64_t *a = random_wides(trial, COUNT), *b = random_wides(trial, COUNT);
	uint64_t *expected = trial_allocate(trial, COUNT * 18, sizeof(uint64_t));
	for (unsigned i = 0; i < COUNT; i++) {
		/* The two quotients that overflow are undefined on the host. */
		if ((b[i] | 1) == UINT64_MAX && a[i] == 1ull << 63)
			a[i]++;
		if ((uint32_t)(b[i] | 1) == UINT32_MAX && (uint32_t)a[i] == 1u << 31)
			a[i]++;
		uint64_t ux = a[i], uy = b[i], *result = expected + i * 18;
		int64_t x = (int64_t)ux, y = (int64_t)uy;
		int32_t short_x = (int32_t)x, short_y = (int32_t)y;
		int32_t low_x = (int32_t)((uint32_t)ux << 8) >> 8, low_y = (int32_t)((uint32_t)uy << 8) >> 8;
		result[0] = ux + uy;
		result[1] = ux - uy;
		result[2] = ux * uy;
		result[3] = (uint64_t)((__int128)x * y >> 64);
		result[4] = (uint64_t)((unsigned __int128)ux * uy >> 64);
		result[5] = (uint64_t)(x / (y | 1));
		result[6] = (uint64_t)(x % (y | 1));
		result[7] = ux / (uy | 1);
		result[8] = ux % (uy | 1);
		result[9] = ux << (y & 63);
		result[10] = (uint64_t)(x >> (y & 63));
		result[11] = ux >> (y & 63);
		result[12] = (uint64_t)((int64_t)short_x * short_y >> 32);
		result[13] = (uint64_t)(uint32_t)ux * (uint32_t)uy >> 32;
		result[14] = (uint64_t)(int64_t)(short_x / (short_y | 1));
		result[15] = (uint32_t)ux % ((uint32_t)uy | 1);
		result[16] = x < y ? (ux < uy ? 3 : 2) : (ux < uy ? 1 : 0);
		/* int + unsigned is unsigned, and widens without a sign. */
		result[17] = (uint32_t)low_x * (uint32_t)low_y + (uint32_t)(ux & 0xffffff) * (uint32_t)(uy & 0xffffff);
		result[17] = (uint32_t)result[17];
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * 8), d_b = trial_upload(trial, b, COUNT * 8);
	CUdeviceptr d_results = trial_reserve(trial, COUNT * 18 * 8);
	trial_launch(trial, "bits", "wide_integers", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	trial_equal_u64(trial, "18 results each, result", trial_download(trial, d_results, COUNT * 18 * 8), expected,
			COUNT * 18);
}

static void run_integers_128(struct trial *trial)
{
	unsigned count = COUNT;
	uint64_t *a = random_wides(trial, COUNT * 2), *b = random_wides(trial, COUNT * 2);
	uint64_t *expected = trial_allocate(trial, COUNT * 11, sizeof(uint64_t));
	for (unsigned i = 0; i < COUNT; i++) {
		if (i % 3 == 0)
			b[2 * i] = 0;
		unsigned __int128 x = (unsigned __int128)a[2 * i] << 64 | a[2 * i + 1];
		unsigned __int128 y = (unsigned __int128)b[2 * i] << 64 | b[2 * i + 1];
		unsigned __int128 values[5] = {x + y, x * y, x - y, x << (b[2 * i] & 127), x / (y | 1)};
		for (int j = 0; j < 5; j++) {
			expected[i * 11 + 2 * j] = (uint64_t)(values[j] >> 64);
			expected[i * 11 + 2 * j + 1] = (uint64_t)values[j];
		}
		expected[i * 11 + 10] = x < y;
	}
	CUdeviceptr d_a = trial_upload(trial, a, COUNT * 16), d_b = trial_upload(trial, b, COUNT * 16);
	CUdeviceptr d_results = trial_reserve(trial, COUNT * 11 * 8);
	trial_launch(trial, "bits", "integers_128", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_results, &count));
	trial_equal_u64(trial, "11 results each, result", trial_download(trial, d_results, COUNT * 11 * 8), expected,
			COUNT * 11);
}

const struct trial_case cases_bits[] = {
	{"bit_operations", run_bit_operations},
	{"packed_bytes", run_packed_bytes},
	{"wide_integers", run_wide_integers},
	{"integers_128", run_integers_128},
	{NULL, NULL},
};
