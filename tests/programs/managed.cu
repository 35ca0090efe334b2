/* SPDX-License-Identifier: Apache-2.0 */
/* Managed memory: right on both sides, or refused by its own error. */
#include "program.h"

const char *const program_name = "managed";

__global__ static void square(int *values, int count)
{
	int i = blockIdx.x * blockDim.x + threadIdx.x;
	if (i < count)
		values[i] *= values[i];
}

int main()
{
	const int count = 10000;
	int *values, supported = 0;
	CHECK(cudaDeviceGetAttribute(&supported, cudaDevAttrManagedMemory, 0));
	cudaError_t error = cudaMallocManaged(&values, count * sizeof(int));
	if (error == cudaErrorNotSupported) {
		if (supported)
			fail("the attribute promises managed memory, cudaMallocManaged does not give it");
		skip("cudaMallocManaged: %s", cudaGetErrorName(error));
	}
	CHECK(error);
	for (int turn = 0; turn < 3; turn++) {
		for (int i = 0; i < count; i++)
			values[i] = i % 1000 + turn;
		square<<<(count + 127) / 128, 128>>>(values, count);
		CHECK(cudaDeviceSynchronize());
		for (int i = 0; i < count; i++)
			if (values[i] != (i % 1000 + turn) * (i % 1000 + turn))
				fail("turn %d: element %d is %d", turn, i, values[i]);
	}
	CHECK(cudaFree(values));
	pass();
}
