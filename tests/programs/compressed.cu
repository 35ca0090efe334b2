/* SPDX-License-Identifier: Apache-2.0 */
/* A module with much repetitive data, whose image nvcc compresses: what a loader must unpack. */
#include "program.h"

const char *const program_name = "compressed";

#define ROW(n)	n, n + 1, n + 2, n + 3, n + 4, n + 5, n + 6, n + 7
#define ROWS(n) ROW(n), ROW(n + 8), ROW(n + 16), ROW(n + 24), ROW(n + 32), ROW(n + 40), ROW(n + 48), ROW(n + 56)

__device__ const int table[1024] = {ROWS(0),	ROWS(100),  ROWS(200),	ROWS(300), ROWS(400),  ROWS(500),
				    ROWS(600),	ROWS(700),  ROWS(800),	ROWS(900), ROWS(1000), ROWS(1100),
				    ROWS(1200), ROWS(1300), ROWS(1400), ROWS(1500)};

template <int variant> __global__ void gather(const int *indexes, int *values, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		values[i] = table[(indexes[i] * (variant + 1)) & 1023] + variant;
}

template <int variant> static void run(const int *d_indexes, int *d_values, const int *indexes, int count)
{
	static int values[1000];
	gather<variant><<<8, 128>>>(d_indexes, d_values, count);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(values, d_values, count * sizeof(int), cudaMemcpyDeviceToHost));
	for (int i = 0; i < count; i++) {
		int index = (indexes[i] * (variant + 1)) & 1023, expected = index / 64 * 100 + index % 64 + variant;
		if (values[i] != expected)
			fail("variant %d: value %d is %d, expected %d", variant, i, values[i], expected);
	}
}

int main()
{
	const int count = 1000;
	static int indexes[count];
	int *d_indexes, *d_values;
	for (int i = 0; i < count; i++)
		indexes[i] = i * 71;
	CHECK(cudaMalloc(&d_indexes, sizeof(indexes)));
	CHECK(cudaMalloc(&d_values, sizeof(indexes)));
	CHECK(cudaMemcpy(d_indexes, indexes, sizeof(indexes), cudaMemcpyHostToDevice));
	run<0>(d_indexes, d_values, indexes, count);
	run<1>(d_indexes, d_values, indexes, count);
	run<2>(d_indexes, d_values, indexes, count);
	run<3>(d_indexes, d_values, indexes, count);
	pass();
}
