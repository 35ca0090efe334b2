/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vector_add [N]: adds two vectors of N floats (1,000,000 unless told) on the
 * GPU and checks every element, and [1, 2, 3] + [4, 5, 6].  Prints key=value
 * lines and a line for people; exits with 0 only if all sums are right.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver_calls.h"
#include "vector_add_ptx.h"

enum { BLOCK_THREADS = 256 };

struct times {
	double to_device, kernel, to_host;
};

static struct times add(CUfunction function, const float *a, const float *b, float *sum, unsigned count)
{
	struct times times;
	size_t bytes = (size_t)count * sizeof(float);
	CUdeviceptr device_a = driver_allocate(bytes), device_b = driver_allocate(bytes);
	CUdeviceptr device_sum = driver_allocate(bytes);
	unsigned grid[2] = {(count + BLOCK_THREADS - 1) / BLOCK_THREADS, 1}, block[2] = {BLOCK_THREADS, 1};
	double start = clock_milliseconds();
	driver_copy_to_device(device_a, a, bytes);
	driver_copy_to_device(device_b, b, bytes);
	times.to_device = clock_milliseconds() - start;
	times.kernel = (double)driver_run(function, grid, block, (void *[]){&device_a, &device_b, &device_sum, &count});
	start = clock_milliseconds();
	driver_copy_to_host(sum, device_sum, bytes);
	times.to_host = clock_milliseconds() - start;
	driver_free(device_a);
	driver_free(device_b);
	driver_free(device_sum);
	return times;
}

static bool add_small(CUfunction function)
{
	const float a[3] = {1, 2, 3}, b[3] = {4, 5, 6};
	float sum[3] = {0};
	add(function, a, b, sum, 3);
	printf("[1, 2, 3] + [4, 5, 6] = [%g, %g, %g]\n", (double)sum[0], (double)sum[1], (double)sum[2]);
	return sum[0] == 5 && sum[1] == 7 && sum[2] == 9;
}

/* The CPU rounds a single addition as the GPU does, so the sums must be equal. */
static unsigned count_wrong(const float *a, const float *b, const float *sum, unsigned count)
{
	unsigned wrong = 0;
	for (unsigned i = 0; i < count; i++) {
		volatile float expected = a[i] + b[i];
		wrong += sum[i] != expected;
	}
	return wrong;
}

int main(int argument_count, char **arguments)
{
	char *end = NULL;
	unsigned long count = argument_count > 1 ? strtoul(arguments[1], &end, 10) : 1000000;
	if (argument_count > 2 || (end != NULL && (*end != 0 || end == arguments[1])) || count == 0 ||
	    count > UINT32_MAX / sizeof(float)) {
		fprintf(stderr, "usage: %s [N], N from 1 to %zu\n", arguments[0], UINT32_MAX / sizeof(float));
		return 2;
	}
	double start = clock_milliseconds();
	const char *device = driver_start();
	CUfunction function = driver_load(vector_add_ptx, "vector_add");
	bool small_right = add_small(function);
	float *a = malloc(count * sizeof(float)), *b = malloc(count * sizeof(float));
	float *sum = calloc(count, sizeof(float));
	if (a == NULL || b == NULL || sum == NULL) {
		fprintf(stderr, "no memory for %lu elements\n", count);
		exit(1);
	}
	uint32_t random = 12345;
	for (unsigned long i = 0; i < count; i++) {
		random = random * 1664525u + 1013904223u;
		a[i] = (float)(random >> 8) / 65536.0f;
		b[i] = (float)i * 0.5f;
	}
	struct times times = add(function, a, b, sum, (unsigned)count);
	unsigned wrong = count_wrong(a, b, sum, (unsigned)count);
	driver_stop();
	printf("device=%s\nelements=%lu\nwrong=%u\nh2d_ms=%.3f\nkernel_ms=%.3f\nd2h_ms=%.3f\ntotal_ms=%.3f\n", device,
	       count, wrong, times.to_device, times.kernel, times.to_host, clock_milliseconds() - start);
	bool right = small_right && wrong == 0;
	printf("%s: %lu sums on %s, %u wrong\n", right ? "PASS vector_add" : "FAIL vector_add", count, device, wrong);
	free(a);
	free(b);
	free(sum);
	return right ? 0 : 1;
}
