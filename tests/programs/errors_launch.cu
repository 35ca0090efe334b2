/* SPDX-License-Identifier: Apache-2.0 */
/* Errors that the caller made: each returned at once, none of them sticky. */
#include "program.h"

const char *const program_name = "errors_launch";

__global__ static void write_one(int *value)
{
	if (threadIdx.x == 0 && blockIdx.x == 0)
		*value = 1;
}

/*
 * What a launch of an impossible shape returns: CUDA documents invalid
 * configuration, cudart 13.0 on driver 580 hands on the driver's invalid value
 * (measured on an H200).  Both are read once and then gone.
 */
static void expect_refused(const char *shape)
{
	cudaError_t error = cudaGetLastError();
	if (error != cudaErrorInvalidConfiguration && error != cudaErrorInvalidValue)
		fail("%s: %s", shape, cudaGetErrorName(error));
	EXPECT(cudaGetLastError(), cudaSuccess);
}

int main()
{
	int *value, result = 0;
	CHECK(cudaMalloc(&value, sizeof(int)));
	write_one<<<1, 4096>>>(value);
	expect_refused("4096 threads in a block");
	write_one<<<0, 32>>>(value);
	expect_refused("no block");
	write_one<<<dim3(1, 70000), 32>>>(value);
	expect_refused("70000 blocks in y");
	write_one<<<1, 32, 16 << 20>>>(value);
	expect_refused("16 MiB of shared memory");
	void *huge;
	EXPECT(cudaMalloc(&huge, (size_t)1 << 50), cudaErrorMemoryAllocation);
	EXPECT(cudaGetLastError(), cudaErrorMemoryAllocation);
	EXPECT(cudaFree((char *)value + 1), cudaErrorInvalidValue);
	EXPECT(cudaPeekAtLastError(), cudaErrorInvalidValue);
	EXPECT(cudaGetLastError(), cudaErrorInvalidValue);
	EXPECT(cudaMemcpy(&result, value, 4, (cudaMemcpyKind)77), cudaErrorInvalidMemcpyDirection);
	cudaGetLastError();
	write_one<<<1, 32>>>(value);
	CHECK(cudaGetLastError());
	CHECK(cudaMemcpy(&result, value, sizeof(int), cudaMemcpyDeviceToHost));
	if (result != 1)
		fail("after the errors a good launch wrote %d", result);
	pass();
}
