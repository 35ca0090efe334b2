/* SPDX-License-Identifier: Apache-2.0 */
/* With -rdc=true: the kernel here calls functions and reads a variable of separate_device.cu. */
#include "program.h"

const char *const program_name = "separate";

extern __device__ int shared_total;
extern __device__ int transform(int value);
extern __constant__ int scale;

__global__ static void apply(const int *from, int *to, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i >= count)
		return;
	to[i] = transform(from[i]) * scale;
	atomicAdd(&shared_total, 1);
}

int main()
{
	const int count = 3000;
	static int from[count], to[count];
	int *d_from, *d_to, total = 0, factor = 5;
	for (int i = 0; i < count; i++)
		from[i] = i - 1500;
	CHECK(cudaMalloc(&d_from, sizeof(from)));
	CHECK(cudaMalloc(&d_to, sizeof(to)));
	CHECK(cudaMemcpy(d_from, from, sizeof(from), cudaMemcpyHostToDevice));
	CHECK(cudaMemcpyToSymbol(scale, &factor, sizeof(factor)));
	apply<<<(count + 127) / 128, 128>>>(d_from, d_to, count);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(to, d_to, sizeof(to), cudaMemcpyDeviceToHost));
	for (int i = 0; i < count; i++) {
		int expected = (from[i] % 3 == 0 ? from[i] / 3 : from[i] * 2 + 1) * factor;
		if (to[i] != expected)
			fail("element %d is %d, expected %d", i, to[i], expected);
	}
	CHECK(cudaMemcpyFromSymbol(&total, shared_total, sizeof(total)));
	if (total != count + 100)
		fail("the total is %d", total);
	pass();
}
