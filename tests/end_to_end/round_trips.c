/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What calls cost where the executor is behind a network, as one line of JSON: how long one takes that needs an answer,
 * how long COUNT of each kind that needs none take until they are issued and until they are done, in milliseconds, and
 * MB/s of copies. Looks whether what they compute is right. Run by tests/systemd/test_network.py.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "increment.h"
#include "stream_calls.h"

#define COUNT	   200u
#define TURNS	   15u
#define COPY_TURNS 4u
#define COPY_BYTES ((size_t)4 << 20)

#define CHECK(call)                                                                                             \
	do {                                                                                                    \
		CUresult check_result = (call);                                                                 \
		if (check_result) {                                                                             \
			fprintf(stderr, "%s:%d: %s: error %d\n", __FILE__, __LINE__, #call, (int)check_result); \
			exit(1);                                                                                \
		}                                                                                               \
	} while (0)

static CUdeviceptr memory;
static uint32_t words[COUNT];

static double milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int compare(const void *first, const void *second)
{
	double difference = *(const double *)first - *(const double *)second;

	return (difference > 0) - (difference < 0);
}

static double median(double *samples, size_t count)
{
	qsort(samples, count, sizeof(*samples), compare);
	return samples[count / 2];
}

static void launch_one(uint32_t turn)
{
	void *parameters[] = {&memory};

	(void)turn;
	CHECK(cuLaunchKernel(increment, 1, 1, 1, 1, 1, 1, 0, NULL, parameters, NULL));
}

static void copy_one(uint32_t turn)
{
	words[turn] = turn * 3;
	CHECK(cuMemcpyHtoDAsync_v2(memory + 4 * (size_t)turn, &words[turn], 4, NULL));
}

static void fill_one(uint32_t turn)
{
	CHECK(cuMemsetD8Async(memory + turn, (unsigned char)turn, 1, NULL));
}

/* The shortest of three: what else the machine does is not asked. */
static void posted_measure(const char *name, void (*one)(uint32_t turn))
{
	double issued = 1e9, done = 1e9;

	for (uint32_t turn = 0; turn < 3; turn++) {
		double start = milliseconds(), now;

		for (uint32_t i = 0; i < COUNT; i++)
			one(i);
		now = milliseconds() - start;
		issued = now < issued ? now : issued;
		CHECK(cuCtxSynchronize());
		now = milliseconds() - start;
		done = now < done ? now : done;
	}
	printf("\"%s_issued_ms\": %.3f, \"%s_done_ms\": %.3f, ", name, issued, name, done);
}

static void expect(bool is_right, const char *what)
{
	if (is_right)
		return;
	fprintf(stderr, "%s: wrong\n", what);
	exit(1);
}

static void answered_measure(void)
{
	double samples[TURNS];
	uint32_t word;

	for (size_t i = 0; i < TURNS; i++) {
		double start = milliseconds();

		launch_one(0);
		CHECK(cuCtxSynchronize());
		samples[i] = milliseconds() - start;
	}
	printf("\"launch_and_synchronize_ms\": %.3f, ", median(samples, TURNS));
	for (size_t i = 0; i < TURNS; i++) {
		double start = milliseconds();

		CHECK(cuMemcpyDtoH_v2(&word, memory, 4));
		samples[i] = milliseconds() - start;
	}
	printf("\"copy_word_back_ms\": %.3f, ", median(samples, TURNS));
}

static void bandwidth_measure(void)
{
	uint8_t *to = malloc(COPY_BYTES), *back = malloc(COPY_BYTES);
	double samples[2][COPY_TURNS];
	CUdeviceptr large;

	expect(to && back, "memory");
	for (size_t i = 0; i < COPY_BYTES; i++)
		to[i] = (uint8_t)(i * 7 + i / 4096);
	CHECK(cuMemAlloc_v2(&large, COPY_BYTES));
	for (size_t i = 0; i < COPY_TURNS; i++) {
		double start = milliseconds();

		CHECK(cuMemcpyHtoD_v2(large, to, COPY_BYTES));
		CHECK(cuCtxSynchronize());
		samples[0][i] = milliseconds() - start;
		start = milliseconds();
		CHECK(cuMemcpyDtoH_v2(back, large, COPY_BYTES));
		samples[1][i] = milliseconds() - start;
	}
	expect(memcmp(to, back, COPY_BYTES) == 0, "what came back");
	printf("\"to_device_mb_s\": %.2f, \"back_mb_s\": %.2f}\n",
	       (double)COPY_BYTES / 1e3 / median(samples[0], COPY_TURNS),
	       (double)COPY_BYTES / 1e3 / median(samples[1], COPY_TURNS));
	CHECK(cuMemFree_v2(large));
	free(to);
	free(back);
}

int main(void)
{
	uint32_t back[COUNT] = {0};

	if (increment_load()) {
		fprintf(stderr, "there is no device, or it does not load a kernel\n");
		return 1;
	}
	CHECK(cuMemAlloc_v2(&memory, sizeof(words)));
	CHECK(cuMemsetD32_v2(memory, 0, COUNT));
	printf("{");
	posted_measure("launches", launch_one);
	CHECK(cuMemcpyDtoH_v2(back, memory, 4));
	expect(back[0] == 3 * COUNT, "the count of launches");
	posted_measure("copies", copy_one);
	CHECK(cuMemcpyDtoH_v2(back, memory, sizeof(back)));
	expect(memcmp(back, words, sizeof(back)) == 0, "what was copied");
	posted_measure("fills", fill_one);
	answered_measure();
	bandwidth_measure();
	CHECK(cuMemFree_v2(memory));
	return 0;
}
