/* SPDX-License-Identifier: Apache-2.0 */
/* Function pointers, virtual functions, large parameters, device printf, the device heap, assert, clocks. */
#include "cases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void run_function_pointers(struct trial *trial)
{
	unsigned count = 1000;
	int32_t *a = trial_allocate(trial, count, 4), *b = trial_allocate(trial, count, 4);
	uint32_t *expected = trial_allocate(trial, count, 4);
	for (unsigned i = 0; i < count; i++) {
		uint32_t x = (uint32_t)trial_random(trial), y = (uint32_t)trial_random(trial);
		a[i] = (int32_t)x;
		b[i] = (int32_t)y;
		uint32_t results[4] = {x + y, x - y, x * y, x << 3 ^ (uint32_t)(b[i] >> 1)};
		expected[i] = results[(x ^ i) & 3];
	}
	CUdeviceptr d_a = trial_upload(trial, a, count * 4), d_b = trial_upload(trial, b, count * 4);
	CUdeviceptr d_output = trial_reserve(trial, count * 4);
	trial_launch(trial, "calls", "function_pointers", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_a, &d_b, &d_output, &count));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, count * 4), expected, count);
}

static void run_virtual_functions(struct trial *trial)
{
	unsigned count = 500;
	float *input = trial_allocate(trial, count, 4), *expected = trial_allocate(trial, count, 4);
	for (unsigned i = 0; i < count; i++) {
		float x = input[i] = (float)(trial_random(trial) % 1000) / 8;
		expected[i] = i % 5 < 2 ? x * x + 4 : 3.0f * x * x;
	}
	CUdeviceptr d_input = trial_upload(trial, input, count * 4), d_output = trial_reserve(trial, count * 4);
	trial_launch(trial, "calls", "virtual_functions", TRIAL_LINE(count, 128),
		     TRIAL_ARGUMENTS(&d_input, &d_output, &count));
	trial_near_float(trial, "area", trial_download(trial, d_output, count * 4), expected, count, 0, 3e-7);
}

struct large {
	int32_t header;
	double factors[30];
	int16_t tail[21];
	uint8_t last;
};

static void run_large_parameter(struct trial *trial)
{
	struct large value = {.header = -77, .last = 200};
	char before = 'b';
	float after = 0.25f;
	double expected[64], sum = 0;
	for (int i = 0; i < 30; i++)
		sum += value.factors[i] = (double)(trial_random(trial) % 4096) / 16;
	for (int i = 0; i < 21; i++)
		value.tail[i] = (int16_t)trial_random(trial);
	for (int i = 0; i < 64; i++) {
		expected[i] = value.factors[i % 30] + value.tail[i % 21] + value.header + value.last + before + after;
		if (!(i & 1))
			expected[i] += value.header + sum * i;
	}
	CUdeviceptr d_output = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "calls", "large_parameter", TRIAL_LINE(64, 64),
		     TRIAL_ARGUMENTS(&before, &value, &after, &d_output));
	trial_equal_bytes(trial, "output", trial_download(trial, d_output, sizeof(expected)), expected, 64, 8);
}

static void run_page_parameter(struct trial *trial)
{
	uint32_t words[1000], expected[1000];
	for (int i = 0; i < 1000; i++)
		expected[999 - i] = (words[i] = (uint32_t)trial_random(trial)) + 1;
	CUdeviceptr d_output = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "calls", "page_parameter", TRIAL_LINE(128, 128), TRIAL_ARGUMENTS(words, &d_output));
	trial_equal_u32(trial, "word", trial_download(trial, d_output, sizeof(expected)), expected, 1000);
}

/* What the process writes to its standard output between the two calls. */
struct capture {
	int saved;
	FILE *file;
};

static bool capture_begin(struct trial *trial, struct capture *ret_capture)
{
	struct capture capture = {.file = tmpfile()};
	fflush(stdout);
	capture.saved = dup(STDOUT_FILENO);
	if (capture.file == NULL || capture.saved < 0 || dup2(fileno(capture.file), STDOUT_FILENO) < 0) {
		trial_fail(trial, "standard output cannot be redirected");
		if (capture.file != NULL)
			fclose(capture.file);
		if (capture.saved >= 0)
			close(capture.saved);
		return false;
	}
	*ret_capture = capture;
	return true;
}

static size_t capture_end(struct capture *capture, char *text, size_t bytes)
{
	fflush(stdout);
	dup2(capture->saved, STDOUT_FILENO);
	close(capture->saved);
	rewind(capture->file);
	size_t length = fread(text, 1, bytes - 1, capture->file);
	text[length] = 0;
	fclose(capture->file);
	return length;
}

