/* SPDX-License-Identifier: Apache-2.0 */
/*
 * matrix_product [N]: multiplies two N x N matrices of floats (256 unless
 * told) on the GPU and checks every element against the CPU.  Prints key=value
 * lines and a line for people; exits with 0 only if all are right.
 */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver_calls.h"
#include "matrix_product_ptx.h"

enum { TILE = 16, SIZE_MAX_ARGUMENT = 4096 };

/* The GPU fuses and orders the sums of n products differently: each may be off by n roundings of the terms. */
static unsigned count_wrong(const float *a, const float *b, const float *c, unsigned size, double *row)
{
	unsigned wrong = 0;
	for (unsigned i = 0; i < size; i++) {
		for (unsigned j = 0; j < size; j++)
			row[j] = 0;
		for (unsigned k = 0; k < size; k++)
			for (unsigned j = 0; j < size; j++)
				row[j] += (double)a[i * size + k] * (double)b[k * size + j];
		for (unsigned j = 0; j < size; j++)
			wrong += !(fabs(row[j] - (double)c[i * size + j]) <= 6e-8 * size);
	}
	return wrong;
}

int main(int argument_count, char **arguments)
{
	char *end = NULL;
	unsigned long argument = argument_count > 1 ? strtoul(arguments[1], &end, 10) : 256;
	if (argument_count > 2 || (end != NULL && (*end != 0 || end == arguments[1])) || argument == 0 ||
	    argument > SIZE_MAX_ARGUMENT) {
		fprintf(stderr, "usage: %s [N], N from 1 to %d\n", arguments[0], SIZE_MAX_ARGUMENT);
		return 2;
	}
	unsigned size = (unsigned)argument, tiles = (size + TILE - 1) / TILE;
	size_t count = (size_t)size * size, bytes = count * sizeof(float);
	float *a = calloc(count, sizeof(float)), *b = calloc(count, sizeof(float)), *c = malloc(bytes);
	double *row = calloc(size, sizeof(double));
	if (a == NULL || b == NULL || c == NULL || row == NULL) {
		fprintf(stderr, "no memory for matrices of %u x %u\n", size, size);
		exit(1);
	}
	/* Multiples of 1/128 in [-1, 1). */
	uint32_t random = 54321;
	for (size_t i = 0; i < count; i++) {
		random = random * 1664525u + 1013904223u;
		a[i] = (float)((int)(random >> 24) - 128) / 128.0f;
		b[i] = (float)((int)(random >> 16 & 255) - 128) / 128.0f;
		c[i] = NAN;
	}
	double start = clock_milliseconds();
	const char *device = driver_start();
	CUfunction function = driver_load(matrix_product_ptx, "matrix_product");
	CUdeviceptr device_a = driver_allocate(bytes), device_b = driver_allocate(bytes);
	CUdeviceptr device_c = driver_allocate(bytes);
	unsigned grid[2] = {tiles, tiles}, block[2] = {TILE, TILE};
	double mark = clock_milliseconds();
	driver_copy_to_device(device_a, a, bytes);
	driver_copy_to_device(device_b, b, bytes);
	double to_device = clock_milliseconds() - mark;
	float kernel = driver_run(function, grid, block, (void *[]){&device_a, &device_b, &device_c, &size});
	mark = clock_milliseconds();
	driver_copy_to_host(c, device_c, bytes);
	double to_host = clock_milliseconds() - mark;
	driver_free(device_a);
	driver_free(device_b);
	driver_free(device_c);
	driver_stop();
	double total = clock_milliseconds() - start;
	unsigned wrong = count_wrong(a, b, c, size, row);
	printf("device=%s\nsize=%u\nwrong=%u\nh2d_ms=%.3f\nkernel_ms=%.3f\nd2h_ms=%.3f\ntotal_ms=%.3f\n", device, size,
	       wrong, to_device, (double)kernel, to_host, total);
	printf("%s: %u x %u product on %s, %u elements wrong\n",
	       wrong == 0 ? "PASS matrix_product" : "FAIL matrix_product", size, size, device, wrong);
	free(a);
	free(b);
	free(c);
	free(row);
	return wrong == 0 ? 0 : 1;
}