static void run_print_formats(struct trial *trial)
{
	char expected[1024], *got = trial_allocate(trial, 4096, 1);
	static const char text[] = "from the host";
	double number = -0.000123456;
	snprintf(expected, sizeof(expected),
		 "plain text\n"
		 "int %d unsigned %u hex %x char %c percent %%\n"
		 "wide %" PRId64 " %" PRIu64 " %" PRIx64 "\n"
		 "float %.3f %e %g width [%8.2f] [%-6d] [%06d]\n"
		 "string %s and %s\n",
		 -42, 4000000000u, 0xbeefu, 'V', (int64_t)-1234567890123, (uint64_t)18000000000000000000ull,
		 (uint64_t)0x123456789abcdefull, 3.14159, number, number, 2.5, 17, 42, text, "literal");
	CUdeviceptr d_text = trial_upload(trial, text, sizeof(text));
	struct capture capture;
	if (!capture_begin(trial, &capture))
		return;
	trial_launch(trial, "printing", "print_formats", TRIAL_LINE(1, 1), TRIAL_ARGUMENTS(&d_text, &number));
	capture_end(&capture, got, 4096);
	if (strcmp(got, expected) != 0) {
		size_t at = 0;
		while (got[at] == expected[at])
			at++;
		trial_fail(trial, "the text differs at byte %zu: got \"%.30s\", expected \"%.30s\"", at, got + at,
			   expected + at);
	}
}

/* The order among threads is free: every line must be there once. */
static void run_print_threads(struct trial *trial)
{
	char *got = trial_allocate(trial, 65536, 1);
	unsigned seen[4][40] = {0}, lines = 0;
	struct capture capture;
	if (!capture_begin(trial, &capture))
		return;
	trial_launch(trial, "printing", "print_threads", (struct trial_grid){.grid = {4, 1, 1}, .block = {40, 1, 1}},
		     TRIAL_ARGUMENTS(NULL));
	capture_end(&capture, got, 65536);
	for (char *line = strtok(got, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
		unsigned thread, block;
		if (sscanf(line, "thread %u of block %u", &thread, &block) != 2 || thread >= 40 || block >= 4)
			trial_fail(trial, "unexpected line \"%.60s\"", line);
		else
			seen[block][thread]++;
	}
	for (unsigned block = 0; block < 4 && !trial->failed; block++)
		for (unsigned thread = 0; thread < 40; thread++)
			if (seen[block][thread] != (thread % 2 == 0))
				trial_fail(trial, "thread %u of block %u printed %u times; %u lines in all", thread,
					   block, seen[block][thread], lines);
}

static void run_heap_lists(struct trial *trial)
{
	unsigned count = 1024;
	uint32_t *input = trial_allocate(trial, count, 4), *expected = trial_allocate(trial, count, 4);
	for (unsigned i = 0; i < count; i++) {
		input[i] = (uint32_t)trial_random(trial);
		for (uint32_t j = (input[i] & 7) + 1; j-- > 0;)
			expected[i] = expected[i] * 31 + input[i] + j;
	}
	CUdeviceptr d_input = trial_upload(trial, input, count * 4), d_output = trial_reserve(trial, count * 4);
	/* Often enough that a heap of 8 MB runs out if free does nothing. */
	for (int turn = 0; turn < 100; turn++)
		trial_launch(trial, "device_heap", "heap_lists", TRIAL_LINE(count, 128),
			     TRIAL_ARGUMENTS(&d_input, &d_output, &count));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, count * 4), expected, count);
}

static void run_assert_holds(struct trial *trial)
{
	int32_t input[64];
	uint32_t expected[64];
	for (int i = 0; i < 64; i++)
		expected[i] = (uint32_t)(input[i] = (int32_t)(trial_random(trial) >> 34)) * 2;
	CUdeviceptr d_input = trial_upload(trial, input, sizeof(input));
	CUdeviceptr d_output = trial_reserve(trial, sizeof(expected));
	trial_launch(trial, "device_heap", "assert_holds", TRIAL_LINE(64, 64), TRIAL_ARGUMENTS(&d_input, &d_output));
	trial_equal_u32(trial, "output", trial_download(trial, d_output, sizeof(expected)), expected, 64);
}

static void run_clocks(struct trial *trial)
{
	uint32_t input[32];
	for (int i = 0; i < 32; i++)
		input[i] = (uint32_t)trial_random(trial);
	CUdeviceptr d_output = trial_reserve(trial, 32 * 32), d_input = trial_upload(trial, input, sizeof(input));
	trial_launch(trial, "clocks", "clocks", TRIAL_LINE(32, 32), TRIAL_ARGUMENTS(&d_output, &d_input));
	const uint64_t *got = trial_download(trial, d_output, 32 * 32);
	for (int thread = 0; thread < 32 && !trial->failed; thread++, got += 4) {
		uint32_t value = input[thread];
		for (int i = 0; i < 20000; i++)
			value = value * 1664525u + 1013904223u + (value >> 7);
		if (got[2] != value)
			trial_fail(trial, "thread %d computed %" PRIu64 ", expected %u", thread, got[2], value);
		/* The sleep alone is between 0 and 2 us; 20,000 turns take any processor more than 1 us, and less than
		 * 20 s. */
		else if (got[1] < 1000 || got[1] > 20000000000u)
			trial_fail(trial, "%" PRIu64 " ns passed on the global timer", got[1]);
		else if (got[0] < 20000 || got[0] > 1000000000000u)
			trial_fail(trial, "%" PRIu64 " clock cycles passed", got[0]);
	}
}

const struct trial_case cases_calls[] = {
	{"function_pointers", run_function_pointers},
	{"virtual_functions", run_virtual_functions},
	{"large_parameter", run_large_parameter},
	{"page_parameter", run_page_parameter},
	{"print_formats", run_print_formats},
	{"print_threads", run_print_threads},
	{"heap_lists", run_heap_lists},
	{"assert_holds", run_assert_holds},
	{"clocks", run_clocks},
	{NULL, NULL},
};
